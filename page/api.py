"""API endpoints `/segment`, `/probabilities` and `/compare`; see docs/api.md."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gradio as gr
import numpy as np

from page import texts
from page.components.photo_input import ImageValue
from page.handlers import BaseHandlers, png
from page.service.background import Progress, run_to_completion
from page.service.errors import CancelledError, QueueFullError
from page.service.queue.sessions import session_of
from page.service.result_cache import SHARPER, LabelResult
from page.tabs.events import QUEUED
from segmentation import ModelError, blend, colorize, write_indexed_png
from segmentation.export.records import result_facts

T = TypeVar("T")
Facts = dict[str, Any]

AGREE, DIFFER = 255, 0
OVERLAY_ALPHA = 0.6
SHARPER_SUFFIX = "+sharper"
"""Suffix of a model's name: average the sizes that its card has measured as sharper."""

DESCRIPTIONS = {
    "segment": "Labels every pixel of a photo. image: the photo's file. model: a model's name, or "
    "an empty text for the page's default; embedded+sharper averages two sizes. Returns labels (an "
    "indexed PNG at the photo's size: each value is a class index), overlay (a PNG for people) and "
    "facts (JSON, docs/schema/segment.schema.json).",
    "probabilities": "Tells how sure the network is at one pixel. image, model: as for /segment. "
    "y: the row, x: the column, whole numbers from 0. Returns JSON with the probability of each "
    "class, the winner, its margin and the entropy in bits "
    "(docs/schema/probabilities.schema.json).",
    "compare": "Labels a photo with two models. image: as for /segment. model_a, model_b: their "
    "names; an empty text is the page's default. Returns agreement (a grey PNG: 255 where both "
    "give a pixel the same class, 0 elsewhere), labels_a and labels_b (indexed PNGs) and facts "
    "(JSON, docs/schema/compare.schema.json).",
}
"""Each endpoint's description in `/gradio_api/info`."""


class Api(BaseHandlers):
    """The endpoints' functions; see `BaseHandlers`."""

    def segment(
        self, image: str, model: str, request: gr.Request | None = None
    ) -> tuple[str, str, Facts]:
        """Label a photo.

        Args:
            image: the photo's file.
            model: a model's name, or "" for the page's default. While that default is being
                downloaded, the built-in model is used and the facts name it. With the suffix
                "+sharper" two sizes are averaged.
            request: passed by Gradio.

        Returns:
            The label map (an indexed PNG of class indices at the photo's size), the overlay (a PNG)
            and the facts as JSON.
        """

        def build(answer: LabelResult) -> tuple[str, str, Facts]:
            colors = colorize(answer.result.class_map, answer.card.palette_array)
            overlay = blend(answer.photo.image, colors, OVERLAY_ALPHA)
            facts = {**result_facts(answer.result), "notes": list(texts.notes(answer))}
            return self._labels(answer), self.file(png(overlay), "overlay.png"), facts

        return self._run(
            lambda progress: self._label(image, model, request, progress, build), request
        )

    def probabilities(
        self, image: str, model: str, y: float, x: float, request: gr.Request | None = None
    ) -> Facts:
        """Return the distribution over the classes at one pixel.

        Args:
            image: the photo's file.
            model: as for `segment`.
            y: the row, a whole number from 0.
            x: the column, a whole number from 0.
            request: passed by Gradio.

        Returns:
            `segmentation.export.records.pixel_record` and the notes, as JSON.
        """

        def build(answer: LabelResult) -> Facts:
            from segmentation.export.records import pixel_record  # imports torch

            record = pixel_record(answer.result, _as_int(y), _as_int(x))
            return {**record, "notes": [*texts.notes(answer)]}

        return self._run(
            lambda progress: self._label(image, model, request, progress, build), request
        )

    def compare(
        self, image: str, model_a: str, model_b: str, request: gr.Request | None = None
    ) -> tuple[str, str, str, Facts]:
        """Label a photo with two models and return where they agree.

        Args:
            image: the photo's file.
            model_a: as `model` of `segment`.
            model_b: as `model_a`.
            request: passed by Gradio.

        Returns:
            Where they agree (a grey PNG: 255 yes, 0 no), both label maps (indexed PNGs) and the
            facts as JSON.
        """

        def work(progress: Progress) -> tuple[str, str, str, Facts]:
            sides = [
                self._label(image, model, request, progress, self._side)
                for model in (model_a, model_b)
            ]
            agreement, facts = _compare(sides)
            labels_a, labels_b = (side.labels for side in sides)
            return self.file(png(agreement), "agreement.png"), labels_a, labels_b, facts

        return self._run(work, request)

    def _run(self, work: Callable[[Progress], T], request: gr.Request | None) -> T:
        """Return what `work` returns, within the time limit.

        Raises:
            gr.Error: any error, with its text for the program.
        """
        session = getattr(request, "session_hash", None)
        has_left = functools.partial(self.sessions.has_disconnected, session)
        try:
            with self.service.scheduler.join():
                return run_to_completion(
                    work, seconds=self.service.time_limit, is_cancelled=has_left
                )
        except CancelledError:
            raise gr.Error("You have left.", print_exception=False) from None
        except QueueFullError as error:
            raise gr.Error(self.error_text(error), title="Busy", print_exception=False) from None
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(self.error_text(error), print_exception=False) from error

    def _label(
        self,
        image: str,
        model: str,
        request: gr.Request | None,
        progress: Progress,
        build: Callable[[LabelResult], T],
    ) -> T:
        """Label a photo and return what `build` makes of the result, while it holds the slot."""
        if not image:
            raise gr.Error("No photo came with this call.", print_exception=False)
        name = model.removesuffix(SHARPER_SUFFIX)
        size = SHARPER if name != model else None
        session = session_of(request)
        with self.service.label(
            image, name, size, session=session, progress=progress, allow_fallback=not name
        ) as answer:
            if size == SHARPER and answer.request.size is None:
                raise ModelError(texts.NOT_SHARPER)
            return build(answer)

    def _labels(self, answer: LabelResult) -> str:
        """Write the label map as an indexed PNG and return its path."""
        labels = write_indexed_png(answer.result.class_map, answer.card.palette_array)
        return self.file(labels, "labels.png")

    def _side(self, answer: LabelResult) -> "_Side":
        """Return the part of a result that `compare` needs: a byte a pixel."""
        from segmentation.export.records import how_good, model_record

        result = answer.result
        facts = {**model_record(result), **how_good(answer.card, answer.request.size)}
        notes = texts.notes(answer)
        return _Side(self._labels(answer), result.class_map, result.categories, facts, notes)


