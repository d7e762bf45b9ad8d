"""What happens when a visitor does something: calls the service, hands values to the page."""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from page import texts
from page.components import labelled_example
from page.components.labelled_example import LabelledExample
from page.components.photo_input import browser_shows
from page.handlers import BaseHandlers
from page.requests.locality import asked_at_home
from page.service.background import Progress, run_with_progress
from page.service.errors import CancelledError
from page.service.queue.sessions import session_of
from page.service.result_cache import SHARPER, LabelResult
from page.tabs.cancel_registry import CancelRegistry
from page.tabs.examples import examples_folder
from page.tabs.model_menu import FETCH, model_choices
from segmentation import PixelwiseError
from viewer import build_value, pixel_value

log = logging.getLogger(__name__)
_asking, _last = threading.Lock(), [0]


@dataclass(frozen=True)
class _Shown:
    """What the page gets at the end, one value for each of its outputs."""

    values: tuple[Any, ...]


class Handlers(BaseHandlers):
    """The page's event handlers, bound to one service; see `BaseHandlers`.

    Attributes:
        cancels: ends a visitor's photo that is under way.
        example: what the page arrives with.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cancels = CancelRegistry()
        self.example = LabelledExample(examples_folder())

    def label(
        self, photo: str | None, model: str, size: int, request: gr.Request | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Label the photo and say what is happening meanwhile.

        Args:
            photo: its path; an `UploadedPhoto` knows whether the browser shows its own copy.
            model: the menu's choice.
            size: see `LabelingService.label`; 0 for the model's own.
            request: the call's, where it came from a browser.

        Yields:
            Values for the viewer, the chip of who answered, the facts, the answer's key, the note
            on a download, and the timer that watches it.
        """
        if not photo:
            yield (gr.skip(),) * 6
            return
        unchanged = (gr.skip(),) * 5
        asked = _now()  # a result that was asked for earlier never covers a later one
        source = {"source": str(photo)}

        def work(progress: Progress) -> _Shown:
            whose = {"progress": progress, "session": session_of(request)}
            with self.service.label(str(photo), model, size or None, **whose) as answer:
                return self._shown(answer, asked, size, photo)

        try:
            with self.cancels.register(request) as stop, self.service.scheduler.join():
                limits = self.limits(request)
                has_left = limits.pop("is_cancelled")

                def is_over() -> bool:
                    return stop.is_set() or has_left()

                for step in run_with_progress(work, is_cancelled=is_over, **limits):
                    if isinstance(step, _Shown):
                        yield step.values
                    elif step is not None:
                        text, fraction = texts.step_text(step[0]), step[1]
                        told = {"status": "working", "text": text, "fraction": fraction}
                        yield {**told, **source}, *unchanged
        except CancelledError:
            log.info("a visitor left, or cancelled, while their photo was being labelled")
            yield (gr.skip(),) * 6
        except Exception as error:
            yield {"status": "error", "text": self.told(error), **source}, *unchanged

    def cancel(self, request: gr.Request) -> None:
        """A visitor does not want their photo any more."""
        self.cancels.stop(request)

    def _shown(self, answer: LabelResult, asked: int, size: int, photo: str) -> _Shown:
        plain = size == SHARPER and answer.request.size is None
        notes = [*answer.notes, *([texts.NOT_SHARPER] if plain else [])]
        value = build_value(
            answer.result,
            answer.photo.image,
            cache=self.cache,
            key=answer.request.key,
            palette=answer.card.palette_array,
            note=" ".join(notes),
            source=str(photo),
            is_shown=getattr(photo, "is_shown", False) and browser_shows(photo),
        )
        value["seq"] = asked
        watched = ("", gr.Timer(active=False))
        if answer.request.is_fallback:
            watched = self._watched(answer.request.requested_model)
        facts = texts.run_facts(answer)
        return _Shown((value, texts.chip(answer), facts, answer.request.key, *watched))

    def _watched(self, name: str) -> tuple[Any, Any]:
        """How a model's weights are doing, and the timer that watches them."""
        download = self.service.downloads.get(name)
        if download is None:
            return "", gr.Timer(active=False)
        note = texts.download_note(download, why=asked_at_home())
        return note, gr.Timer(active=not download.ended)

    def fetch(self, choice: str | None) -> tuple[Any, Any]:
        """Somebody wants the larger model: begin to fetch it, and watch how it gets on."""
        try:
            name = self.service.resolve((choice or "").removeprefix(FETCH))
        except PixelwiseError as error:
            return self.told(error), gr.Timer(active=False)
        self.service.downloads.start(name)
        return self._watched(name)[0], gr.Timer(active=True)

    def watch_download(self, choice: str | None) -> tuple[Any, Any, Any, Any]:
        """What the page says while the larger model arrives; the timer's tick.

        Returns:
            The note, the timer, the menu, where the model is chosen once it is here, and the
            offer: taken back then, and to be taken again where it could not be fetched.
        """
        try:
            name = self.service.resolve((choice or "").removeprefix(FETCH))
        except PixelwiseError:
            return "", gr.Timer(active=False), gr.skip(), gr.skip()
        note, timer = self._watched(name)
        if self.service.is_ready(name):
            menu = gr.update(choices=model_choices(self.service), value=Path(name).name)
            return note, gr.Timer(active=False), menu, gr.update(choices=[], value=None)
        return note, timer, gr.skip(), gr.skip() if timer.active else gr.update(value=None)

    def pixel(self, key: str, event: gr.EventData) -> dict[str, Any] | None:
        """The distribution over the classes at the pixel that a visitor pinned."""
        shown = getattr(
            event, "id", key
        )  # what the viewer shows, and the server may have forgotten
        if shown == labelled_example.KEY:
            return self._example_pixel(event)
        answer = self.service.results.get(key) if shown == key else None
        if answer is None:
            return {"error": texts.FORGOTTEN}
        try:
            return pixel_value(answer.result, int(event.y), int(event.x), answer.card.palette_array)
        except (PixelwiseError, AttributeError, TypeError, ValueError) as error:
            return {"error": texts.error_text(error)}

    def _example_pixel(self, event: gr.EventData) -> dict[str, Any]:
        try:
            return self.example.pixel_value(int(event.y), int(event.x))
        except (AttributeError, TypeError, ValueError):
            return {"error": texts.FORGOTTEN}

    def leave(self, request: gr.Request) -> None:
        """A visitor has closed the page."""
        self.service.results.close(session_of(request))


def _now() -> int:
    """Microseconds that grow from one call to the next, and over a restart of this machine too."""
    with _asking:
        _last[0] = max(time.time_ns() // 1000, _last[0] + 1)
        return _last[0]
