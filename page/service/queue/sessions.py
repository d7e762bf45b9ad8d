"""Which visitors are connected, and which have left."""

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
"""A page closes its connection between two requests; after so long without one it has left."""
UNHEARD_SECONDS = 600.0
"""How long Gradio's finished responses are kept for a visitor without a connection."""
MAX_LEFT, LEFT_SECONDS = 2000, 240.0
"""With more sessions than this, those that left so long ago are forgotten."""


class Sessions:
    """The connections of visitors, by session."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._left_at: dict[str, float] = {}
        self._idle_since: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def connected(self, session: str) -> Iterator[None]:
        """Count a connection on which a visitor's page receives responses, while the block runs."""
        with self._lock:
            self._open[session] += 1
            self._left_at.pop(session, None)
        try:
            yield
        finally:
            with self._lock:
                self._open[session] -= 1
                if self._open[session] <= 0:
                    del self._open[session]
                    self._left_at[session] = time.monotonic()
                    self._forget()

    def is_connected(self, session: str) -> bool:
        """Return whether a visitor's page has a connection now."""
        with self._lock:
            return self._open.get(session, 0) > 0

    def touch(self, session: object) -> None:
        """Note a request of a visitor, who has not left, then."""
        with self._lock:
            self._left_at.pop(str(session), None)

    def has_disconnected(self, session: str | None) -> bool:
        """Return whether a visitor's page had a connection and has had none for some seconds.

        A page closes its connection between two requests, so a moment proves nothing; and a
        program may call first and connect later.
        """
        with self._lock:
            since = self._left_at.get(session or "")
            return since is not None and time.monotonic() - since > AWAY_SECONDS

    def drop_unheard(self, demo: "gr.Blocks") -> None:
        """Delete finished responses of visitors without a connection for some minutes.

        Gradio would keep them for ever. Must be called repeatedly, on the event loop.

        Args:
            demo: the page.
        """
        now = time.monotonic()
        idle = {name for name in answered_sessions(demo) if not self.is_connected(name)}
        self._idle_since = {session: self._idle_since.get(session, now) for session in idle}
        for session, since in list(self._idle_since.items()):
            if now - since >= UNHEARD_SECONDS:
                drop_answers(demo, session)
                del self._idle_since[session]

    def _forget(self) -> None:
        if len(self._left_at) > MAX_LEFT:
            limit = time.monotonic() - LEFT_SECONDS
            self._left_at = {name: at for name, at in self._left_at.items() if at > limit}


def session_of(request: "gr.Request | None") -> str:
    """Return the session whose results are cached.

    "" for a call without a session of its own: Gradio makes one up, and no later call has it.
    """
    if request is None or "/call/" in request.request.scope["path"]:
        return ""
    return request.session_hash or ""
