"""Label photos on this machine, in one process or several."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection

from segmentation.batch.tasks import Label, MakeLabel, PhotoOutcome, PhotoTask
from segmentation.batch.work_sharing import share_out
from segmentation.errors import PixelwiseError


def label_in_process(label: Label, tasks: Iterable[PhotoTask]) -> Iterator[PhotoOutcome]:
    """Label the photos in this process, one by one, and return their outcomes."""
    return map(label, tasks)


def label_in_processes(
    make: MakeLabel, tasks: Iterable[PhotoTask], workers: int, threads: int
) -> Iterator[PhotoOutcome]:
    """Label the photos in several processes, each with its own model.

    If a process dies, killed or out of memory, its current photo fails and it is replaced. All
    processes exit with this one, even if it is killed.

    Args:
        make: called in each process; must be picklable.
        tasks: read one by one, as processes become free.
        workers: number of processes.
        threads: threads per process.

    Yields:
        The outcome of each task, in order of completion.

    Raises:
        PixelwiseError: a process could not be started.
    """
    return share_out(
        lambda: _Worker(make, threads), _first_completed, tasks, workers, BrokenProcessPool
    )


def _first_completed(futures: list[Future]) -> Future:
    return next(iter(wait(futures, return_when=FIRST_COMPLETED).done))


class _Worker:
    """A pool of one process, so that a dead process can be matched to its photo."""

    def __init__(self, make: MakeLabel, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
        child_end, self._parent_end = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, context, initializer=_watch, initargs=(child_end,))
        with _interrupts_blocked():
            self.ready = self._pool.submit(_prepare, make, threads)  # starts the process
        child_end.close()

    def submit(self, task: PhotoTask) -> Future:
        try:
            return self._pool.submit(_label, task)
        except BrokenProcessPool as error:  # the process died after its last photo
            future: Future = Future()
            future.set_exception(error)
            return future

    def end(self, immediately: bool) -> None:
        if immediately:  # files are written atomically
            self._parent_end.close()
        self._pool.shutdown(cancel_futures=True)
        self._parent_end.close()


_labeler: Label | None = None
"""The labelling function of a worker process."""


def _watch(parent_pipe: Connection) -> None:
    """Exit this process when the other end of the pipe closes, also if the parent was killed."""

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            parent_pipe.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _prepare(make: MakeLabel, threads: int) -> PhotoOutcome | None:
    global _labeler
    try:
        _labeler = make(threads)
    except PixelwiseError as error:
        return PhotoOutcome("", error=str(error), fatal=True)
    return None


def _label(task: PhotoTask) -> PhotoOutcome:
    assert _labeler is not None
    return _labeler(task)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C, so that processes started in the block inherit this; the parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
