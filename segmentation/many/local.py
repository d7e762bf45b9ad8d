"""Labelling on this machine: in this process, or in some that share the photos."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait

from segmentation.errors import PixelwiseError
from segmentation.many.task import Answer, Label, MakeLabel, Task

LEAVE_SECONDS = 10.0
"""How long a dismissed process may take to tidy up before it is ended."""


def label_here(label: Label, tasks: Iterable[Task]) -> Iterator[Answer]:
    """Label the photos in this process, one after the other."""
    return map(label, tasks)


def label_in_processes(
    make: MakeLabel, tasks: Iterable[Task], workers: int, threads: int
) -> Iterator[Answer]:
    """Label the photos in processes of their own, each with a model of its own.

    A process that dies, killed or for want of memory, is a failure of the photo that it had, and
    another takes its place. All end with this process, however it ends.

    Args:
        make: called in each process; importable by its name there.
        tasks: taken one by one, as a process is free.
        workers: how many processes.
        threads: how many each computes with.

    Yields:
        An answer for each task, in the order in which they are ready.

    Raises:
        PixelwiseError: a process could not be made ready.
    """
    waiting = iter(tasks)
    first = list(itertools.islice(waiting, workers))
    waiting = itertools.chain(first, waiting)
    crew: dict[Connection, _Worker] = {}
    leaving: list[_Worker] = []
    try:
        for worker in (_Worker(make, threads) for _ in first):
            crew[worker.pipe] = worker
        while crew:
            for pipe in wait(list(crew)):
                worker = crew[pipe]
                try:
                    answer = pipe.recv()
                except (EOFError, OSError):
                    answer = worker.epitaph()
                    del crew[pipe]
                    worker.end()
                    worker = _Worker(make, threads)
                    crew[worker.pipe] = worker
                    yield answer
                    continue  # the new one is given work when it says that it is ready
                if answer is not None and answer.fatal:
                    raise PixelwiseError(answer.error)
                if not worker.give(next(waiting, None)):
                    leaving.append(crew.pop(pipe))
                    worker.dismiss()
                if answer is not None:
                    yield answer
        for worker in leaving:
            worker.process.join(LEAVE_SECONDS)
    finally:
        for worker in (*crew.values(), *leaving):
            worker.end()


class _Worker:
    """A process that labels one photo at a time, seen from this one."""

    def __init__(self, make: MakeLabel, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
        self.pipe, theirs = context.Pipe()
        self.task: Task | None = None
        self.process = context.Process(
            target=_serve, args=(theirs, make, threads), name="pixelwise-worker", daemon=True
        )
        with _interrupts_held():
            self.process.start()
        theirs.close()

    def give(self, task: Task | None) -> bool:
        """Hand over a photo; false where there is none left."""
        self.task = task
        if task is not None:
            with contextlib.suppress(BrokenPipeError):  # it died: reading from it will tell
                self.pipe.send(task)
        return task is not None

    def epitaph(self) -> Answer:
        """The answer for the photo that the process died of."""
        self.process.join()
        code = self.process.exitcode or 0
        cause = f"status {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                cause = signal.Signals(-code).name
        if self.task is None:
            raise PixelwiseError(
                f"a worker ended before its first photo ({cause}): if memory is short, try fewer "
                "--workers"
            )
        reason = (
            f"its worker ended ({cause}): if that was for want of memory, try fewer --workers or "
            "a smaller --size"
        )
        return Answer(self.task.image, error=reason)

    def dismiss(self) -> None:
        """Let the process go: it hears that nothing more comes, tidies up and ends."""
        self.pipe.close()

    def end(self) -> None:
        """End the process at once; it has nothing half-written that would be taken for whole."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()
        self.process.close()


def _serve(pipe: Connection, make: MakeLabel, threads: int) -> None:
    """What a worker does: say that it is ready, then a photo after the other."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        label = make(threads)
    except PixelwiseError as error:
        pipe.send(Answer("", error=str(error), fatal=True))
        return
    with contextlib.suppress(EOFError, BrokenPipeError):
        pipe.send(None)
        while True:
            pipe.send(label(pipe.recv()))


def _end_with_parent() -> None:
    """A parent that was killed cannot end its workers: they watch it themselves."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back; a process started meanwhile never hears it, and is ended by its parent."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
