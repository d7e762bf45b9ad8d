"""The order of those who wait, with made-up seconds and no threads."""

import heapq
import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from page.service.queue.fair_queue import DurationEstimator, FairQueue, start_times

SECONDS = {"quick": 0.06, "middling": 0.5, "slow": 2.0}
numbers = itertools.count()


@dataclass(eq=False)
class One:
    model: str
    size: int | None = None
    enqueued_at: float = 0.0
    charged: float = 0.0
    counts_in_position: bool = True

    def __post_init__(self) -> None:
        self.enqueued_at = float(next(numbers))


@pytest.fixture
def order():
    durations = DurationEstimator()
    for model, seconds in SECONDS.items():
        durations.record(model, None, seconds)
    return FairQueue(durations)


def serve(order: FairQueue) -> One:
    one = order.pop()
    order.finish(one, SECONDS[one.model])
    return one


def test_one_model_is_first_come_first_served(order):
    ones = [One("quick") for _ in range(20)]
    for one in ones:
        order.add(one)
    assert [serve(order) for _ in ones] == ones
    assert order.pop() is None


def test_a_quick_photo_passes_the_slow_ones_that_wait(order):
    for _ in range(10):
        order.add(One("slow"))
    assert serve(order).model == "slow"  # at work when the quick one comes
    quick = One("quick")
    order.add(quick)
    assert order.in_order().index(quick) == 0
    assert serve(order) is quick


def test_waiting_models_have_equal_shares_of_the_time(order):
    for _ in range(200):
        order.add(One("quick"))
        order.add(One("slow"))
    spent = dict.fromkeys(SECONDS, 0.0)
    while len(order) > 100 and {"quick", "slow"} <= {one.model for one in order.in_order()}:
        one = serve(order)
        spent[one.model] += SECONDS[one.model]
        assert abs(spent["quick"] - spent["slow"]) <= SECONDS["quick"] + SECONDS["slow"] + 1e-9


def test_no_time_is_saved_up_and_none_is_owed_for_leaving(order):
    order.add(One("quick"))
    order.pop()  # at work all the time, or the clocks would begin anew
    for _ in range(50):
        order.add(One("quick"))
        serve(order)
    slow = [One("slow") for _ in range(3)]
    for one in slow:
        order.add(one)
    for one in slow[:2]:
        order.remove(one)
        assert one not in order
    quick = [One("quick") for _ in range(3)]
    for one in quick:
        order.add(one)
    assert order.in_order()[:2] == [slow[2], quick[0]]  # nobody is behind: who came first


def test_clocks_begin_anew_where_nobody_waits_or_works(order):
    for _ in range(5):
        order.add(One("slow"))
        serve(order)
    slow, quick = One("slow"), One("quick")
    order.add(slow)
    order.add(quick)
    assert order.in_order() == [slow, quick]  # nobody is behind: who came first


def test_places_are_the_order_in_which_turns_come(order):
    rng = np.random.default_rng(0)
    for model in rng.choice(list(SECONDS), 60):
        order.add(One(str(model)))
    told = order.in_order()
    assert [serve(order) for _ in range(60)] == told


def test_nobody_waits_longer_than_the_bound(order):
    """Own model's work ahead, as much of each other model, and one photo more of each."""
    rng = np.random.default_rng(1)
    names, clock, due = list(SECONDS), 0.0, {}
    for _ in range(2000):
        for model in rng.choice(names, rng.integers(0, 3), p=[0.8, 0.15, 0.05]):
            one = One(str(model))
            ahead = sum(SECONDS[o.model] for o in order.in_order() if o.model == one.model)
            order.add(one)
            due[one] = clock + 3 * ahead + 2 * sum(SECONDS.values())
        if len(order):
            one = serve(order)
            assert clock <= due.pop(one) + 1e-9
            clock += SECONDS[one.model]


def test_what_a_photo_took_is_charged_and_not_what_was_expected():
    order = FairQueue(DurationEstimator())
    for model in ("new", "other"):
        for _ in range(5):
            order.add(One(model))
    first = order.pop()
    assert first.charged == 1.0  # a guess
    order.finish(first, 3.5)
    assert [order.pop().model for _ in range(4)] == ["other"] * 4


def test_the_pace_forgets_slowly_and_is_bounded():
    durations = DurationEstimator()
    assert durations.mean is None
    durations.record("slow", None, 2.0)
    assert durations.expected(One("slow")) == 2.0
    assert durations.expected(One("slow", 1040)) is None
    durations.record("slow", None, 1.0)
    assert durations.expected(One("slow")) == pytest.approx(1.8)
    for size in range(1000):
        durations.record("slow", size, 1.0)
    assert len(durations) == 256


# --- several at once -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rests", "expected", "begins"),
    [
        ([0.0], [1.0, 2.0, 3.0], [0.0, 1.0, 3.0]),
        ([4.0], [None, 2.0], [4.0, None]),
        ([None], [1.0], [None]),
        ([1.0, 3.0], [4.0, 1.0, 1.0, 1.0], [1.0, 3.0, 4.0, 5.0]),
        ([None, 2.0], [1.0, 1.0], [2.0, 3.0]),
        ([0.0, 0.0, 0.0], [], []),
    ],
)
def test_each_begins_where_a_place_is_free_first(rests, expected, begins):
    assert start_times(rests, expected) == begins


@pytest.mark.parametrize("width", [2, 5, 16])
def test_shares_stay_equal_where_several_are_served_at_once(order, width):
    """Jin, Chase, Kaur (2004): they differ by at most D + 1 photos of each model."""
    for _ in range(400):
        order.add(One("quick"))
        order.add(One("slow"))
    at_work: list[tuple[float, float, One]] = []
    spent, now = dict.fromkeys(SECONDS, 0.0), 0.0
    bound = (width + 1) * (SECONDS["quick"] + SECONDS["slow"])
    while {"quick", "slow"} <= {one.model for one in order.in_order()}:
        while len(at_work) < width and (one := order.pop()):
            heapq.heappush(at_work, (now + SECONDS[one.model], one.enqueued_at, one))
        now, _, done = heapq.heappop(at_work)
        order.finish(done, SECONDS[done.model])
        spent[done.model] += SECONDS[done.model]
        assert abs(spent["quick"] - spent["slow"]) <= bound + 1e-9
