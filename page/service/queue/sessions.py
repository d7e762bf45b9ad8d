"""Who is connected and who has left, and the answers that nobody comes for any more."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from page.gradio_internals import answered_sessions, drop_answers

if TYPE_CHECKING:
    import gradio as gr

AWAY_SECONDS = 3.0
"""A page closes its connection between two questions; after so long it has left."""
UNHEARD_SECONDS = 600.0
"""How long an answer is kept for a visitor who does not listen."""
MAX_LEFT, LEFT_SECONDS = 2000, 240.0
"""Beyond so many, those who left so long ago are forgotten."""


class Sessions:
    """The visitors, by their session's name, as far as the server must know them."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._left: dict[str, float] = {}
        self._unheard: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def connected(self, session: str) -> Iterator[None]:
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

    def is_connected(self, session: str) -> bool:
        """Whether a visitor's page listens for answers now."""
        with self._lock:
            return self._open.get(session, 0) > 0

    def touch(self, session: object) -> None:
        """A visitor asks for something: whatever was before, they are here."""
        with self._lock:
            self._left.pop(str(session), None)

    def has_disconnected(self, session: str | None) -> bool:
        """Whether a visitor's page has listened since it asked, and has not for some seconds.

        A page closes its connection between two questions, so a moment proves nothing; and a
        program may ask first and listen later.
        """
        with self._lock:
            since = self._left.get(session or "")
            return since is not None and time.monotonic() - since > AWAY_SECONDS

    def drop_unheard(self, demo: "gr.Blocks") -> None:
        """Forget finished answers of visitors who have not listened for some minutes.

        Gradio would keep them for ever. To be called now and then, on the event loop.

        Args:
            demo: the page.
        """
        now = time.monotonic()
        idle = {one for one in answered_sessions(demo) if not self.is_connected(one)}
        self._unheard = {session: self._unheard.get(session, now) for session in idle}
        for session, since in list(self._unheard.items()):
            if now - since >= UNHEARD_SECONDS:
                drop_answers(demo, session)
                del self._unheard[session]

    def _forget(self) -> None:
        if len(self._left) > MAX_LEFT:
            limit = time.monotonic() - LEFT_SECONDS
            self._left = {who: at for who, at in self._left.items() if at > limit}


def session_of(request: "gr.Request | None") -> str:
    """The visitor who asks, for whom the answer is remembered.

    "" for a call without a session of its own: Gradio makes one up, and nobody comes back with it.
    """
    if request is None or "/call/" in request.request.scope["path"]:
        return ""
    return request.session_hash or ""
