"""Answers that nobody has come for: Gradio would keep them for ever."""

import time
from typing import TYPE_CHECKING

from .crowd import Crowd

if TYPE_CHECKING:
    import gradio as gr

UNHEARD_SECONDS = 600.0
"""How long an answer is kept for a visitor who does not listen."""


class Sessions:
    """Forgets the finished answers of visitors who have not listened for some minutes.

    Args:
        demo: the page.
        crowd: who listens.
    """

    def __init__(self, demo: "gr.Blocks", crowd: Crowd) -> None:
        self.demo = demo
        self.crowd = crowd
        self._since: dict[str, float] = {}

    def forget_unheard(self) -> None:
        """To be called now and then, on the event loop: Gradio's queue belongs to it."""
        queue, now = self.demo._queue, time.monotonic()
        alive = {event.session_hash for event in queue.event_ids_to_events.values()}
        idle = {
            session
            for session in queue.pending_messages_per_session
            if session not in alive and not self.crowd.is_listening(session)
        }
        self._since = {session: self._since.get(session, now) for session in idle}
        for session, since in list(self._since.items()):
            if now - since >= UNHEARD_SECONDS:
                queue.pending_messages_per_session.pop(session, None)
                queue.pending_event_ids_session.pop(session, None)
                del self._since[session]
