"""Who may use the network, and when: calls are let in or refused, and have their turns in order.

`join` lets a call in, and is the one place that refuses one; `slot` is a turn at the network. Who
is next is told by `fair.FairQueue`. A call waits in a thread that holds the photo's file name and
nothing else: it is decoded when its turn has come, so a long queue costs little memory.

Photos go one by one. Where other machines do the work, as many turns run at once as they can take
(`max_concurrency`).
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
"""How long a position and its seconds stand while nobody moves: a text that changes each second is
no calm one, and a screen reader would speak it each time."""
FIRST_TICK_SECONDS = 0.02
"""A shorter wait is not worth a sentence."""


class QueuePosition(NamedTuple):
    """Where one who waits stands.

    Attributes:
        number: 1 is next.
        seconds: until the turn, where that can be told.
        loading: what takes its time meanwhile is a model, and not a photo.
    """

    number: int
    seconds: float | None
    loading: bool = False


@dataclass(eq=False)
class QueuedRequest:
    """One who waits for a turn, or has it.

    Attributes:
        model, size, enqueued_at, charged, counts_in_position: see `fair.Schedulable`.
        request: what is to be done.
        loading: what takes its time is the model and not a photo.
        has_waited: the turn did not come at once.
        started_event: set when its turn has come, or never will.
        started_at: when its turn began; `timed_from` is later where the model had to be loaded.
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
        """While the block runs, time passes that the next photo of this model will not take."""
        self.loading = True
        try:
            yield
        finally:
            self.loading = False
            self.timed_from = time.monotonic()


class Scheduler:
    """Who is at work and who waits.

    Args:
        time_limit: seconds that one may wait for a turn.
        max_concurrency: how many turns may run at once.
        max_queue: how many calls may wait, beside those that have a turn.
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
        self._counted = -math.inf
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many wait for a turn."""
        with self._lock:
            return len(self._queue)

    @property
    def running(self) -> int:
        """How many have their turn."""
        return len(self._running)

    @contextmanager
    def join(self) -> Iterator[None]:
        """Let a call in, for as long as the block runs; it may take one turn after another.

        Raises:
            QueueFullError: as many wait as may; nothing has been done for this call.
            ShuttingDownError: the page is being closed.
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
        """Wait for a turn, and have it while the block runs.

        Args:
            model: whose photos share the network's time; see `fair.Schedulable`.
            size: what else a photo's seconds depend on.
            progress: is told the `QueuePosition` whenever it changes.
            request: see `QueuedRequest`.
            record_duration: where the block ends well, the next one is expected to take as long.
            counts_in_position: others have no number that people are told.

        Yields:
            What has the turn.

        Raises:
            QueueTimeoutError: the turn did not come in time.
            ShuttingDownError: the page is being closed.
            CancelledError: nobody waits for this any more.
        """
        queued = QueuedRequest(model, size, request, counts_in_position)
        ended_well = False
        try:
            self._enqueue(queued)
            if not queued.started_event.is_set():
                queued.has_waited = True
                with progress.paused():
                    self._wait(queued, progress)
            yield queued
            ended_well = True
        finally:
            self._leave(queued, record_duration and ended_well)

    def record_duration(self, model: str, size: int | None, seconds: float) -> None:
        """Note how long a photo took."""
        with self._lock:
            self._durations.record(model, size, seconds)

    def estimated_wait(self, waiting: int = 0) -> int | None:
        """Seconds until all who wait are done, where that can be told.

        Args:
            waiting: how many wait, where some are not in line for a turn yet.
        """
        with self._lock:
            return self._estimate(waiting)

    def files(self) -> set[str]:
        """The photos that are still to be read, as far as they are files."""
        with self._lock:
            queued = [*self._queue.in_order(), *self._running]
        sources = (getattr(one.request, "source", None) for one in queued)
        return {source for source in sources if isinstance(source, str)}

    def close(self) -> None:
        """Send away those who wait and those who come; whoever is at work may end."""
        with self._lock:
            self.closed = True
            for queued in self._queue.in_order():
                self._queue.remove(queued)
                queued.started_event.set()

    def _enqueue(self, queued: QueuedRequest) -> None:
        with self._lock:
            if self.closed:
                raise ShuttingDownError
            if not self._running:
                self._queue.reset_clocks()
            self._queue.add(queued)
            self._start_next()

    def _start_next(self) -> None:
        self._counted = -math.inf
        while not self.closed and len(self._running) < self.max_concurrency:
            queued = self._queue.pop()
            if queued is None:
                return
            self._running.append(queued)
            queued.started_at = queued.timed_from = time.monotonic()
            queued.started_event.set()

    def _wait(self, queued: QueuedRequest, progress: Progress) -> None:
        told = None
        while not queued.started_event.wait(TICK_SECONDS if told else FIRST_TICK_SECONDS):
            progress.check()
            self._check_patience(queued)
            position = self._position(queued)
            if position and position != told:
                progress(position)
                told = position
        with self._lock:
            if queued not in self._running:
                raise ShuttingDownError

    def _check_patience(self, queued: QueuedRequest) -> None:
        waited = time.monotonic() - queued.enqueued_at
        with self._lock:
            if waited > self.time_limit and queued in self._queue:
                waiting = len(self._queue)
                raise QueueTimeoutError(waited, waiting, self._estimate(waiting))

    def _position(self, queued: QueuedRequest) -> QueuePosition | None:
        """Where one stands; None where the turn has come."""
        with self._lock:
            if time.monotonic() - self._counted > RECOUNT_SECONDS:
                self._positions = self._count()
                self._counted = time.monotonic()
            if queued not in self._positions:
                return None
            loading = bool(self._running) and all(one.loading for one in self._running)
            return QueuePosition(*self._positions[queued], loading)

    def _count(self) -> dict[QueuedRequest, tuple[int, float | None]]:
        """Each one's number, and the seconds until its turn, where they are known."""
        waiting = self._queue.in_order()
        begins = start_times(self._remaining_times(), map(self._durations.expected, waiting))
        positions: dict[QueuedRequest, tuple[int, float | None]] = {}
        number = 0
        for queued, begin in zip(waiting, begins, strict=True):
            number += queued.counts_in_position
            positions[queued] = (max(1, number), begin)
        return positions

    def _remaining_times(self) -> list[float | None]:
        """Seconds until each place at the network is free, where they are known."""
        rests: list[float | None] = []
        for one in self._running:
            expected = self._durations.expected(one)
            if one.loading or expected is None:
                rests.append(None)
            else:
                rests.append(max(0.0, expected - (time.monotonic() - one.timed_from)))
        return rests + [0.0] * (self.max_concurrency - len(rests))

    def _estimate(self, waiting: int) -> int | None:
        if self._durations.mean is None:
            return None
        queued = self._queue.in_order()
        total = sum(rest or 0.0 for rest in self._remaining_times())
        total += sum(self._durations.expected(one, UNKNOWN_SECONDS) for one in queued)
        total += max(0, waiting - len(queued)) * self._durations.mean
        return max(1, math.ceil(total / self.max_concurrency))

    def _leave(self, queued: QueuedRequest, record_duration: bool) -> None:
        with self._lock:
            if queued in self._running:
                self._running.remove(queued)
                now = time.monotonic()
                self._queue.charge_actual(queued, now - queued.started_at)
                if record_duration:
                    seconds, photo = now - queued.timed_from, queued.counts_in_position
                    self._durations.record(queued.model, queued.size, seconds, photo=photo)
            else:
                self._queue.remove(queued)
            self._start_next()
