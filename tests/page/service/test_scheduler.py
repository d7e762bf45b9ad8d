"""The line before the network, in threads: turns, places, leaving, closing, sharing a turn."""

import logging
import threading
import time
import types
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from page import texts
from page.service.background import Progress, run_with_progress
from page.service.error_messages import user_message
from page.service.errors import (
    CancelledError,
    DeadlineError,
    QueueFullError,
    QueueTimeoutError,
    ShuttingDownError,
)
from page.service.queue.scheduler import QueuedRequest, QueuePosition, Scheduler

log = logging.getLogger(__name__)


def wait_until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def keep(visitor: "Visitor", ticket: QueuedRequest) -> None:
    """Have the turn until the test ends it."""
    assert visitor.end.wait(20)


class Visitor:
    """Waits for a turn in a thread of its own, and notes what is told; here once it waits."""

    def __init__(self, line: Scheduler, model: str = "quick", work: Callable = keep) -> None:
        self.told: list[str] = []
        self.end, self.gone, self.inside = (threading.Event() for _ in range(3))
        self.error: Exception | None = None
        self.ticket: QueuedRequest | None = None
        self._begin = (line, model, work)
        self._thread = threading.Thread(target=self._run, daemon=True)
        waiting = len(line)
        self._thread.start()
        wait_until(lambda: len(line) > waiting or self.inside.is_set() or self.error)

    def _run(self) -> None:
        line, model, work = self._begin
        progress = Progress(
            lambda step, fraction: self.told.append(texts.step_text(step)), self.gone.is_set
        )
        try:
            with line.slot(model, progress=progress, request=self) as self.ticket:
                self.inside.set()
                work(self, self.ticket)
        except Exception as error:
            self.error = error

    def is_inside(self) -> bool:
        return self.inside.is_set() and self._thread.is_alive()

    def finish(self) -> None:
        """Let the turn end, and wait for that."""
        self.end.set()
        self.join()

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def line():
    line = Scheduler()
    yield line
    line.close()


def test_one_at_a_time_in_the_order_of_their_coming(line):
    visitors = [Visitor(line) for _ in range(4)]
    for number, visitor in enumerate(visitors):
        wait_until(lambda visitor=visitor: visitor.is_inside())
        assert [one.is_inside() for one in visitors] == [n == number for n in range(4)]
        visitor.finish()
    assert len(line) == 0


def test_each_is_told_their_place_as_it_changes(line):
    line.record_duration("quick", None, 4.0)
    first, second, third, fourth = (Visitor(line) for _ in range(4))
    wait_until(lambda: second.told and third.told and fourth.told)
    assert second.told == ["You are next, about 4 s …"]
    assert third.told == ["You are number 2 in the queue, about 8 s …"]
    assert fourth.told == ["You are number 3 in the queue, about 15 s …"]
    third.gone.set()
    third.join()
    assert isinstance(third.error, CancelledError)
    wait_until(lambda: len(fourth.told) > 1)
    assert fourth.told[1].startswith("You are number 2 in the queue, about ")
    for visitor in (first, second, fourth):
        visitor.finish()


def test_nobody_is_told_seconds_that_nobody_knows(line):
    first, second = Visitor(line), Visitor(line)
    wait_until(lambda: second.told)
    assert second.told == ["You are next …"]
    first.finish()
    second.finish()


def test_a_quick_model_passes_a_slow_ones_line(line):
    line.record_duration("slow", None, 2.0)
    line.record_duration("quick", None, 0.06)
    at_work = Visitor(line, "slow")
    waiting = [Visitor(line, "slow") for _ in range(10)]
    quick = Visitor(line, "quick")
    wait_until(lambda: quick.told)
    assert quick.told[0].startswith("You are next")
    at_work.finish()
    wait_until(lambda: quick.is_inside())
    assert not any(visitor.is_inside() for visitor in waiting)
    quick.finish()


