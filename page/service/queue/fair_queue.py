"""In which order those who wait are served, and how long each is expected to take; no threads.

First come, first served within a model; between models the network's time is shared. Each model
has a clock of the seconds that its photos have had, and the model whose clock is furthest behind
is next. A model that comes anew begins at the clock of the photo at work: it neither saves up time
nor is kept waiting. This is stride scheduling (Waldspurger and Weihl, 1995) with measured seconds
as the charge, in effect the start-time fair queueing of Goyal, Vin and Cheng (1996), and it bounds
everybody's waiting: with k models waiting, before one's turn there is the work of one's own model
ahead, at most as much of each other model, and at most one photo more of each.

Where several are served at once, a model that comes anew begins at the clock of the photo that was
called last: SFQ(D) of Jin, Chase and Kaur (2004), where the seconds of two models that wait differ
by at most D + 1 photos of each, D being served at once.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from page.service.bounded_cache import BoundedCache

MAX_LEARNT = 256
UNKNOWN_SECONDS = 1.0
"""What a photo is charged in advance where nothing is known of its model yet."""


class Schedulable(Protocol):
    """What can be put in order.

    Attributes:
        model: whose photos share a clock.
        size: photos of one model and size are expected to take equally long.
        enqueued_at: when it came, by `time.monotonic`.
        charged: seconds that its model was charged when it was served.
        counts_in_position: it is a photo, as those are that people wait with.
    """

    model: str
    size: int | None
    enqueued_at: float
    charged: float
    counts_in_position: bool


T = TypeVar("T", bound=Schedulable)


class DurationEstimator:
    """How long photos take, learnt from those that were served: means that forget slowly.

    Attributes:
        mean: seconds of a photo, whatever its model; None before the first one.
    """

    def __init__(self) -> None:
        self._means: BoundedCache[tuple[str, int | None], float] = BoundedCache(MAX_LEARNT)
        self.mean: float | None = None

    def __len__(self) -> int:
        """Of how many models and sizes the seconds are known."""
        return len(self._means)

    def record(self, model: str, size: int | None, seconds: float, *, photo: bool = True) -> None:
        """Note how long one took; `mean` is of photos alone."""
        before = self._means.get((model, size), seconds)
        self._means.put((model, size), before + 0.2 * (seconds - before))
        if photo:
            before = seconds if self.mean is None else self.mean
            self.mean = before + 0.2 * (seconds - before)

    def expected(self, one: Schedulable, unknown: float | None = None) -> float | None:
        """Seconds that one will take; `unknown` where none of its model and size was served yet."""
        return self._means.get((one.model, one.size), unknown)


class FairQueue(Generic[T]):
    """Those who wait.

    Args:
        durations: how long each is expected to take.
    """

    def __init__(self, durations: DurationEstimator) -> None:
        self.durations = durations
        self._waiting: dict[str, deque[T]] = {}
        self._clocks: dict[str, float] = {}
        self._now = 0.0  # the clock of the model called last, before it was charged

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def __contains__(self, one: T) -> bool:
        """Whether one waits."""
        return one in self._waiting.get(one.model, ())

    def add(self, one: T) -> None:
        """Let one wait, behind those of its model."""
        if one.model not in self._waiting:
            self._waiting[one.model] = deque()
            self._clocks[one.model] = max(self._clocks.get(one.model, 0.0), self._now)
        self._waiting[one.model].append(one)

    def remove(self, one: T) -> None:
        """Let one go who is not to be served, if it waits."""
        waiting = self._waiting.get(one.model)
        if waiting and one in waiting:
            waiting.remove(one)
            if not waiting:
                del self._waiting[one.model]

    def pop(self) -> T | None:
        """Serve the next one and charge its model what it is expected to take."""
        if not self._waiting:
            return None
        # the clock, and where two are even, who came first
        first = {name: (self._clocks[name], q[0].enqueued_at) for name, q in self._waiting.items()}
        model = min(first, key=first.__getitem__)
        self._now = self._clocks[model]
        one = self._waiting[model].popleft()
        if not self._waiting[model]:
            del self._waiting[model]
        one.charged = self.durations.expected(one, UNKNOWN_SECONDS)
        self._clocks[model] += one.charged
        return one

    def charge_actual(self, one: T, seconds: float) -> None:
        """Charge a model for what one took, once that is known, and not for what was expected."""
        self._clocks[one.model] += seconds - one.charged
        one.charged = seconds

    def reset_clocks(self) -> None:
        """Begin anew, when nobody waits and nobody is at work."""
        self._clocks.clear()
        self._now = 0.0

    def in_order(self) -> list[T]:
        """Those who wait, as their turns will come if nobody else does."""
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
    """When those who wait will begin, each where a place at the network is free first.

    Args:
        remaining_times: seconds until each place is free; None where that is not known.
        expected: seconds that each of those who wait will take, in their order; None if unknown.

    Returns:
        Seconds until each one's turn, None where that cannot be told.
    """
    free = [math.inf if rest is None else rest for rest in remaining_times]
    heapq.heapify(free)
    begins: list[float | None] = []
    for seconds in expected:
        begin = heapq.heappop(free)
        begins.append(None if math.isinf(begin) else begin)
        heapq.heappush(free, math.inf if seconds is None else begin + seconds)
    return begins
