"""Handlers of the tab Label's events."""

import functools
import itertools
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from page import texts
from page.components import labelled_example
from page.components.labelled_example import LabelledExample
from page.components.photo_input import browser_shows
from page.handlers import BaseHandlers
from page.requests.locality import asked_at_home
from page.service.background import Progress, Report, run_with_progress
from page.service.errors import CancelledError
from page.service.queue.sessions import session_of
from page.service.result_cache import SHARPER
from page.tabs.cancel_registry import CancelRegistry
from page.tabs.examples import examples_folder
from page.tabs.model_menu import FETCH, model_choices
from segmentation import PixelwiseError
from viewer import build_value, pixel_value

log = logging.getLogger(__name__)
_sequence = itertools.count(time.time_ns() // 1000)
"""Rises with each request, and over a restart of the server (fewer than 1e6 requests a second)."""
_NO_NOTE = ("", gr.update(active=False))
"""No note on a download, and its timer is off."""


class Handlers(BaseHandlers):
    """The handlers, bound to one service; see `BaseHandlers`.

    Attributes:
        cancels: cancels a visitor's photo that is in progress.
        example: the labelled example that the page opens with.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cancels = CancelRegistry()
        self.example = LabelledExample(examples_folder())

    def label(
        self, photo: str | None, model: str, size: int, request: gr.Request | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Label the photo and show what is happening meanwhile.

        Args:
            photo: its path; an `UploadedPhoto` knows whether the browser shows its own copy.
            model: the menu's choice.
            size: see `LabelingService.label`; 0 for the model's own.
            request: the call's, where it came from a browser.

        Yields:
            Values for the viewer, the chip that names the model, the facts, the result's key, the
            note on a download, and the timer that watches it.
        """
        if not photo:
            yield (gr.skip(),) * 6
            return
        unchanged = (gr.skip(),) * 5
        source = {"source": str(photo)}
        work = functools.partial(
            self._label, photo, model, size, session_of(request), next(_sequence)
        )
        session = getattr(request, "session_hash", None)
        try:
            with self.cancels.register(request) as stop, self.service.scheduler.join():
                for step in run_with_progress(
                    work,
                    seconds=self.service.time_limit,
                    is_cancelled=lambda: stop.is_set() or self.sessions.has_disconnected(session),
                ):
                    if isinstance(step, Report):
                        text = texts.step_text(step.step)
                        status = {"status": "working", "text": text, "fraction": step.fraction}
                        yield {**status, **source}, *unchanged
                    elif step is not None:
                        yield step
        except CancelledError:
            log.info("a visitor left, or cancelled, while their photo was being labelled")
            yield (gr.skip(),) * 6
        except Exception as error:
            yield {"status": "error", "text": self.error_text(error), **source}, *unchanged

    def cancel(self, request: gr.Request) -> None:
        """Cancel the visitor's photo that is in progress."""
        self.cancels.stop(request)

    def _label(
        self, photo: str, model: str, size: int, session: str, number: int, progress: Progress
    ) -> tuple[Any, ...]:
        """Return the page's values for a labelled photo.

        Args:
            photo: the photo's path.
            model: the model's name.
            size: the shorter side of the network's input; 0 for the model's own.
            session: the visitor's session.
            number: of the request; a result never covers that of a later request.
            progress: receives the steps.
        """
        with self.service.label(
            str(photo), model, size or None, progress=progress, session=session
        ) as result:
            request, notes = result.request, [*result.photo.notes]
            if size == SHARPER and request.size is None:
                notes.append(texts.NOT_SHARPER)
            value = build_value(
                result.result,
                result.photo.image,
                cache=self.cache,
                key=request.key,
                palette=result.card.palette_array,
                note=" ".join(notes),
                source=str(photo),
                is_shown=getattr(photo, "is_shown", False) and browser_shows(photo),
            )
            value["seq"] = number
            download = self._watched(request.requested_model) if request.is_fallback else _NO_NOTE
            return value, texts.chip(result), texts.run_facts(result), request.key, *download

    def _watched(self, name: str) -> tuple[Any, Any]:
        """Return the note on a model's download, and the timer that watches it."""
        download = self.service.downloads.get(name)
        if download is None:
            return _NO_NOTE
        note = texts.download_note(download, why=asked_at_home())
        return note, gr.update(active=not download.ended)

    def fetch(self, choice: str | None) -> tuple[Any, Any]:
        """Start the download of the larger model; return its note and its timer."""
        try:
            name = self.service.resolve((choice or "").removeprefix(FETCH))
        except PixelwiseError as error:
            return self.error_text(error), gr.update(active=False)
        self.service.downloads.start(name)
        return self._watched(name)[0], gr.update(active=True)

    def watch_download(self, choice: str | None) -> tuple[Any, Any, Any, Any]:
        """What the page says while the larger model arrives; the timer's tick.

        Returns:
            The note, the timer, the menu, where the model is chosen once it is here, and the
            offer: taken back then, and to be taken again where it could not be fetched.
        """
        try:
            name = self.service.resolve((choice or "").removeprefix(FETCH))
        except PixelwiseError:
            return "", gr.update(active=False), gr.skip(), gr.skip()
        note, timer = self._watched(name)
        if self.service.is_ready(name):
            menu = gr.update(choices=model_choices(self.service), value=Path(name).name)
            return note, gr.update(active=False), menu, gr.update(choices=[], value=None)
        return note, timer, gr.skip(), gr.skip() if timer["active"] else gr.update(value=None)

    def pixel(self, key: str, event: gr.EventData) -> dict[str, Any] | None:
        """Return the distribution over the classes at the pixel that was clicked."""
        shown = getattr(event, "id", key)  # the result that the viewer shows
        if shown == labelled_example.KEY:
            return self._example_pixel(event)
        result = self.service.results.get(key) if shown == key else None
        if result is None:
            return {"error": texts.FORGOTTEN}
        try:
            return pixel_value(result.result, int(event.y), int(event.x), result.card.palette_array)
        except (PixelwiseError, AttributeError, TypeError, ValueError) as error:
            return {"error": texts.error_text(error)}

    def _example_pixel(self, event: gr.EventData) -> dict[str, Any]:
        try:
            return self.example.pixel_value(int(event.y), int(event.x))
        except (AttributeError, TypeError, ValueError):
            return {"error": texts.FORGOTTEN}

    def leave(self, request: gr.Request) -> None:
        """Evict a visitor's results soon, because the page was closed."""
        self.service.results.close(session_of(request))
