"""The line before the network, in threads: turns, places, leaving, closing, sharing a turn."""

import threading
import time
import types
from collections.abc import Callable

import pytest

from page import words
from page.crowd import Crowd
from page.line import Line
from page.ticket import ClosingError, Ticket, WaitedError
from page.work import Report, StoppedError, with_reports


def wait_until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def keep(visitor: "Visitor", ticket: Ticket) -> None:
    """Have the turn until the test ends it."""
    assert visitor.end.wait(20)


class Visitor:
    """Waits for a turn in a thread of its own, and notes what is told; here once it waits."""

    def __init__(self, line: Line, model: str = "quick", work: Callable = keep) -> None:
        self.told: list[str] = []
        self.end, self.gone, self.inside = (threading.Event() for _ in range(3))
        self.error: Exception | None = None
        self.ticket: Ticket | None = None
        self._begin = (line, model, work)
        self._thread = threading.Thread(target=self._run, daemon=True)
        waiting = len(line)
        self._thread.start()
        wait_until(lambda: len(line) > waiting or self.inside.is_set() or self.error)

    def _run(self) -> None:
        line, model, work = self._begin
        report = Report(lambda text, fraction: self.told.append(text), self.gone.is_set)
        try:
            with line.turn(model, report=report, item=self) as self.ticket:
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
    line = Line()
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
    line.learn("quick", None, 4.0)
    first, second, third, fourth = (Visitor(line) for _ in range(4))
    wait_until(lambda: second.told and third.told and fourth.told)
    assert second.told == ["You are next, about 4 s …"]
    assert third.told == ["You are number 2 in line, about 8 s …"]
    assert fourth.told == ["You are number 3 in line, about 15 s …"]
    third.gone.set()
    third.join()
    assert isinstance(third.error, StoppedError)
    wait_until(lambda: len(fourth.told) > 1)
    assert fourth.told[1].startswith("You are number 2 in line, about ")
    for visitor in (first, second, fourth):
        visitor.finish()


def test_nobody_is_told_seconds_that_nobody_knows(line):
    first, second = Visitor(line), Visitor(line)
    wait_until(lambda: second.told)
    assert second.told == ["You are next …"]
    first.finish()
    second.finish()


def test_a_quick_model_passes_a_slow_ones_line(line):
    line.learn("slow", None, 2.0)
    line.learn("quick", None, 0.06)
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
        with ticket.preparing():
            keep(visitor, ticket)

    line.learn("quick", None, 1.0)
    loader = Visitor(line, work=load)
    second, third = Visitor(line), Visitor(line)
    wait_until(lambda: second.told and third.told)
    assert second.told == ["The network is being loaded; your photo is next …"]
    assert third.told == ["You are number 2 in line …"]
    time.sleep(0.3)
    for visitor in (second, third):
        visitor.end.set()
    loader.finish()
    for visitor in (second, third):
        visitor.join()
    assert line._pace.expected(second.ticket) < 1.0


def test_who_waits_too_long_is_sent_away(line):
    line.learn("quick", None, 3.0)
    first = Visitor(line)
    line.time_limit = 0.05
    second = Visitor(line)
    second.join()
    assert isinstance(second.error, WaitedError)
    assert "s without its turn coming. Busy: 1 photo is waiting. Try again in" in str(second.error)
    assert len(line) == 0
    first.finish()
    assert first.error is None


def test_closing_ends_the_waiting_and_not_the_work(line):
    first, second = Visitor(line), Visitor(line)
    line.close()
    second.join()
    assert isinstance(second.error, ClosingError)
    assert str(second.error) == words.CLOSING
    assert first.is_inside()
    first.finish()
    assert first.error is None
    with pytest.raises(ClosingError), line.turn("quick"):
        pytest.fail("it was closed")


def test_a_failure_frees_the_place_and_teaches_nothing(line):
    with pytest.raises(ZeroDivisionError), line.turn("quick"):
        raise ZeroDivisionError
    with line.turn("quick") as ticket:
        assert line._pace.expected(ticket) is None
    assert line._pace.expected(ticket) is not None


def test_waiting_is_not_counted_as_work(line):
    first = Visitor(line)

    def work(report):
        with line.turn("quick", report=report):
            return "done"

    steps = with_reports(work, seconds=0.4)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        assert next(steps) in (None, ("You are next …", None))
    first.finish()
    assert list(steps)[-1] == "done"


# --- a turn for several ----------------------------------------------------------------------


def test_those_who_wait_for_the_same_share_a_turn(line):
    go = threading.Event()

    def gather(visitor, ticket):
        keep(visitor, ticket)
        with line.gather(ticket, 3) as group:
            for one in group:
                one.outcome = [other.item for other in group]
        assert go.wait(20)

    leader = Visitor(line, work=gather)
    other, same = Visitor(line, "other"), [Visitor(line) for _ in range(3)]
    leader.end.set()
    wait_until(lambda: same[0].is_inside() and same[1].is_inside())
    assert not same[2].is_inside()
    assert not other.is_inside()
    for visitor in same:
        visitor.end.set()
    same[0].join()
    assert not other.is_inside()  # the turn is not over before all have left
    go.set()
    other.finish()
    same[2].join()
    together = [leader, *same[:2]]
    assert [v.ticket.outcome for v in (*together, same[2])] == [together] * 3 + [None]
    assert all(visitor.error is None for visitor in (leader, other, *same))


