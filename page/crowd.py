"""Who waits, for how long, and who has left: what is needed to turn people away politely."""

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import words

if TYPE_CHECKING:
    import gradio as gr

LINE = "network"
"""The `concurrency_id` of everything that runs the network."""
DOOR = "door"
"""The `concurrency_id` of the answers to those who are turned away; nobody waits there."""
LEFT_SECONDS = 3.0


class Crowd:
    """The people on the page, as far as the server must know them.

    Args:
        max_queue: how many may wait.
        time_limit: seconds that one may wait, and seconds that one may work.
    """

    def __init__(self, max_queue: int = 32, time_limit: float = 120.0) -> None:
        self.max_queue = max_queue
        self.time_limit = time_limit
        self.entering = 0  # calls let in that are not in the queue yet
        self.closing = False
        self._pace: float | None = None
        self._open: Counter[str] = Counter()
        self._left: dict[str, float] = {}
        self._lock = threading.Lock()

    def served(self, seconds: float) -> None:
        """Learn how long a photo takes: a mean that forgets slowly."""
        with self._lock:
            self._pace = seconds if self._pace is None else 0.8 * self._pace + 0.2 * seconds

    def busy_text(self, waiting: int) -> str:
        """What somebody is told who finds the queue full.

        Args:
            waiting: how many wait.
        """
        seconds = None if self._pace is None else max(1, math.ceil(waiting * self._pace))
        return words.busy(waiting, seconds)

    def refusal(self, request: "gr.Request") -> str:
        """What somebody is told who is turned away: at the door, or after waiting too long."""
        scope = request.request.scope
        waited = time.monotonic() - scope.get("pixelwise.arrived", time.monotonic())
        text = self.busy_text(scope.get("pixelwise.waiting", self.max_queue))
        return f"{words.waited(waited)} {text}" if waited > self.time_limit else text

    @contextmanager
    def listening(self, session: str) -> Iterator[None]:
        """For as long as a visitor's page listens for answers."""
        with self._lock:
            self._open[session] += 1
            self._left.pop(session, None)
        try:
            yield
        finally:
            with self._lock:
                self._open[session] -= 1
                if self._open[session] <= 0:
                    del self._open[session]
                    self._left[session] = time.monotonic()
                    self._forget()

    def asks(self, session: object) -> None:
        """A visitor asks for something: whatever was before, they are here."""
        with self._lock:
            self._left.pop(str(session), None)

    def has_left(self, session: str | None) -> bool:
        """Whether a visitor's page has listened since it asked, and has not for some seconds.

        A page closes its connection between two questions, so a moment proves nothing; and a
        program may ask first and listen later.
        """
        with self._lock:
            since = self._left.get(session or "")
            return since is not None and time.monotonic() - since > LEFT_SECONDS

    def _forget(self) -> None:
        if len(self._left) > 2000:
            limit = time.monotonic() - 2 * self.time_limit
            self._left = {who: at for who, at in self._left.items() if at > limit}


def waiting(demo: "gr.Blocks", line: str = LINE) -> int:
    """How many calls wait in a line of Gradio's queue."""
    found = demo._queue.event_queue_per_concurrency_id.get(line)
    return len(found.queue) if found else 0


def add_doors(demo: "gr.Blocks", doors: dict[str, Any]) -> dict[int, int]:
    """Give functions a substitute that answers at once when the line is full.

    Gradio itself would answer with an error that says nothing. The substitute has the same inputs
    and outputs, so the page and programs take its answer as they take any other.

    Args:
        demo: the page, while it is being built.
        doors: the name of a function's endpoint -> the substitute.

    Returns:
        The function's number -> its substitute's number.
    """
    numbers = {}
    for number, fn in list(demo.fns.items()):
        substitute = doors.get(str(fn.api_name))
        if substitute is None:
            continue
        _, made = demo.default_config.set_event_trigger(
            [],
            substitute,
            fn.inputs,
            fn.outputs,
            preprocess=False,
            no_target=True,
            show_progress="hidden",
            api_name=f"{fn.api_name}_later",
            api_visibility="private",
            concurrency_id=DOOR,
            concurrency_limit=None,
        )
        numbers[number] = made
    return numbers


async def move_late(demo: "gr.Blocks", doors: dict[int, int], limit: float) -> int:
    """Let those who have waited too long have their answer now.

    Args:
        demo: the running page.
        doors: what `add_doors` returned.
        limit: seconds.

    Returns:
        How many there were.
    """
    queue = demo._queue
    line = queue.event_queue_per_concurrency_id.get(LINE)
    late = [e for e in line.queue if time.monotonic() - e.enqueue_time > limit] if line else []
    for event in late:
        door = doors.get(event.fn._id)
        if door is None:
            continue
        async with queue.delete_lock:
            if event not in line.queue:  # its turn came
                continue
            line.queue.remove(event)
            event.fn = demo.fns[door]
            event.concurrency_id = event.fn.concurrency_id
            queue.create_event_queue_for_fn(event.fn)
            queue.event_queue_per_concurrency_id[DOOR].queue.append(event)
    return len(late)