def test_a_model_being_loaded_is_said_and_teaches_nothing(line):
    def load(visitor, ticket):
        with ticket.loading_model():
            keep(visitor, ticket)

    line.record_duration("quick", None, 1.0)
    loader = Visitor(line, work=load)
    second, third = Visitor(line), Visitor(line)
    wait_until(lambda: second.told and third.told)
    assert second.told == ["The network is being loaded; your photo is next …"]
    assert third.told == ["You are number 2 in the queue …"]
    time.sleep(0.3)
    for visitor in (second, third):
        visitor.end.set()
    loader.finish()
    for visitor in (second, third):
        visitor.join()
    assert line._durations.expected(second.ticket) < 1.0


def test_who_waits_too_long_is_sent_away(line):
    line.record_duration("quick", None, 3.0)
    first = Visitor(line)
    line.time_limit = 0.05
    second = Visitor(line)
    second.join()
    assert isinstance(second.error, QueueTimeoutError)
    assert second.error.waited > 0.05
    assert second.error.waiting == 1
    assert 1 <= second.error.seconds <= 6
    assert len(line) == 0
    first.finish()
    assert first.error is None


def test_closing_ends_the_waiting_and_not_the_work(line):
    first, second = Visitor(line), Visitor(line)
    line.close()
    second.join()
    assert isinstance(second.error, ShuttingDownError)
    assert first.is_inside()
    first.finish()
    assert first.error is None
    with pytest.raises(ShuttingDownError), line.slot("quick"):
        pytest.fail("it was closed")


def test_a_failure_frees_the_place_and_teaches_nothing(line):
    with pytest.raises(ZeroDivisionError), line.slot("quick"):
        raise ZeroDivisionError
    with line.slot("quick") as ticket:
        assert line._durations.expected(ticket) is None
    assert line._durations.expected(ticket) is not None


def test_waiting_is_not_counted_as_work(line):
    first = Visitor(line)

    def work(progress):
        with line.slot("quick", progress=progress):
            return "done"

    steps = run_with_progress(work, seconds=0.4)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        assert next(steps) in (None, (QueuePosition(1, None), None))
    first.finish()
    assert list(steps)[-1] == "done"


# --- several turns at once -------------------------------------------------------------------


@pytest.fixture
def wide():
    line = Scheduler(max_concurrency=3)
    yield line
    line.close()


def test_as_many_work_at_once_as_the_line_is_wide(wide):
    visitors = [Visitor(wide) for _ in range(7)]
    wait_until(lambda: sum(one.is_inside() for one in visitors) == 3)
    assert [one.is_inside() for one in visitors] == [True] * 3 + [False] * 4
    visitors[1].finish()  # whoever is done first, the next in line follows
    wait_until(lambda: visitors[3].is_inside())
    assert not visitors[4].is_inside()
    for one in (visitors[0], *visitors[2:]):
        wait_until(lambda one=one: one.is_inside())
        one.finish()
    assert len(wide) == 0
    assert not wide.running


def test_places_count_on_all_who_work(wide):
    wide.record_duration("quick", None, 4.0)
    at_work = [Visitor(wide) for _ in range(3)]
    waiting = [Visitor(wide) for _ in range(4)]
    wait_until(lambda: all(one.told for one in waiting))
    assert [one.told[0] for one in waiting] == [
        "You are next, about 4 s …",
        "You are number 2 in the queue, about 4 s …",
        "You are number 3 in the queue, about 4 s …",
        "You are number 4 in the queue, about 8 s …",
    ]
    assert wide.estimated_wait() == 10  # 7 x 4 s by three
    for one in (*at_work, *waiting):
        one.finish()


def test_a_model_being_loaded_is_said_where_nobody_else_works(wide):
    def load(visitor, ticket):
        with ticket.loading_model():
            keep(visitor, ticket)

    wide.record_duration("quick", None, 4.0)
    loaders = [Visitor(wide, work=load) for _ in range(2)]
    third, fourth = Visitor(wide), Visitor(wide)
    wait_until(lambda: fourth.told)
    assert fourth.told == ["You are next, about 4 s …"]
    for one in (*loaders, third, fourth):
        one.finish()


