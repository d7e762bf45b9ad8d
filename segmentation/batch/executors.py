"""Labelling on this machine: in this process, or in some that share the photos."""

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


def label_here(label: Label, tasks: Iterable[PhotoTask]) -> Iterator[PhotoOutcome]:
    """Label the photos in this process, one after the other."""
    return map(label, tasks)


def label_in_processes(
    make: MakeLabel, tasks: Iterable[PhotoTask], workers: int, threads: int
) -> Iterator[PhotoOutcome]:
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
    return share_out(lambda: _Worker(make, threads), _first, tasks, workers, BrokenProcessPool)


def _first(futures: list[Future]) -> Future:
    return next(iter(wait(futures, return_when=FIRST_COMPLETED).done))


class _Worker:
    """A pool of one process, so that whose photo a process died of is known."""

    def __init__(self, make: MakeLabel, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
        theirs, self._leash = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, context, initializer=_watch, initargs=(theirs,))
        with _interrupts_held():
            self.ready = self._pool.submit(_prepare, make, threads)  # starts the process
        theirs.close()

    def give(self, task: PhotoTask) -> Future:
        try:
            return self._pool.submit(_label, task)
        except BrokenProcessPool as error:  # it died after its last answer
            future: Future = Future()
            future.set_exception(error)
            return future

    def end(self, at_once: bool) -> None:
        if at_once:  # it has nothing half-written that would be taken for whole
            self._leash.close()
        self._pool.shutdown(cancel_futures=True)
        self._leash.close()


_ours: Label | None = None
"""What a worker's process labels with."""


def _watch(leash: Connection) -> None:
    """End this process when the other end of the pipe is closed, as where the parent was killed."""

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            leash.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _prepare(make: MakeLabel, threads: int) -> PhotoOutcome | None:
    global _ours
    try:
        _ours = make(threads)
    except PixelwiseError as error:
        return PhotoOutcome("", error=str(error), fatal=True)
    return None


def _label(task: PhotoTask) -> PhotoOutcome:
    assert _ours is not None
    return _ours(task)


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
