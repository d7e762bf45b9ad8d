"""What happens when a visitor does something: calls the service, hands values to the page."""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from page import texts
from page.handlers import BaseHandlers
from page.requests.locality import asked_at_home
from page.service.background import Progress, run_with_progress
from page.service.errors import CancelledError
from page.service.queue.sessions import session_of
from page.service.result_cache import SHARPER, LabelResult
from segmentation import PixelwiseError
from viewer import build_value, pixel_value

log = logging.getLogger(__name__)
_asking, _last = threading.Lock(), [0]


@dataclass(frozen=True)
class _Shown:
    """What the page gets at the end, one value for each of its outputs."""

    values: tuple[Any, ...]


class Handlers(BaseHandlers):
    """The page's event handlers, bound to one service; see `BaseHandlers`."""

    def label(
        self, photo: str | None, model: str, size: int, request: gr.Request | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Label the photo and say what is happening meanwhile.

        Yields:
            Values for the viewer, the facts line, the answer's key, the note on a download, the
            offer to run again and the timer that watches.
        """
        if not photo:
            yield None, "", "", *_no_offer()
            return
        unchanged = (gr.skip(), gr.skip(), *_no_offer())
        asked = _now()  # a result that was asked for earlier never covers a later one

        def work(progress: Progress) -> _Shown:
            whose = {"progress": progress, "session": session_of(request)}
            with self.service.label(photo, model, size or None, **whose) as answer:
                return self._shown(answer, asked, size)

        try:
            with self.service.scheduler.join():
                for step in run_with_progress(work, **self.limits(request)):
                    if isinstance(step, _Shown):
                        yield step.values
                    elif step is not None:
                        text, fraction = texts.step_text(step[0]), step[1]
                        yield {"status": "working", "text": text, "fraction": fraction}, *unchanged
        except CancelledError:
            log.info("a visitor left while their photo was being labelled")
        except Exception as error:
            yield {"status": "error", "text": self.told(error)}, *unchanged

    def _shown(self, answer: LabelResult, asked: int, size: int) -> _Shown:
        plain = size == SHARPER and answer.request.size is None
        notes = [*answer.notes, *([texts.NOT_SHARPER] if plain else [])]
        value = build_value(
            answer.result,
            answer.photo.image,
            cache=self.cache,
            key=answer.request.key,
            palette=answer.card.palette_array,
            note=" ".join(notes),
        )
        value["seq"] = asked
        offer = _no_offer()
        if answer.request.is_fallback:
            offer = self._offer(answer.request.requested_model)
        return _Shown((value, texts.run_facts(answer), answer.request.key, *offer))

    def _offer(self, name: str) -> tuple[Any, Any, Any]:
        """How a model's weights are doing, the offer to run again, the timer that watches them."""
        download = self.service.downloads.get(name)
        if download is None:
            return _no_offer()
        if download.error and not asked_at_home():
            return texts.FETCH_FAILED, *_no_offer()[1:]
        button = gr.update(
            visible=download.ended, value=texts.run_again(download), interactive=download.ended
        )
        return texts.download_note(download), button, gr.Timer(active=not download.ended)

    def watch_download(self, model: str) -> tuple[Any, Any, Any]:
        """What the page says while the model's weights arrive; the timer's tick."""
        try:
            return self._offer(self.service.resolve(model))
        except PixelwiseError:
            return _no_offer()

    def pixel(self, key: str, event: gr.EventData) -> dict[str, Any] | None:
        """The distribution over the classes at the pixel that a visitor pinned."""
        answer = self.service.results.get(key)
        if answer is None:
            return {"error": texts.FORGOTTEN}
        try:
            return pixel_value(answer.result, int(event.y), int(event.x), answer.card.palette_array)
        except (PixelwiseError, AttributeError, TypeError, ValueError) as error:
            return {"error": texts.error_text(error)}

    def leave(self, request: gr.Request) -> None:
        """A visitor has closed the page."""
        self.service.results.close(session_of(request))


def _now() -> int:
    """Microseconds that grow from one call to the next, and over a restart of this machine too."""
    with _asking:
        _last[0] = max(time.time_ns() // 1000, _last[0] + 1)
        return _last[0]


def _no_offer() -> tuple[Any, Any, Any]:
    return "", gr.update(visible=False), gr.Timer(active=False)
