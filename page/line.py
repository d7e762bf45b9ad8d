"""The line before the network: one photo at a time (or a few), each visitor told their place.

Who is next is told by `fair.FairOrder`. A visitor waits in a thread that holds the photo's file
name and nothing else: it is decoded when its turn has come, so a long line costs little memory.

Photos can be taken into one turn (`Line.gather`), for networks on a GPU. On a CPU they go one by
one: on two cores (AMD EPYC, float32, channels_last) a batch of four took 1.25 times as long as four
single photos with deeplabv3_mobilenet_v3_large at 520 px, and 0.78 times as long with the built-in
model at 192 px, where it would save 2.5 ms a photo.

Where other machines do the work, as many turns run at once as they can take (`width`).
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import words
from .fair import FairOrder, Pace, starts
from .ticket import ClosingError, Ticket, WaitedError
from .work import TICK_SECONDS, Report, quiet

MAX_GROUP = 8
"""Photos that are run together at most."""
RECOUNT_SECONDS = 5.0
"""How long a place and its seconds stand while the line does not move: a text that changes each
second is no calm one, and a screen reader would speak it each time."""
FIRST_TICK_SECONDS = 0.02
"""A shorter wait is not worth a sentence."""


class Line:
    """Who is at work and who waits.

    Args:
        time_limit: seconds that one may wait.
        width: how many turns may run at once.
    """

    def __init__(self, time_limit: float = 120.0, width: int = 1) -> None:
        self.time_limit = time_limit
        self.width = width
        self._pace = Pace()
        self._order: FairOrder[Ticket] = FairOrder(self._pace)
        self._serving: list[Ticket] = []
        self._places: dict[Ticket, tuple[int, float | None]] = {}
        self._counted = -math.inf
        self._closed = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many wait."""
        with self._lock:
            return len(self._order)

    @property
    def at_work(self) -> int:
        """How many have their turn."""
        with self._lock:
            return len(self._serving)

    @contextmanager
    def turn(
        self,
        model: str,
        size: int | None = None,
        *,
        report: Report = quiet,
        item: Any = None,
        learns: bool = True,
        typical: bool = True,
    ) -> Iterator[Ticket]:
        """Wait for a turn, and have it while the block runs.

        Args:
            model: whose photos share the network's time; see `fair.Waits`.
            size: what else a photo's seconds depend on.
            report: is told the place in the line whenever it changes.
            item: see `Ticket`.
            learns: where the block ends well, the next one is expected to take as long.
            typical: see `Ticket`; others have no number in the line that people are told.

        Yields:
            The ticket; with an `outcome` if somebody else has done the work already.

        Raises:
            WaitedError: the turn did not come in time.
            ClosingError: the page is being closed.
            StoppedError: nobody waits for this any more.
        """
        ticket = Ticket(model, size, item, typical=typical)
        learns_now = False
        try:
            self._join(ticket)
            with report.standing():
                self._wait(ticket, report)
            yield ticket
            learns_now = learns
        finally:
            self._leave(ticket, learns_now)

    @contextmanager
    def gather(self, ticket: Ticket, most: int = MAX_GROUP) -> Iterator[list[Ticket]]:
        """Take those who wait for the same model and size into the turn of one.

        The block gives each ticket its `outcome`; one without is back in the line afterwards.

        Args:
            ticket: whose turn it is.
            most: how many, this one included.

        Yields:
            This ticket and the others, first come first.
        """
        others = self._take_like(ticket, most - 1)
        ticket.together = len(others) + 1
        try:
            yield [ticket, *others]
        finally:
            self._release(others)

    def learn(self, model: str, size: int | None, seconds: float) -> None:
        """Note how long a photo took."""
        with self._lock:
            self._pace.learn(model, size, seconds)

    def busy_text(self, waiting: int | None = None) -> str:
        """What somebody is told who finds too many waiting.

        Args:
            waiting: how many wait, where some are not in this line yet.
        """
        with self._lock:
            tickets = self._order.in_order()
            waiting = max(waiting or 0, len(tickets))
            seconds = None
            if self._pace.mean is not None:
                total = sum(rest or 0.0 for rest in self._rests())
                total += sum(map(self._pace.charge, tickets))
                total += (waiting - len(tickets)) * self._pace.mean
                seconds = max(1, math.ceil(total / self.width))
        return words.busy(waiting, seconds)

    def files(self) -> set[str]:
        """The photos that are still to be read, as far as they are files."""
        with self._lock:
            tickets = [*self._order.in_order(), *self._serving]
        sources = (getattr(ticket.item, "source", None) for ticket in tickets)
        return {source for source in sources if isinstance(source, str)}

    def close(self) -> None:
        """Send away those who wait and those who come; whoever is at work may end."""
        with self._lock:
            self._closed = True
            for ticket in self._order.in_order():
                self._order.remove(ticket)
                ticket.called.set()

    def _join(self, ticket: Ticket) -> None:
        with self._lock:
            if self._closed:
                raise ClosingError(words.CLOSING)
            if not self._serving and not len(self._order):
                self._order.forget_debts()
            self._order.add(ticket)
            self._call_next()

    def _wait(self, ticket: Ticket, report: Report) -> None:
        told = ""
        while not ticket.called.wait(TICK_SECONDS if told else FIRST_TICK_SECONDS):
            report.check()
            self._check_patience(ticket)
            text = self._place_text(ticket)
            if text and text != told:
                report(text)
                told = text
        with self._lock:
            if ticket not in self._serving:
                raise ClosingError(words.CLOSING)

    def _check_patience(self, ticket: Ticket) -> None:
        waited = time.monotonic() - ticket.since
        with self._lock:
            late = waited > self.time_limit and ticket in self._order
        if late:
            raise WaitedError(f"{words.waited(waited)} {self.busy_text()}")

    def _place_text(self, ticket: Ticket) -> str:
        """What a visitor is told; nothing where the turn has come."""
        with self._lock:
            if time.monotonic() - self._counted > RECOUNT_SECONDS:
                self._places = self._count()
                self._counted = time.monotonic()
            if ticket not in self._places:
                return ""
            number, seconds = self._places[ticket]
            prepares = bool(self._serving) and all(one.prepares for one in self._serving)
            return words.place(number, seconds, prepares)

    def _count(self) -> dict[Ticket, tuple[int, float | None]]:
        """Each one's place, and the seconds until its turn, where they are known."""
        tickets = self._order.in_order()
        begins = starts(self._rests(), map(self._pace.expected, tickets))
        places: dict[Ticket, tuple[int, float | None]] = {}
        number = 0
        for ticket, begin in zip(tickets, begins, strict=True):
            number += ticket.typical
            places[ticket] = (max(1, number), begin)
        return places

    def _turns(self) -> list[Ticket]:
        """Of each turn at work one ticket."""
        return list({one.leader or one: one for one in self._serving}.values())

    def _rests(self) -> list[float | None]:
        """Seconds until each place at the network is free, where they are known."""
        rests: list[float | None] = []
        for one in self._turns():
            expected = self._pace.expected(one)
            if one.prepares or expected is None:
                rests.append(None)
            else:
                done = time.monotonic() - one.counts_from
                rests.append(max(0.0, one.together * expected - done))
        return rests + [0.0] * (self.width - len(rests))

    def _leave(self, ticket: Ticket, learns: bool) -> None:
        with self._lock:
            self._order.remove(ticket)
            if ticket in self._serving:
                self._serving.remove(ticket)
                now = time.monotonic()
                self._order.settle(ticket, (now - ticket.began) / ticket.together)
                if learns:
                    seconds = (now - ticket.counts_from) / ticket.together
                    self._pace.learn(ticket.model, ticket.size, seconds, ticket.typical)
            self._call_next()

    def _call_next(self) -> None:
        self._counted = -math.inf
        while not self._closed and len(self._turns()) < self.width:
            ticket = self._order.pop()
            if ticket is None:
                return
            self._serve(ticket)
            ticket.called.set()

    def _serve(self, ticket: Ticket) -> None:
        self._serving.append(ticket)
        ticket.began = ticket.counts_from = time.monotonic()

    def _take_like(self, ticket: Ticket, most: int) -> list[Ticket]:
        with self._lock:
            others = self._order.like(ticket, most)
            for one in others:
                self._order.take(one)
                self._serve(one)
                one.leader = ticket.leader or ticket
                one.together = len(others) + 1
            self._counted = -math.inf
            return others

    def _release(self, taken: list[Ticket]) -> None:
        """Let those go on whose work is done, and the others wait on at their places."""
        with self._lock:
            self._counted = -math.inf
            for ticket in reversed(taken):
                if ticket not in self._serving:  # its visitor has left
                    continue
                if ticket.outcome is None and not self._closed:
                    self._serving.remove(ticket)
                    self._order.settle(ticket, 0.0)
                    self._order.add(ticket, first=True)
                    ticket.together, ticket.leader = 1, None
                    continue
                if ticket.outcome is None:
                    self._serving.remove(ticket)
                ticket.called.set()
