"""Work that reports on its way, may be stopped between two steps, and may not last for ever."""

import contextvars
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from page.service.errors import CancelledError, DeadlineError

T = TypeVar("T")
TICK_SECONDS = 0.5

log = logging.getLogger(__name__)


def _nowhere(step: Any, fraction: float | None) -> None:
    """Tell nobody."""


def _never() -> bool:
    return False


class Progress:
    """What work calls to say how far it is.

    Args:
        notify: takes what is happening (a sentence, or a `line.QueuePosition`) and the fraction
            done, or None where that is not known.
        stopped: whether nobody waits for the work any more.
    """

    def __init__(
        self,
        notify: Callable[[Any, float | None], object] = _nowhere,
        stopped: Callable[[], bool] = _never,
    ) -> None:
        self._notify = notify
        self._stopped = stopped
        self._began = time.monotonic()
        self._paused_seconds = 0.0
        self._paused_since: float | None = None

    def __call__(self, step: Any, fraction: float | None = None) -> None:
        """Tell what is happening, and the fraction done where it is known.

        Raises:
            CancelledError: see `check`.
        """
        self.check()
        self._notify(step, fraction)

    def check(self) -> None:
        """Go on only where somebody still waits.

        Raises:
            CancelledError: nobody does.
        """
        if self._stopped():
            raise CancelledError

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While the block runs, the work waits for others: that time is not counted as its own."""
        since = self._paused_since = time.monotonic()
        try:
            yield
        finally:
            self._paused_seconds += time.monotonic() - since
            self._paused_since = None

    def time_left(self, seconds: float | None) -> float:
        """Of so many seconds for the work itself, those that are left; infinite without a limit."""
        if seconds is None:
            return math.inf
        now = self._paused_since or time.monotonic()  # the clock stands while the work waits
        return self._began + self._paused_seconds + seconds - now


NO_PROGRESS = Progress()
"""Progress that nobody is told of."""


def run_with_progress(
    work: Callable[[Progress], T],
    *,
    seconds: float | None = None,
    is_cancelled: Callable[[], bool] = _never,
) -> Iterator[tuple[str, float | None] | T | None]:
    """Run `work` in a thread and yield what it reports, then what it returns.

    Closing the generator stops the work at its next step, and so do the two limits. A step that
    is under way, such as a forward pass, ends first, but nobody waits for it.

    Args:
        work: takes what it calls on its way: (what is happening, fraction done or None).
        seconds: how long it may take, or None; what it waits for others is not counted.
        is_cancelled: whether the one who asked has left.

    Yields:
        (what is happening, fraction) for each step, None twice a second without one, the result.

    Raises:
        DeadlineError: it took more than `seconds`.
        CancelledError: the one who asked has left.
        Whatever `work` raises.
    """
    reports: queue.Queue[tuple[str, float | None] | None] = queue.Queue()
    outcome: list[T] = []
    failure: list[BaseException] = []
    stop = threading.Event()
    progress = Progress(lambda text, fraction: reports.put((text, fraction)), stop.is_set)

    def run() -> None:
        try:
            outcome.append(work(progress))
        except BaseException as error:  # raised again below, in the caller's thread
            failure.append(error)
        finally:
            reports.put(None)

    # with what Gradio knows of the request: ZeroGPU asks whose quota it is
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="work", daemon=True).start()
    try:
        while True:
            left = progress.time_left(seconds)
            try:
                step = reports.get(timeout=min(TICK_SECONDS, max(left, 0.001)))
                if step is None:
                    break
            except queue.Empty:
                step = None
            if progress.time_left(seconds) < 0:
                raise DeadlineError(seconds)
            if is_cancelled():
                raise CancelledError
            yield step
    finally:
        stop.set()
    if failure:
        raise failure[0]
    yield outcome[0]


def run_to_completion(
    work: Callable[[Progress], T],
    *,
    seconds: float | None = None,
    is_cancelled: Callable[[], bool] = _never,
) -> T:
    """As `run_with_progress`, for who wants the result alone."""
    *_, result = run_with_progress(work, seconds=seconds, is_cancelled=is_cancelled)
    return result


@contextmanager
def acquire_with_progress(lock: threading.Lock, progress: Progress, text: str) -> Iterator[None]:
    """Hold a lock; while it is another's, progress so, and leave where nobody waits any more.

    Args:
        lock: what to hold.
        progress: see above.
        text: what to progress.
    """
    while not lock.acquire(timeout=TICK_SECONDS):
        progress(text, None)
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
