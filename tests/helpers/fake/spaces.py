"""Stands for Hugging Face's package `spaces`: lends no GPU, but forks and pickles as it does.

The real one (0.51, `spaces/zero/wrappers.py`) sends the arguments through a queue to a process that
it forks, keeps that process for the next call, and sends the result back.
"""

import functools
import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

calls: list[tuple[Any, ...]] = []
torch_came_first = "torch" in sys.modules
_fork = multiprocessing.get_context("fork")


processes: list[Any] = []
"""Those that were forked."""


class QuotaError(Exception):
    """What a visitor without quota meets."""


class GPU:
    """The decorator; `GPU.quota` is how many calls are still allowed, or None."""

    quota: int | None = None

    def __new__(cls, task: Callable[..., Any], *, duration: int | None = None) -> Any:
        import page.service.models.zerogpu_predictor

        page.service.models.zerogpu_predictor.DEVICE = "cpu"  # there is no GPU to lend
        inbox, outbox = _fork.SimpleQueue(), _fork.SimpleQueue()
        workers: list[Any] = []

        @functools.wraps(task)
        def lend(*args: Any, **kwargs: Any) -> Any:
            if cls.quota is not None:
                if cls.quota == 0:
                    raise QuotaError("You have exceeded your GPU quota")
                cls.quota -= 1
            if not workers:
                workers.append(_fork.Process(target=_work, args=(task, inbox, outbox), daemon=True))
                workers[0].start()
                processes.append(workers[0])
            inbox.put((args, kwargs))
            well, value = outbox.get()
            if not well:
                raise RuntimeError(value)
            calls.append((workers[0].pid, duration, *args))
            return value

        return lend


def end() -> None:
    """End the processes: they hold what was open when they were forked, a browser's pipes too."""
    while processes:
        process = processes.pop()
        process.terminate()
        process.join()


def _work(task: Callable[..., Any], inbox: Any, outbox: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        args, kwargs = inbox.get()
        try:
            outbox.put((True, task(*args, **kwargs)))
        except Exception:
            outbox.put((False, traceback.format_exc()))


def _end_with_parent() -> None:
    """An app that was told to end leaves nobody behind."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def gradio_auto_wrap(function: Any) -> Any:
    """Gradio asks for it on a Space."""
    return function
