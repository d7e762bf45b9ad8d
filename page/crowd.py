"""Who waits, for how long, and who has left: what is needed to turn people away politely."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .line import Line as NetworkLine

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
        line: where they wait for the network.
        max_queue: how many may wait.
        time_limit: seconds that one may work.
    """

    def __init__(
        self, line: NetworkLine | None = None, max_queue: int = 32, time_limit: float = 120.0
    ) -> None:
        self.line = NetworkLine(time_limit) if line is None else line  # an empty one is falsy
        self.max_queue = max_queue
        self.time_limit = time_limit
        self.entering = 0  # calls let in that are not in the queue yet
        self.closing = False
        self._open: Counter[str] = Counter()
        self._left: dict[str, float] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Take nobody in any more and send away those who wait; photos at work may end."""
        self.closing = True
        self.line.close()

    def refusal(self, request: "gr.Request") -> str:
        """What somebody is told who is turned away at the door."""
        waiting = request.request.scope.get("pixelwise.waiting", self.max_queue)
        return self.line.busy_text(waiting)

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

    def is_listening(self, session: str) -> bool:
        """Whether a visitor's page listens for answers now."""
        with self._lock:
            return self._open.get(session, 0) > 0

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


def waiting(demo: "gr.Blocks", width: int = 1) -> int:
    """How many calls wait for the network: all that are under way but the `width` at work."""
    found = demo._queue.event_queue_per_concurrency_id.get(LINE)
    return max(0, found.current_concurrency - width) + len(found.queue) if found else 0


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