def test_a_shared_turn_that_fails_puts_the_others_back(line):
    def gather(visitor, ticket):
        keep(visitor, ticket)
        with line.gather(ticket) as group:
            assert len(group) == 3
            raise StoppedError

    leader = Visitor(line, work=gather)
    second, third = Visitor(line), Visitor(line)
    leader.end.set()
    leader.join()
    wait_until(lambda: second.is_inside())
    assert not third.is_inside()
    second.finish()
    third.finish()
    assert second.error is None
    assert third.error is None


# --- several turns at once -------------------------------------------------------------------


@pytest.fixture
def wide():
    line = Line(width=3)
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
    assert not wide._serving


def test_places_count_on_all_who_work(wide):
    wide.learn("quick", None, 4.0)
    at_work = [Visitor(wide) for _ in range(3)]
    waiting = [Visitor(wide) for _ in range(4)]
    wait_until(lambda: all(one.told for one in waiting))
    assert [one.told[0] for one in waiting] == [
        "You are next, about 4 s …",
        "You are number 2 in line, about 4 s …",
        "You are number 3 in line, about 4 s …",
        "You are number 4 in line, about 8 s …",
    ]
    assert wide.busy_text().endswith("Try again in about 10 s.")  # 7 x 4 s by three
    for one in (*at_work, *waiting):
        one.finish()


def test_a_model_being_loaded_is_said_where_nobody_else_works(wide):
    def load(visitor, ticket):
        with ticket.preparing():
            keep(visitor, ticket)

    wide.learn("quick", None, 4.0)
    loaders = [Visitor(wide, work=load) for _ in range(2)]
    third, fourth = Visitor(wide), Visitor(wide)
    wait_until(lambda: fourth.told)
    assert fourth.told == ["You are next, about 4 s …"]
    for one in (*loaders, third, fourth):
        one.finish()


def test_a_shared_turn_is_one_of_those_at_once(wide):
    def gather(visitor, ticket):
        keep(visitor, ticket)
        with wide.gather(ticket, 3) as group:
            for one in group:
                one.outcome = len(group)

    leader = Visitor(wide, work=gather)
    others = [Visitor(wide, "other") for _ in range(2)]
    same, last = [Visitor(wide) for _ in range(2)], Visitor(wide, "other")
    leader.end.set()
    leader.join()
    wait_until(lambda: all(one.is_inside() for one in same))
    same[0].finish()
    assert not last.is_inside()  # the turn is not over before all of it have left
    same[1].finish()
    wait_until(lambda: last.is_inside())
    assert [one.ticket.outcome for one in (leader, *same)] == [3, 3, 3]
    for one in (*others, last):
        one.finish()


def test_closing_a_wide_line_ends_the_waiting_and_not_the_work(wide):
    visitors = [Visitor(wide) for _ in range(4)]
    wide.close()
    visitors[3].join()
    assert isinstance(visitors[3].error, ClosingError)
    for one in visitors[:3]:
        one.finish()
        assert one.error is None


# --- who is turned away ----------------------------------------------------------------------


def test_a_full_line_tells_the_time_it_measured(line):
    crowd = Crowd(line, 4)
    assert crowd.line.busy_text(4) == "Busy: 4 photos are waiting. Try again in a minute."
    line.learn("quick", None, 3.0)
    assert crowd.line.busy_text(4).endswith("Try again in about 12 s.")
    for _ in range(30):
        line.learn("quick", None, 0.1)
    assert crowd.line.busy_text(4).endswith("Try again in about 1 s.")


@pytest.mark.parametrize(
    ("number", "seconds", "text"),
    [
        (1, 0.2, "You are next, about 1 s …"),
        (3, 7.1, "You are number 3 in line, about 8 s …"),
        (12, 10.4, "You are number 12 in line, about 15 s …"),
        (2, None, "You are number 2 in line …"),
    ],
)
def test_words_of_a_place(number, seconds, text):
    assert words.place(number, seconds) == text


def test_photos_that_wait_are_named():
    line = Line()

    def wait(job: types.SimpleNamespace) -> None:
        with pytest.raises(ClosingError), line.turn("m", item=job):
            pass

    jobs = [types.SimpleNamespace(source=source) for source in ("a.jpg", b"bytes", "b.jpg")]
    with line.turn("m", item=jobs[0]):
        waiting = [threading.Thread(target=wait, args=(job,)) for job in jobs[1:]]
        for thread in waiting:
            thread.start()
        wait_until(lambda: len(line) == 2)
        assert line.files() == {"a.jpg", "b.jpg"}
        line.close()
        for thread in waiting:
            thread.join()
    assert line.files() == set()
