"""What happens when a visitor does something: calls the engine, hands values to the page."""

import io
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from segmentation import PixelwiseError, blend, colorize, write_indexed_png
from viewer import build_value, pixel_value

from . import words
from .engine import Answer, Engine, Report

T = TypeVar("T")
log = logging.getLogger(__name__)


def with_reports(work: Callable[[Report], T]) -> Iterator[tuple[str, float | None] | T]:
    """Run `work` in a thread and yield what it reports, then what it returns.

    Args:
        work: takes a function to report to: (what is happening, fraction done or None).

    Raises:
        Whatever `work` raises.
    """
    reports: queue.Queue[tuple[str, float | None] | None] = queue.Queue()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work(lambda text, fraction=None: reports.put((text, fraction))))
        except BaseException as error:  # raised again below, in the caller's thread
            failure.append(error)
        finally:
            reports.put(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while (report := reports.get()) is not None:
        yield report
    thread.join()
    if failure:
        raise failure[0]
    yield outcome[0]


class Handlers:
    """The page's event handlers, bound to one engine.

    Args:
        engine: answers the photos.
        cache: Gradio's folder for files that visitors may fetch.
    """

    def __init__(self, engine: Engine, cache: str) -> None:
        self.engine = engine
        self.cache = cache

    def label(self, photo: str | None, model: str, size: int) -> Iterator[tuple[Any, ...]]:
        """Label the photo and say what is happening meanwhile.

        Yields:
            Values for the viewer, the facts line, the answer's key, the note on a download, the
            offer to run again and the timer that watches.
        """
        if not photo:
            yield None, "", "", *_no_offer()
            return
        unchanged = (gr.skip(), gr.skip(), *_no_offer())
        try:
            for step in with_reports(
                lambda report: self.engine.segment(photo, model, size or None, report=report)
            ):
                if not isinstance(step, Answer):
                    text, fraction = step
                    yield {"status": "working", "text": text, "fraction": fraction}, *unchanged
                    continue
                yield self._shown(step)
        except Exception as error:
            if not isinstance(error, PixelwiseError):
                log.exception("labelling failed")
            text = words.error_text(error) if isinstance(error, PixelwiseError) else words.BUSY
            yield {"status": "error", "text": text}, *unchanged

    def _shown(self, answer: Answer) -> tuple[Any, ...]:
        value = build_value(
            answer.result,
            answer.photo.image,
            cache=self.cache,
            key=answer.key,
            palette=answer.palette,
            note=" ".join(answer.notes),
        )
        value["seq"] = time.monotonic_ns()
        offer = self._offer(answer.asked) if answer.waiting else _no_offer()
        return value, words.run_facts(answer), answer.key, *offer

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
        return self._offer(self.engine.resolve(model))

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

    def segment(self, image: str, model: str) -> tuple[str, str, dict[str, Any]]:
        """Label a photo; for programs.

        Args:
            image: the photo's path or address.
            model: a model's name, or an empty string for the page's default. Where that default
                still needs a download, the built-in model answers and the JSON names it.

        Returns:
            The label map (an indexed PNG of class indices at the photo's size), the overlay (a PNG)
            and the facts as JSON.
        """
        if not image:
            raise gr.Error("No photo came with this call.", print_exception=False)
        try:
            answer = self.engine.segment(image, model, stand_in=not model)
        except PixelwiseError as error:
            raise gr.Error(words.error_text(error), print_exception=False) from error
        result, palette = answer.result, answer.palette
        colors = colorize(result.class_map, palette)
        overlay = blend(answer.photo.image, colors, words.API_ALPHA)
        return (
            self._file(write_indexed_png(result.class_map, palette), "labels.png"),
            self._file(_png(overlay), "overlay.png"),
            {**result.to_json(), "notes": list(answer.notes)},
        )

    def _file(self, data: bytes, name: str) -> str:
        return str(Path(save_bytes_to_cache(data, name, self.cache)))


def _no_offer() -> tuple[Any, Any, Any]:
    return "", gr.update(visible=False), gr.Timer(active=False)


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
