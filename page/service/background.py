"""Run a function in a thread with progress, cancellation and a deadline."""

import contextvars
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from page.service.errors import CancelledError, DeadlineError

T = TypeVar("T")
TICK_SECONDS = 0.5

log = logging.getLogger(__name__)


class Stage(NamedTuple):
    """What is happening to a photo while it is not in the queue; `page.texts` words it.

    Attributes:
        state: "waiting" (another photo is being prepared), "loading" (of a model), "reading" or
            "labelling" (of the photo).
        model: name of the model that is being loaded.
    """

    state: Literal["waiting", "loading", "reading", "labelling"]
    model: str = ""


class Report(NamedTuple):
    """One step of running work.

    Attributes:
        step: a `Stage`, a `QueuePosition`, a `Download`, or a sentence.
        fraction: the part that is done, 0 to 1; None where that is not known.
    """

    step: Any
    fraction: float | None = None


@dataclass
class Progress:
    """Callable through which work reports its steps and is cancelled.

    Attributes:
        notify: receives each step and the fraction done; see `Report`.
        stopped: returns whether the work is cancelled.
    """

    notify: Callable[[Any, float | None], object] = lambda step, fraction: None
    stopped: Callable[[], bool] = lambda: False
    _started_at: float = field(default_factory=time.monotonic, init=False)
    _paused_seconds: float = field(default=0.0, init=False)
    _paused_since: float | None = field(default=None, init=False)

    def __call__(self, step: Any, fraction: float | None = None) -> None:
        """Report a step, and the fraction done where it is known.

        Raises:
            CancelledError: the work is cancelled.
        """
        if self.stopped():
            raise CancelledError
        self.notify(step, fraction)

    def check(self) -> None:
        """Do nothing, unless the work is cancelled.

        Raises:
            CancelledError: the work is cancelled.
        """
        if self.stopped():
            raise CancelledError

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the deadline's clock while the block runs, because the work waits for others."""
        since = self._paused_since = time.monotonic()
        try:
            yield
        finally:
            self._paused_seconds += time.monotonic() - since
            self._paused_since = None

    def time_left(self, seconds: float | None) -> float:
        """Return how many of `seconds` are left for the work itself; infinity for None."""
        if seconds is None:
            return math.inf
        now = self._paused_since or time.monotonic()
        return self._started_at + self._paused_seconds + seconds - now


NO_PROGRESS = Progress()
"""Reports nothing and is never cancelled."""


def run_with_progress(
    work: Callable[[Progress], T],
    *,
    seconds: float | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Report | T | None]:
    """Run `work` in a thread; yield its reports and then its result.

    Closing the generator, the deadline and `is_cancelled` stop the work at its next report. A
    step that is running, such as a forward pass, ends first, but the caller does not wait for it.

    Args:
        work: is called with the `Progress` to report to.
        seconds: the deadline, without the time in `Progress.paused`; None for none.
        is_cancelled: returns whether the visitor has left or has stopped the run.

    Yields:
        A `Report` for each step, None after each half second without one, at last the result.

    Raises:
        DeadlineError: it took more than `seconds`.
        CancelledError: `is_cancelled` has returned True.
        Exception: whatever `work` raises.
    """
    reports: queue.Queue[Report | None] = queue.Queue()
    result: Future[T] = Future()
    stop = threading.Event()
    progress = Progress(lambda *step: reports.put(Report(*step)), stop.is_set)

    def run() -> None:
        try:
            result.set_result(work(progress))
        except BaseException as error:  # raised again below, in the caller's thread
            result.set_exception(error)
        finally:
            reports.put(None)

    # ZeroGPU finds the visitor's quota through Gradio's context variables.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="work", daemon=True).start()
    try:
        while True:
            left = progress.time_left(seconds)
            try:
                report = reports.get(timeout=min(TICK_SECONDS, max(left, 0.001)))
                if report is None:
                    break
            except queue.Empty:
                report = None
            if progress.time_left(seconds) < 0:
                raise DeadlineError(seconds)
            if is_cancelled():
                raise CancelledError
            yield report
    finally:
        stop.set()
    yield result.result()


def run_to_completion(
    work: Callable[[Progress], T],
    *,
    seconds: float | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> T:
    """Run `work` as `run_with_progress` does and return its result."""
    *_, result = run_with_progress(work, seconds=seconds, is_cancelled=is_cancelled)
    return result


@contextmanager
def acquire_with_progress(lock: threading.Lock, progress: Progress, step: Any) -> Iterator[None]:
    """Hold a lock while the block runs.

    Args:
        lock: the lock.
        progress: receives `step` twice a second while another thread holds the lock.
        step: see `Report`.

    Raises:
        CancelledError: the work was cancelled while it waited.
    """
    while not lock.acquire(timeout=TICK_SECONDS):
        progress(step)
    try:
        yield
    finally:
        lock.release()


def free_memory() -> None:
    """Release memory that a failed forward pass has left on the CPU and on a GPU."""
    import gc
    import sys

    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        try:
            torch.cuda.empty_cache()
        except RuntimeError as error:  # the device itself has failed
            log.warning("the GPU's memory cannot be released: %s", error)
