"""Admission to the queue and slots at the network, for threads.

`Scheduler.join` admits a call or refuses it, and nothing else refuses one. `Scheduler.slot` waits
for a slot; `fair_queue.FairQueue` has the order. A queued call is a thread that holds the photo's
path: the photo is decoded once the request has its slot, so a long queue takes little memory.

Where other machines label, `max_concurrency` slots are used at once.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from page.service.background import NO_PROGRESS, TICK_SECONDS, Progress
from page.service.errors import QueueFullError, QueueTimeoutError, ShuttingDownError
from page.service.queue.fair_queue import UNKNOWN_SECONDS, DurationEstimator, FairQueue, start_times

RECOUNT_SECONDS = 5.0
"""Seconds that a position stays the same while no request starts or leaves: a screen reader would
read a text that changes every second each time."""
FIRST_TICK_SECONDS = 0.02
"""Waits shorter than this are not reported."""


class QueuePosition(NamedTuple):
    """A request's position in the queue.

    Attributes:
        number: 1 for the next request.
        seconds: until it starts; None where that is not known.
        loading: whether only models are being loaded meanwhile, and no photo is labelled.
    """

    number: int
    seconds: float | None
    loading: bool = False


@dataclass(eq=False)
class QueuedRequest:
    """A request that waits for a slot or has one.

    Attributes:
        model, size, enqueued_at, charged, counts_in_position: see `fair_queue.Schedulable`.
        request: what the caller of `Scheduler.slot` has passed.
        loading: whether the model is being loaded.
        has_waited: whether it did not start at once.
        started_event: set when it starts, and when the scheduler is closed.
        started_at: when it started.
        timed_from: `started_at`, or when the model was loaded.
    """

    model: str
    size: int | None = None
    request: Any = None
    counts_in_position: bool = True
    loading: bool = False
    has_waited: bool = False
    started_event: threading.Event = field(default_factory=threading.Event)
    enqueued_at: float = field(default_factory=time.monotonic)
    started_at: float = 0.0
    timed_from: float = 0.0
    charged: float = 0.0

    @contextmanager
    def loading_model(self) -> Iterator[None]:
        """Leave the time of the block out of the recorded duration."""
        self.loading = True
        try:
            yield
        finally:
            self.loading = False
            self.timed_from = time.monotonic()


class Scheduler:
    """The running requests and the queued ones.

    Args:
        time_limit: seconds that a request may be queued.
        max_concurrency: number of slots.
        max_queue: how many calls may be queued, beside those that have a slot.
    """

    def __init__(
        self, time_limit: float = 120.0, max_concurrency: int = 1, max_queue: int = 32
    ) -> None:
        self.time_limit = time_limit
        self.max_concurrency = max_concurrency
        self.max_queue = max_queue
        self.closed = False
        self._durations = DurationEstimator()
        self._queue: FairQueue[QueuedRequest] = FairQueue(self._durations)
        self._running: list[QueuedRequest] = []
        self._joined = 0
        self._positions: dict[QueuedRequest, tuple[int, float | None]] = {}
        self._counted_at = -math.inf
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of queued requests."""
        with self._lock:
            return len(self._queue)

    @property
    def running(self) -> int:
        """The number of requests that have a slot."""
        return len(self._running)

    @contextmanager
    def join(self) -> Iterator[None]:
        """Admit a call while the block runs; it may use one slot after another.

        Raises:
            QueueFullError: the queue is full; nothing was done for this call.
            ShuttingDownError: the scheduler is closed.
        """
        with self._lock:
            if self.closed:
                raise ShuttingDownError
            if self._joined >= self.max_concurrency + self.max_queue:
                raise QueueFullError(self.max_queue, self._estimate(self.max_queue))
            self._joined += 1
        try:
            yield
        finally:
            with self._lock:
                self._joined -= 1

    @contextmanager
    def slot(
        self,
        model: str,
        size: int | None = None,
        *,
        progress: Progress = NO_PROGRESS,
        request: Any = None,
        record_duration: bool = True,
        counts_in_position: bool = True,
    ) -> Iterator[QueuedRequest]:
        """Wait for a slot and hold it while the block runs.

        Args:
            model: whose requests share the network's time; see `fair_queue.Schedulable`.
            size: requests of one model and size are expected to take equally long.
            progress: receives the `QueuePosition` when it changes.
            request: see `QueuedRequest`.
            record_duration: whether to learn from the block's duration, if it does not fail.
            counts_in_position: whether it counts in the positions that visitors see.

        Raises:
            QueueTimeoutError: no slot was free in time.
            ShuttingDownError: the scheduler is closed.
            CancelledError: the request was cancelled while it was queued.
        """
        queued = QueuedRequest(model, size, request, counts_in_position)
        succeeded = False
        try:
            with self._lock:
                if self.closed:
                    raise ShuttingDownError
                self._queue.add(queued)
                self._start_next()
            if not queued.started_event.is_set():
                queued.has_waited = True
                with progress.paused():
                    self._wait(queued, progress)
            yield queued
            succeeded = True
        finally:
            self._leave(queued, record_duration and succeeded)

    def record_duration(self, model: str, size: int | None, seconds: float) -> None:
        """Record how long a photo took."""
        with self._lock:
            self._durations.record(model, size, seconds)

    def estimated_wait(self, waiting: int = 0) -> int | None:
        """Return the seconds until all queued requests are done, or None where that is not known.

        Args:
            waiting: how many wait, where some were admitted and are not queued yet.
        """
        with self._lock:
            return self._estimate(waiting)

    def files(self) -> set[str]:
        """Return the paths of photos that are queued or running."""
        with self._lock:
            queued = [*self._queue.in_order(), *self._running]
        sources = (getattr(item.request, "source", None) for item in queued)
        return {source for source in sources if isinstance(source, str)}

    def close(self) -> None:
        """Refuse queued and new requests; running ones go on."""
        with self._lock:
            self.closed = True
            for queued in self._queue.in_order():
                self._queue.remove(queued)
                queued.started_event.set()

    def _start_next(self) -> None:
        self._counted_at = -math.inf
        while not self.closed and len(self._running) < self.max_concurrency:
            queued = self._queue.pop()
            if queued is None:
                return
            self._running.append(queued)
            queued.started_at = queued.timed_from = time.monotonic()
            queued.started_event.set()

    def _wait(self, queued: QueuedRequest, progress: Progress) -> None:
        reported = None
        while not queued.started_event.wait(TICK_SECONDS if reported else FIRST_TICK_SECONDS):
            progress.check()
            self._check_timeout(queued)
            position = self._position(queued)
            if position and position != reported:
                progress(position)
                reported = position
        with self._lock:
            if queued not in self._running:
                raise ShuttingDownError

    def _check_timeout(self, queued: QueuedRequest) -> None:
        waited = time.monotonic() - queued.enqueued_at
        with self._lock:
            if waited > self.time_limit and queued in self._queue:
                waiting = len(self._queue)
                raise QueueTimeoutError(waited, waiting, self._estimate(waiting))

    def _position(self, queued: QueuedRequest) -> QueuePosition | None:
        """Return a request's position, or None where it has started."""
        with self._lock:
            if time.monotonic() - self._counted_at > RECOUNT_SECONDS:
                self._positions = self._count()
                self._counted_at = time.monotonic()
            if queued not in self._positions:
                return None
            loading = bool(self._running) and all(item.loading for item in self._running)
            return QueuePosition(*self._positions[queued], loading)

    def _count(self) -> dict[QueuedRequest, tuple[int, float | None]]:
        """Return each queued request's number, and the seconds until it starts, where known."""
        waiting = self._queue.in_order()
        starts = start_times(self._remaining_times(), map(self._durations.expected, waiting))
        positions: dict[QueuedRequest, tuple[int, float | None]] = {}
        number = 0
        for queued, start in zip(waiting, starts, strict=True):
            number += queued.counts_in_position
            positions[queued] = (max(1, number), start)
        return positions

    def _remaining_times(self) -> list[float | None]:
        """Return the seconds until each slot is free, where they are known."""
        times: list[float | None] = []
        for item in self._running:
            expected = self._durations.expected(item)
            if item.loading or expected is None:
                times.append(None)
            else:
                times.append(max(0.0, expected - (time.monotonic() - item.timed_from)))
        return times + [0.0] * (self.max_concurrency - len(times))

    def _estimate(self, waiting: int) -> int | None:
        if self._durations.mean is None:
            return None
        queued = self._queue.in_order()
        total = sum(seconds or 0.0 for seconds in self._remaining_times())
        total += sum(self._durations.expected(item, UNKNOWN_SECONDS) for item in queued)
        total += max(0, waiting - len(queued)) * self._durations.mean
        return max(1, math.ceil(total / self.max_concurrency))

    def _leave(self, queued: QueuedRequest, record_duration: bool) -> None:
        with self._lock:
            if queued in self._running:
                self._running.remove(queued)
                now = time.monotonic()
                self._queue.finish(queued, now - queued.started_at)
                if record_duration:
                    seconds, photo = now - queued.timed_from, queued.counts_in_position
                    self._durations.record(queued.model, queued.size, seconds, photo=photo)
            else:
                self._queue.remove(queued)
            self._start_next()
