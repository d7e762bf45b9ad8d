"""Handlers of the tab Label's events."""

import functools
import itertools
import logging
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from page import texts
from page.handlers import BaseHandlers
from page.requests.locality import asked_at_home
from page.service.background import Progress, Report, run_with_progress
from page.service.errors import CancelledError
from page.service.queue.sessions import session_of
from page.service.result_cache import SHARPER
from segmentation import PixelwiseError
from viewer import build_value, pixel_value

log = logging.getLogger(__name__)
_sequence = itertools.count(time.time_ns() // 1000)
"""Rises with each request, and over a restart of the server (fewer than 1e6 requests a second)."""
_NO_OFFER = ("", gr.update(visible=False), gr.update(active=False))
"""No note on a download, no button to run again, and the timer is off."""


class Handlers(BaseHandlers):
    """The handlers, bound to one service; see `BaseHandlers`."""

    def label(
        self, photo: str | None, model: str, size: int, request: gr.Request | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Label the photo and show what is happening meanwhile.

        Yields:
            Values for the viewer, the facts, the result's key, the note on a download, the button
            to run again and the timer that watches the download.
        """
        if not photo:
            yield None, "", "", *_NO_OFFER
            return
        unchanged = (gr.skip(), gr.skip(), *_NO_OFFER)
        work = functools.partial(
            self._label, photo, model, size, session_of(request), next(_sequence)
        )
        has_left = functools.partial(
            self.sessions.has_disconnected, getattr(request, "session_hash", None)
        )
        try:
            with self.service.scheduler.join():
                for step in run_with_progress(
                    work, seconds=self.service.time_limit, is_cancelled=has_left
                ):
                    if isinstance(step, Report):
                        text = texts.step_text(step.step)
                        status = {"status": "working", "text": text, "fraction": step.fraction}
                        yield status, *unchanged
                    elif step is not None:
                        yield step
        except CancelledError:
            log.info("a visitor left while their photo was being labelled")
        except Exception as error:
            yield {"status": "error", "text": self.error_text(error)}, *unchanged

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
            photo, model, size or None, progress=progress, session=session
        ) as result:
            request, notes = result.request, [*texts.notes(result)]
            if size == SHARPER and request.size is None:
                notes.append(texts.NOT_SHARPER)
            value = build_value(
                result.result,
                result.photo.image,
                cache=self.cache,
                key=request.key,
                palette=result.card.palette_array,
                note=" ".join(notes),
            )
            value["seq"] = number
            offer = self._offer(request.requested_model) if request.is_fallback else _NO_OFFER
            return value, texts.run_facts(result), request.key, *offer

    def _offer(self, name: str) -> tuple[Any, Any, Any]:
        """Return the note on a model's download, the button to run again and the timer."""
        download = self.service.downloads.get(name)
        if download is None:
            return _NO_OFFER
        if download.error and not asked_at_home():
            return texts.FETCH_FAILED, *_NO_OFFER[1:]
        button = gr.update(
            visible=download.ended, value=texts.run_again(download), interactive=download.ended
        )
        return texts.download_note(download), button, gr.update(active=not download.ended)

    def watch_download(self, model: str) -> tuple[Any, Any, Any]:
        """Return the same for the chosen model, at each tick of the timer."""
        try:
            return self._offer(self.service.resolve(model))
        except PixelwiseError:
            return _NO_OFFER

    def pixel(self, key: str, event: gr.EventData) -> dict[str, Any] | None:
        """Return the distribution over the classes at the pixel that was clicked."""
        result = self.service.results.get(key)
        if result is None:
            return {"error": texts.FORGOTTEN}
        try:
            return pixel_value(result.result, int(event.y), int(event.x), result.card.palette_array)
        except (PixelwiseError, AttributeError, TypeError, ValueError) as error:
            return {"error": texts.error_text(error)}

    def leave(self, request: gr.Request) -> None:
        """Evict a visitor's results soon, because the page was closed."""
        self.service.results.close(session_of(request))