class _Side(NamedTuple):
    """One model's result in a comparison.

    Attributes:
        labels: path of its label map.
        class_map: (H, W) uint8.
        categories: raw class names.
        facts: the model and its figures; see `segmentation.export.records.how_good`.
        notes: see `page.texts.notes`.
    """

    labels: str
    class_map: np.ndarray
    categories: tuple[str, ...]
    facts: Facts
    notes: tuple[str, ...]


def _compare(sides: list[_Side]) -> tuple[np.ndarray, Facts]:
    """Return where two results agree, (H, W) uint8, and the facts of the comparison."""
    from segmentation.export.records import comparison_record
    from segmentation.inference.metrics import joint_classes, overlaps

    maps, names = joint_classes([s.class_map for s in sides], [s.categories for s in sides])
    same = maps[0] == maps[1]
    facts = comparison_record(
        [side.facts for side in sides], same.shape, float(same.mean()), overlaps(*maps, names)
    )
    notes = list(dict.fromkeys(note for side in sides for note in side.notes))
    return np.where(same, AGREE, DIFFER).astype(np.uint8), {**facts, "notes": notes}


def _as_int(value: float | None) -> Any:
    """Return 3 for 3.0, as JSON has no integers; others as they are, for `pixel` to refuse."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def add_endpoints(api: Api) -> None:
    """Add the endpoints to the `gr.Blocks` that is being built."""
    with gr.Column(visible=False):
        image = ImageValue(label="image")
        model, model_b = gr.Textbox("", label="model"), gr.Textbox("", label="model_b")
        y, x = gr.Number(label="y"), gr.Number(label="x")
        labels, overlay = gr.File(label="labels"), gr.File(label="overlay")
        agreement = gr.File(label="agreement")
        labels_a, labels_b = gr.File(label="labels_a"), gr.File(label="labels_b")
        facts = gr.JSON(label="facts")
        endpoints = {
            "segment": ([image, model], [labels, overlay, facts]),
            "probabilities": ([image, model, y, x], [facts]),
            "compare": ([image, model, model_b], [agreement, labels_a, labels_b, facts]),
        }
        models = ", ".join(Path(model).name for model in api.service.here())
        for name, (inputs, outputs) in endpoints.items():
            gr.Button(name).click(
                getattr(api, name),
                inputs,
                outputs,
                api_name=name,
                api_description=f"{DESCRIPTIONS[name]} Models here: {models}.",
                **QUEUED,
            )