def test_closing_a_wide_line_ends_the_waiting_and_not_the_work(wide):
    visitors = [Visitor(wide) for _ in range(4)]
    wide.close()
    visitors[3].join()
    assert isinstance(visitors[3].error, ShuttingDownError)
    for one in visitors[:3]:
        one.finish()
        assert one.error is None


# --- who is turned away ----------------------------------------------------------------------


def test_as_many_are_let_in_as_work_and_wait():
    line = Scheduler(max_concurrency=2, max_queue=3)
    with ExitStack() as calls:
        for _ in range(5):
            calls.enter_context(line.join())
        with pytest.raises(QueueFullError) as refused, line.join():
            pytest.fail("nobody was to be let in")
        assert (refused.value.waiting, refused.value.seconds) == (3, None)
        line.record_duration("quick", None, 3.0)
        with pytest.raises(QueueFullError) as refused, line.join():
            pytest.fail("nobody was to be let in")
        assert (refused.value.waiting, refused.value.seconds) == (3, 5)  # 3 x 3 s by two
    with line.join():  # all have gone again
        pass
    line.close()
    with pytest.raises(ShuttingDownError), line.join():
        pytest.fail("it was closed")


def test_a_call_that_fails_leaves_its_place():
    line = Scheduler(max_queue=0)
    with pytest.raises(ZeroDivisionError), line.join():
        raise ZeroDivisionError
    with line.join():
        pass


def test_the_time_told_is_the_one_measured(line):
    assert line.estimated_wait(4) is None
    line.record_duration("quick", None, 3.0)
    assert line.estimated_wait(4) == 12
    for _ in range(30):
        line.record_duration("quick", None, 0.1)
    assert line.estimated_wait(4) == 1


@pytest.mark.parametrize(
    ("waiting", "seconds", "text"),
    [
        (4, None, "Busy: 4 photos are waiting. Try again in a minute."),
        (1, 12, "Busy: 1 photo is waiting. Try again in about 12 s."),
    ],
)
def test_words_of_a_full_queue(waiting, seconds, text):
    assert user_message(log, QueueFullError(waiting, seconds)) == text


def test_words_of_those_who_waited_in_vain():
    assert user_message(log, ShuttingDownError()) == texts.CLOSING
    assert user_message(log, QueueTimeoutError(0.6, 2, 7)) == (
        "Timed out after 1 s in the queue. Busy: 2 photos are waiting. Try again in about 7 s."
    )
    assert user_message(log, DeadlineError(1.0)).startswith("This took more than 1 s, the limit")


@pytest.mark.parametrize(
    ("number", "seconds", "text"),
    [
        (1, 0.2, "You are next, about 1 s …"),
        (3, 7.1, "You are number 3 in the queue, about 8 s …"),
        (12, 10.4, "You are number 12 in the queue, about 15 s …"),
        (2, None, "You are number 2 in the queue …"),
    ],
)
def test_words_of_a_place(number, seconds, text):
    assert texts.queue_position(number, seconds) == text


def test_photos_that_wait_are_named():
    line = Scheduler()

    def wait(job: types.SimpleNamespace) -> None:
        with pytest.raises(ShuttingDownError), line.slot("m", request=job):
            pass

    jobs = [types.SimpleNamespace(source=source) for source in ("a.jpg", b"bytes", "b.jpg")]
    with line.slot("m", request=jobs[0]):
        waiting = [threading.Thread(target=wait, args=(job,)) for job in jobs[1:]]
        for thread in waiting:
            thread.start()
        wait_until(lambda: len(line) == 2)
        assert line.files() == {"a.jpg", "b.jpg"}
        line.close()
        for thread in waiting:
            thread.join()
    assert line.files() == set()
