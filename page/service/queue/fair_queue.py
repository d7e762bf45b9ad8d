"""A fair queue and an estimate of durations; no threads, no clock of its own.

Requests for one model are served in order of arrival. Between models the network's time is shared:
each model has a clock, the seconds that its photos have taken, and the model whose clock is
furthest behind is next. A model that joins the queue starts at the clock of the request that was
started last, so it neither saves up time nor has to catch up. This is stride scheduling
(Waldspurger and Weihl, 1995) with measured seconds as the charge, in effect the start-time fair
queueing of Goyal, Vin and Cheng (1996). It bounds every wait: with k models queued, a request waits
for the work of its own model ahead of it, at most as much of each other model, and at most one more
photo of each.

Where D requests run at once, this is SFQ(D) of Jin, Chase and Kaur (2004): the seconds of two
queued models differ by at most D + 1 photos of each.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

MAX_DURATIONS = 256
UNKNOWN_SECONDS = 1.0
"""Charged in advance for a photo whose model and size were not measured yet."""


class Schedulable(Protocol):
    """A request that can be queued.

    Attributes:
        model: the model, whose requests share a clock.
        size: requests of one model and size are expected to take equally long.
        enqueued_at: when it was queued, by `time.monotonic`.
        charged: seconds that its model was charged for it.
        counts_in_position: whether it counts in the positions that visitors see; photos do.
    """

    model: str
    size: int | None
    enqueued_at: float
    charged: float
    counts_in_position: bool


T = TypeVar("T", bound=Schedulable)


class DurationEstimator:
    """Exponentially weighted means of measured durations.

    Attributes:
        mean: seconds of a photo of any model; None before the first one.
    """

    def __init__(self) -> None:
        self._means: dict[tuple[str, int | None], float] = {}  # the last recorded at the end
        self.mean: float | None = None

    def __len__(self) -> int:
        """Return the number of models and sizes whose duration is known."""
        return len(self._means)

    def record(self, model: str, size: int | None, seconds: float, *, photo: bool = True) -> None:
        """Record a duration; `mean` is of photos alone."""
        before = self._means.pop((model, size), seconds)
        self._means[model, size] = before + 0.2 * (seconds - before)
        if len(self._means) > MAX_DURATIONS:
            del self._means[next(iter(self._means))]
        if photo:
            before = seconds if self.mean is None else self.mean
            self.mean = before + 0.2 * (seconds - before)

    def expected(self, item: Schedulable, unknown: float | None = None) -> float | None:
        """Return the expected seconds, or `unknown` where its model and size were not measured."""
        return self._means.get((item.model, item.size), unknown)


class FairQueue(Generic[T]):
    """Queued requests, served fairly between models.

    Args:
        durations: expected durations.
    """

    def __init__(self, durations: DurationEstimator) -> None:
        self.durations = durations
        self._waiting: dict[str, deque[T]] = {}
        self._clocks: dict[str, float] = {}
        self._now = 0.0  # the clock of the model started last, before it was charged
        self._running = 0

    def __len__(self) -> int:
        """Return the number of queued requests."""
        return sum(map(len, self._waiting.values()))

    def __contains__(self, item: T) -> bool:
        """Return whether a request is queued."""
        return item in self._waiting.get(item.model, ())

    def add(self, item: T) -> None:
        """Queue a request behind those of its model."""
        if not self._waiting and not self._running:
            self._clocks.clear()
            self._now = 0.0
        if item.model not in self._waiting:
            self._waiting[item.model] = deque()
            self._clocks[item.model] = max(self._clocks.get(item.model, 0.0), self._now)
        self._waiting[item.model].append(item)

    def remove(self, item: T) -> None:
        """Remove a request, if it is queued."""
        waiting = self._waiting.get(item.model)
        if waiting and item in waiting:
            waiting.remove(item)
            if not waiting:
                del self._waiting[item.model]

    def pop(self) -> T | None:
        """Start the next request and charge its model the expected seconds."""
        if not self._waiting:
            return None
        # between equal clocks, the first to arrive
        first = {name: (self._clocks[name], q[0].enqueued_at) for name, q in self._waiting.items()}
        model = min(first, key=first.__getitem__)
        self._now = self._clocks[model]
        item = self._waiting[model].popleft()
        if not self._waiting[model]:
            del self._waiting[model]
        item.charged = self.durations.expected(item, UNKNOWN_SECONDS)
        self._clocks[model] += item.charged
        self._running += 1
        return item

    def finish(self, item: T, seconds: float) -> None:
        """Replace a started request's expected seconds with the actual ones."""
        self._running -= 1
        self._clocks[item.model] += seconds - item.charged
        item.charged = seconds

    def in_order(self) -> list[T]:
        """Return the queued requests in the order in which they start if no other comes."""
        clocks = {model: self._clocks[model] for model in self._waiting}
        taken = dict.fromkeys(clocks, 0)
        order: list[T] = []
        while clocks:
            nexts = {name: self._waiting[name][taken[name]] for name in clocks}
            model = min(nexts, key=lambda name: (clocks[name], nexts[name].enqueued_at))
            order.append(nexts[model])
            taken[model] += 1
            clocks[model] += self.durations.expected(nexts[model], UNKNOWN_SECONDS)
            if taken[model] == len(self._waiting[model]):
                del clocks[model]
        return order


def start_times(
    remaining_times: Iterable[float | None], expected: Iterable[float | None]
) -> list[float | None]:
    """Return in how many seconds each queued request starts, in the slot that is free first.

    Args:
        remaining_times: seconds until each slot is free; None where that is not known.
        expected: seconds that each queued request takes, in order; None where that is not known.

    Returns:
        Seconds for each request, None where that is not known.
    """
    free = [math.inf if seconds is None else seconds for seconds in remaining_times]
    heapq.heapify(free)
    starts: list[float | None] = []
    for seconds in expected:
        start = heapq.heappop(free)
        starts.append(None if math.isinf(start) else start)
        heapq.heappush(free, math.inf if seconds is None else start + seconds)
    return starts
