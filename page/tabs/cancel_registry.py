"""Stop buttons: each visitor ends their own runs, at the run's next step."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from page.service.queue.sessions import session_of

ARRIVED = "pixelwise.arrived"
"""The entry of a request's scope with the time at which it came, by `time.monotonic`."""
MAX_PRESSED = 1000


class CancelRegistry:
    """The runs that one stop button ends.

    The run itself says that it was stopped, as its last step. Gradio's own `cancels=` takes the
    run away from under its steps instead, and now and then the page then shows an error.
    """

    def __init__(self) -> None:
        self._running: dict[str, set[threading.Event]] = {}
        self._pressed: OrderedDict[str, float] = OrderedDict()  # session -> when, the last time
        self._lock = threading.Lock()

    @contextmanager
    def register(self, request: gr.Request | None) -> Iterator[threading.Event]:
        """For as long as a visitor's run lasts; the event is set when they press the button."""
        session, event = session_of(request), threading.Event()
        with self._lock:
            if self._pressed.get(session, 0.0) > _arrived(request):  # while it was still waiting
                event.set()
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
        if not session:
            return
        with self._lock:
            for event in self._running.get(session, ()):
                event.set()
            self._pressed[session] = time.monotonic()
            self._pressed.move_to_end(session)
            while len(self._pressed) > MAX_PRESSED:
                self._pressed.popitem(last=False)

    def stoppable(self, run: Callable[..., Iterator[str]]) -> Callable[..., Iterator[Any]]:
        """A run that ends after the step at which its visitor presses the button.

        Args:
            run: yields what one output shows; the step that was on its way is not shown.
        """

        def steps(request: gr.Request, *inputs: Any) -> Iterator[Any]:
            with self.register(request) as stop:
                if stop.is_set():
                    yield gr.skip()
                    return
                for step in run(*inputs):
                    yield gr.skip() if stop.is_set() else step
                    if stop.is_set():
                        return

        steps.__name__ = getattr(run, "__name__", "steps")  # Gradio names the endpoint by it
        return steps


def _arrived(request: gr.Request | None) -> float:
    """When a request came; a call within this process always has just come."""
    scope = getattr(getattr(request, "request", None), "scope", None) or {}
    return scope.get(ARRIVED, time.monotonic())
