"""What happens when a visitor does something: calls the engine, hands values to the page."""

import io
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from segmentation import PixelwiseError, blend, colorize, write_indexed_png
from viewer import build_value, pixel_value
from viewer.files import keep_file

from . import words
from .crowd import Crowd
from .engine import Engine
from .kept import Answer
from .work import Report, StoppedError, finish, free_memory, with_reports

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Shown:
    """What the page gets at the end, one value for each of its outputs."""

    values: tuple[Any, ...]


class Handlers:
    """The page's event handlers, bound to one engine.

    Args:
        engine: answers the photos.
        cache: Gradio's folder for files that visitors may fetch.
        crowd: who waits, and for how long they may.
    """

    def __init__(self, engine: Engine, cache: str, crowd: Crowd | None = None) -> None:
        self.engine = engine
        self.cache = cache
        self.crowd = crowd or Crowd(engine.line)

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
        asked = time.monotonic_ns()  # a result that was asked for earlier never covers a later one

        def work(report: Report) -> _Shown:
            whose = {"report": report, "session": _session(request)}
            with self.engine.answering(photo, model, size or None, **whose) as answer:
                return self._shown(answer, asked)

        try:
            for step in with_reports(work, **self._limits(request)):
                if isinstance(step, _Shown):
                    yield step.values
                elif step is not None:
                    text, fraction = step
                    yield {"status": "working", "text": text, "fraction": fraction}, *unchanged
        except StoppedError:
            log.info("a visitor left while their photo was being labelled")
        except Exception as error:
            yield {"status": "error", "text": self._told(error)}, *unchanged

    def _limits(self, request: gr.Request | None) -> dict[str, Any]:
        """How long a request may work, and how to know that its visitor has left."""
        session = getattr(request, "session_hash", None)
        return {"seconds": self.crowd.time_limit, "gone": lambda: self.crowd.has_left(session)}

    def _told(self, error: Exception) -> str:
        """What the visitor is told of an error; what only we should know goes to the log."""
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            log.warning("out of memory: %s", error)
            free_memory()
            return words.NO_MEMORY
        if isinstance(error, PixelwiseError):
            if words.is_memory_error(error):
                free_memory()
            return words.error_text(error)
        log.error("labelling failed", exc_info=error)
        return words.BUSY

    def label_later(
        self, photo: Any, model: Any, size: Any, request: gr.Request
    ) -> tuple[Any, ...]:
        """The answer of `label` to those who are turned away."""
        text = self.crowd.refusal(request)
        return {"status": "error", "text": text}, gr.skip(), gr.skip(), *_no_offer()

    def segment_later(self, image: Any, model: Any, request: gr.Request) -> None:
        """The answer of `segment` to those who are turned away."""
        raise gr.Error(self.crowd.refusal(request), title="Busy", print_exception=False)

    def _shown(self, answer: Answer, asked: int) -> _Shown:
        value = build_value(
            answer.result,
            answer.photo.image,
            cache=self.cache,
            key=answer.key,
            palette=answer.palette,
            note=" ".join(answer.notes),
        )
        value["seq"] = asked
        offer = self._offer(answer.asked) if answer.waiting else _no_offer()
        return _Shown((value, words.run_facts(answer), answer.key, *offer))

    def _offer(self, name: str) -> tuple[Any, Any, Any]:
        """How a model's weights are doing, the offer to run again, the timer that watches them."""
        download = self.engine.downloads.get(name)
        if download is None:
            return _no_offer()
        button = gr.update(
            visible=download.ended, value=words.run_again(download), interactive=download.ended
        )
        return words.download_note(download), button, gr.Timer(active=not download.ended)

    def watch_download(self, model: str) -> tuple[Any, Any, Any]:
        """What the page says while the model's weights arrive; the timer's tick."""
        try:
            return self._offer(self.engine.resolve(model))
        except PixelwiseError:
            return _no_offer()

    def pixel(self, key: str, event: gr.EventData) -> dict[str, Any] | None:
        """The distribution over the classes at the pixel that a visitor pinned."""
        answer = self.engine.recall(key)
        if answer is None:
            return {"error": words.FORGOTTEN}
        try:
            return pixel_value(
                answer.result, int(event._data["y"]), int(event._data["x"]), answer.palette
            )
        except (PixelwiseError, KeyError, TypeError, ValueError) as error:
            return {"error": words.error_text(error)}

    def segment(
        self, image: str, model: str, request: gr.Request | None = None
    ) -> tuple[str, str, dict[str, Any]]:
        """Label a photo; for programs.

        Args:
            image: the photo's file.
            model: a model's name, or an empty string for the page's default. Where that default
                still needs a download, the built-in model answers and the JSON names it.
            request: who asks; Gradio gives it.

        Returns:
            The label map (an indexed PNG of class indices at the photo's size), the overlay (a PNG)
            and the facts as JSON.
        """
        if not image:
            raise gr.Error("No photo came with this call.", print_exception=False)

        def work(report: Report) -> tuple[str, str, dict[str, Any]]:
            whose = {"report": report, "session": _session(request)}
            with self.engine.answering(image, model, stand_in=not model, **whose) as answer:
                return self._files(answer)

        try:
            return finish(work, **self._limits(request))
        except StoppedError:
            raise gr.Error("You have left.", print_exception=False) from None
        except Exception as error:
            raise gr.Error(self._told(error), print_exception=False) from error

    def _files(self, answer: Answer) -> tuple[str, str, dict[str, Any]]:
        """An answer for programs; see `segment`."""
        result, palette = answer.result, answer.palette
        colors = colorize(result.class_map, palette)
        overlay = blend(answer.photo.image, colors, words.API_ALPHA)
        return (
            self._file(write_indexed_png(result.class_map, palette), "labels.png"),
            self._file(_png(overlay), "overlay.png"),
            {**result.to_json(), "notes": list(answer.notes)},
        )

    def leave(self, request: gr.Request) -> None:
        """A visitor has closed the page."""
        self.engine.kept.close(_session(request))

    def _file(self, data: bytes, name: str) -> str:
        return str(keep_file(data, name, self.cache))


def _session(request: gr.Request | None) -> str:
    """The visitor who asks, for whom the answer is remembered.

    "" for a call without a session of its own: Gradio makes one up, and nobody comes back with it.
    """
    if request is None or "/call/" in request.request.scope["path"]:
        return ""
    return request.session_hash or ""


def _no_offer() -> tuple[Any, Any, Any]:
    return "", gr.update(visible=False), gr.Timer(active=False)


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
