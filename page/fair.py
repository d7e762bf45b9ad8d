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
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

MAX_LEARNT = 256
UNKNOWN_SECONDS = 1.0
"""What a photo is charged in advance where nothing is known of its model yet."""


class Waits(Protocol):
    """What can be put in order.

    Attributes:
        model: whose photos share a clock.
        size: photos of one model and size are expected to take equally long.
        since: when it came, by `time.monotonic`.
        charged: seconds that its model was charged when it was served.
    """

    model: str
    size: int | None
    since: float
    charged: float


T = TypeVar("T", bound=Waits)


class Pace:
    """How long photos take, learnt from those that were served: means that forget slowly."""

    def __init__(self) -> None:
        self._learnt: OrderedDict[tuple[str, int | None], float] = OrderedDict()
        self.mean: float | None = None

    def learn(self, model: str, size: int | None, seconds: float, typical: bool = True) -> None:
        """Note how long one took; `mean` is of the typical ones alone."""
        key = (model, size)
        self._learnt[key] = _mean(self._learnt.get(key), seconds)
        self._learnt.move_to_end(key)
        if len(self._learnt) > MAX_LEARNT:
            self._learnt.popitem(last=False)
        if typical:
            self.mean = _mean(self.mean, seconds)

    def expected(self, one: Waits) -> float | None:
        """Seconds that one will take; None where no photo of its model and size was served yet."""
        return self._learnt.get((one.model, one.size))

    def charge(self, one: Waits) -> float:
        """As `expected`, with a guess where nothing is known."""
        expected = self.expected(one)
        return UNKNOWN_SECONDS if expected is None else expected


class FairOrder(Generic[T]):
    """Those who wait.

    Args:
        pace: how long each is expected to take.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._waiting: dict[str, deque[T]] = {}
        self._clocks: dict[str, float] = {}
        self._now = 0.0  # the clock of the model called last, before it was charged

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def __contains__(self, one: T) -> bool:
        """Whether one waits."""
        return one in self._waiting.get(one.model, ())

    def add(self, one: T, *, first: bool = False) -> None:
        """Let one wait: behind those of its model, or before them."""
        if one.model not in self._waiting:
            self._waiting[one.model] = deque()
            self._clocks[one.model] = max(self._clocks.get(one.model, 0.0), self._now)
        if first:
            self._waiting[one.model].appendleft(one)
        else:
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
        model = min(self._waiting, key=lambda name: self._rank(name, self._clocks[name], 0))
        one = self._waiting[model][0]
        self._now = self._clocks[model]
        self.take(one)
        return one

    def take(self, one: T) -> None:
        """Serve one out of turn, and charge its model."""
        self.remove(one)
        one.charged = self.pace.charge(one)
        self._clocks[one.model] += one.charged

    def settle(self, one: T, seconds: float) -> None:
        """Charge a model for what one took, once that is known, and not for what was expected."""
        self._clocks[one.model] += seconds - one.charged
        one.charged = seconds

    def forget_debts(self) -> None:
        """Begin anew, when nobody waits and nobody is at work."""
        self._clocks.clear()
        self._now = 0.0

    def like(self, one: T, most: int) -> list[T]:
        """Those who wait for the same model and size as one, first come first, `most` of them."""
        waiting: Iterable[T] = self._waiting.get(one.model, ())
        return [other for other in waiting if other.size == one.size][:most]

    def in_order(self) -> list[T]:
        """Those who wait, as their turns will come if nobody else does."""
        clocks = {model: self._clocks[model] for model in self._waiting}
        taken = dict.fromkeys(clocks, 0)
        order: list[T] = []
        while clocks:
            model = min(clocks, key=lambda name: self._rank(name, clocks[name], taken[name]))
            one = self._waiting[model][taken[model]]
            order.append(one)
            taken[model] += 1
            clocks[model] += self.pace.charge(one)
            if taken[model] == len(self._waiting[model]):
                del clocks[model]
        return order

    def _rank(self, model: str, clock: float, number: int) -> tuple[float, float]:
        """Less is sooner: the clock, and where two are even, who came first."""
        return clock, self._waiting[model][number].since


def starts(rests: Iterable[float | None], expected: Iterable[float | None]) -> list[float | None]:
    """When those who wait will begin, each where a place at the network is free first.

    Args:
        rests: seconds until each place is free; None where that is not known.
        expected: seconds that each of those who wait will take, in their order; None if unknown.

    Returns:
        Seconds until each one's turn, None where that cannot be told.
    """
    free = [math.inf if rest is None else rest for rest in rests]
    heapq.heapify(free)
    begins: list[float | None] = []
    for seconds in expected:
        begin = heapq.heappop(free)
        begins.append(None if math.isinf(begin) else begin)
        heapq.heappush(free, math.inf if seconds is None else begin + seconds)
    return begins


def _mean(before: float | None, seconds: float) -> float:
    return seconds if before is None else 0.8 * before + 0.2 * seconds
