"""Stop buttons: each visitor ends their own runs, at the run's next step."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from .service import session_of


class Stops:
    """The runs that one stop button ends.

    The run itself says that it was stopped, as its last step. Gradio's own `cancels=` takes the
    run away from under its steps instead, and now and then the page then shows an error.
    """

    def __init__(self) -> None:
        self._running: dict[str, set[threading.Event]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def running(self, request: gr.Request | None) -> Iterator[threading.Event]:
        """For as long as a visitor's run lasts; the event is set when they press the button."""
        session, event = session_of(request), threading.Event()
        with self._lock:
            self._running.setdefault(session, set()).add(event)
        try:
            yield event
        finally:
            with self._lock:
                self._running[session].discard(event)
                if not self._running[session]:
                    del self._running[session]

    def stop(self, request: gr.Request) -> None:
        """End the visitor's runs; a call without a session of its own has none."""
        session = session_of(request)
        with self._lock:
            for event in self._running.get(session, ()) if session else ():
                event.set()
