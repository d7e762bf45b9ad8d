"""Work that reports on its way, may be stopped between two steps, and may not last for ever."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from segmentation import PixelwiseError

T = TypeVar("T")
TICK_SECONDS = 0.5

log = logging.getLogger(__name__)


class Report(Protocol):
    """What work calls to say how far it is; raises `StoppedError` where nobody waits any more."""

    def __call__(self, text: str, fraction: float | None = None) -> None:
        """Say what is happening, and the fraction done where it is known."""


class StoppedError(Exception):
    """Nobody waits for this work any more."""


class TooLongError(PixelwiseError):
    """The work did not end within its time."""


def quiet(text: str, fraction: float | None = None) -> None:
    """A report that goes nowhere."""


def _never() -> bool:
    return False


def with_reports(
    work: Callable[[Report], T],
    *,
    seconds: float | None = None,
    gone: Callable[[], bool] = _never,
) -> Iterator[tuple[str, float | None] | T | None]:
    """Run `work` in a thread and yield what it reports, then what it returns.

    Closing the generator stops the work at its next report, and so do the two limits. A step that
    is under way, such as a forward pass, ends first, but nobody waits for it.

    Args:
        work: takes a function to report to: (what is happening, fraction done or None).
        seconds: how long it may take, or None.
        gone: whether the one who asked has left.

    Yields:
        (text, fraction) for each report; None twice a second while there is none, so that a
        visitor's leaving is noticed; the result at the end.

    Raises:
        TooLongError: it took more than `seconds`.
        StoppedError: the one who asked has left.
        Whatever `work` raises.
    """
    reports: queue.Queue[tuple[str, float | None] | None] = queue.Queue()
    outcome: list[T] = []
    failure: list[BaseException] = []
    stop = threading.Event()

    def report(text: str, fraction: float | None = None) -> None:
        if stop.is_set():
            raise StoppedError
        reports.put((text, fraction))

    def run() -> None:
        try:
            outcome.append(work(report))
        except BaseException as error:  # raised again below, in the caller's thread
            failure.append(error)
        finally:
            reports.put(None)

    threading.Thread(target=run, name="work", daemon=True).start()
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while True:
            left = TICK_SECONDS if end is None else min(TICK_SECONDS, end - time.monotonic())
            try:
                step = reports.get(timeout=max(left, 0.001))
                if step is None:
                    break
            except queue.Empty:
                step = None
            if end is not None and time.monotonic() > end:
                raise TooLongError(_too_long(seconds))
            if gone():
                raise StoppedError
            yield step
    finally:
        stop.set()
    if failure:
        raise failure[0]
    yield outcome[0]


def _too_long(seconds: float | None) -> str:
    return (
        f"This took more than {seconds:g} s, the limit of this page. "
        "Choose a smaller size or a smaller model, or try again later."
    )


def finish(
    work: Callable[[Report], T], *, seconds: float | None = None, gone: Callable[[], bool] = _never
) -> T:
    """As `with_reports`, for who wants the result alone."""
    *_, result = with_reports(work, seconds=seconds, gone=gone)
    return result


@contextmanager
def taking(lock: threading.Lock, report: Report, text: str) -> Iterator[None]:
    """Hold a lock; while it is another's, report so, and leave where nobody waits any more.

    Args:
        lock: what to hold.
        report: see above.
        text: what to report.
    """
    while not lock.acquire(timeout=TICK_SECONDS):
        report(text, None)
    try:
        yield
    finally:
        lock.release()


def free_memory() -> None:
    """Give back what a failed forward pass has left, on the CPU and on a GPU."""
    import gc
    import sys

    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        try:
            torch.cuda.empty_cache()
        except RuntimeError as error:  # the device itself is in trouble
            log.warning("the GPU's memory cannot be given back: %s", error)
