"""Work that reports on its way, may be stopped between two steps, and may not last for ever."""

import contextvars
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from segmentation import PixelwiseError

T = TypeVar("T")
TICK_SECONDS = 0.5

log = logging.getLogger(__name__)


def _nowhere(text: str, fraction: float | None) -> None:
    """Say it to nobody."""


def _never() -> bool:
    return False


class Report:
    """What work calls to say how far it is.

    Args:
        say: takes what is happening and the fraction done, or None where that is not known.
        stopped: whether nobody waits for the work any more.
    """

    def __init__(
        self,
        say: Callable[[str, float | None], object] = _nowhere,
        stopped: Callable[[], bool] = _never,
    ) -> None:
        self._say = say
        self._stopped = stopped
        self._stood = 0.0
        self._standing_since: float | None = None

    def __call__(self, text: str, fraction: float | None = None) -> None:
        """Say what is happening, and the fraction done where it is known.

        Raises:
            StoppedError: see `check`.
        """
        self.check()
        self._say(text, fraction)

    def check(self) -> None:
        """Go on only where somebody still waits.

        Raises:
            StoppedError: nobody does.
        """
        if self._stopped():
            raise StoppedError

    @contextmanager
    def standing(self) -> Iterator[None]:
        """While the block runs, the work waits for others: that time is not counted as its own."""
        self._standing_since = time.monotonic()
        try:
            yield
        finally:
            self._stood = self.stood
            self._standing_since = None

    @property
    def stood(self) -> float:
        """Seconds that the work has waited for others."""
        since = self._standing_since
        return self._stood + (0.0 if since is None else time.monotonic() - since)


class StoppedError(Exception):
    """Nobody waits for this work any more."""


class TooLongError(PixelwiseError):
    """The work did not end within its time."""


quiet = Report()
"""A report that goes nowhere."""


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
        seconds: how long it may take, or None; what it waits for others is not counted.
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

    report = Report(lambda text, fraction: reports.put((text, fraction)), stop.is_set)

    def run() -> None:
        try:
            outcome.append(work(report))
        except BaseException as error:  # raised again below, in the caller's thread
            failure.append(error)
        finally:
            reports.put(None)

    # with what Gradio knows of the request: ZeroGPU asks whose quota it is
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="work", daemon=True).start()
    start = time.monotonic()
    try:
        while True:
            left = _left(seconds, start, report)
            try:
                step = reports.get(timeout=min(TICK_SECONDS, max(left, 0.001)))
                if step is None:
                    break
            except queue.Empty:
                step = None
            if _left(seconds, start, report) < 0:
                raise TooLongError(_too_long(seconds))
            if gone():
                raise StoppedError
            yield step
    finally:
        stop.set()
    if failure:
        raise failure[0]
    yield outcome[0]


def _left(seconds: float | None, start: float, report: Report) -> float:
    """Seconds that work which began at `start` still has; infinite without a limit."""
    return math.inf if seconds is None else start + seconds + report.stood - time.monotonic()


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
