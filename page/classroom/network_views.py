"""The classroom's views that run the network again: inside, resolution, compare, break it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from page.classroom import figures as fig
from page.classroom import text as words
from page.classroom.chart import sweep_chart
from page.classroom.session import ClassroomSession, palette_of, told
from page.service.result_cache import LabelResult
from segmentation import Segmentation
from segmentation.explain.ablation import has_skip, replace_logits, without_skip
from segmentation.explain.colormap import apply_colormap
from segmentation.explain.feature_maps import (
    FeatureMap,
    feature_maps,
    pca_rgb,
    strongest_channels,
)
from segmentation.explain.perturbations import PERTURBATIONS
from segmentation.inference.metrics import changed_pixels

CHANNELS = 6
SIZES = (130, 260, 520, 780, 1040)
"""Shorter sides of the walk through sizes, in pixels."""


class NetworkViews:
    """Views that run networks, step by step: each yields what it has so far.

    Args:
        lab: finds answers and networks.
        examples: the folder of the example photos.
    """

    def __init__(self, lab: ClassroomSession, examples: Path) -> None:
        self.lab = lab
        self.examples = examples

    @told
    def inside(self, key: str) -> Iterator[str]:
        """Feature maps at each stage, and what the skip connection adds."""
        answer = self.lab.answer(key)
        network = self.lab.segmenter(answer).model.network
        yield words.working("Running the photo through every stage …", 1, 3)
        batch = self.lab.batch(answer)
        with self.lab.service.exclusive():
            maps = feature_maps(network, batch)
        yield words.working("Drawing the stages …", 2, 3)
        shown = self.lab.who(answer) + "".join(_stage(m) for m in maps)
        if not has_skip(network):
            yield shown + words.note(
                "This model has no skip connection that could be cut: its head sees the last "
                "feature map alone. A DeepLabV3+, a U-Net or LR-ASPP has one.",
                "error",
            )
            return
        with self.lab.service.exclusive(), torch.inference_mode(), without_skip(network):
            cut = replace_logits(answer.result, network(batch)["out"])
        changed, share = changed_pixels(answer.result.class_map, cut.class_map)
        palette, image = palette_of(answer), answer.photo.image
        yield (
            shown
            + f"<h3>With and without the {words.linked('[[skip|skip connection]]')}</h3>"
            + fig.row(
                fig.label_figure(image, answer.result, palette, "<strong>With</strong> "),
                fig.label_figure(image, cut, palette, "<strong>Without</strong> zeros instead. "),
                fig.frame(
                    fig.marked(image, changed),
                    f"<strong>{words.percent(share)} of the pixels changed.</strong>",
                    alt="Where the labels changed without the skip connection",
                    photo_size=changed.shape,
                ),
                linked=True,
            )
        )

    @told
    def resolution(self, key: str) -> Iterator[str]:
        """The photo at five sizes: labels, seconds, changed pixels, and the trade as a chart."""
        answer = self.lab.answer(key)
        palette, image = palette_of(answer), answer.photo.image
        own = answer.card.resize
        yield words.working("The model's own size …", 0, len(SIZES) + 1)
        plain = self._again(answer, None)
        figures: list[str] = []
        points: list[tuple[int, float, float]] = []
        for number, size in enumerate(SIZES, 1):
            yield self._sized(figures) + words.working(f"{size} px …", number, len(SIZES) + 1)
            result = self._again(answer, size)
            share = changed_pixels(plain.class_map, result.class_map)[1]
            points.append((size, result.seconds, share))
            figures.append(
                fig.label_figure(
                    image,
                    result,
                    palette,
                    f"<strong>{size} px</strong> {words.seconds(result.seconds)}, "
                    f"{words.percent(share)} changed ",
                )
            )
        yield (
            self.lab.who(answer)
            + self._sized(figures)
            + sweep_chart(points, own)
            + words.note(
                f"Changed against the model's own size, {own} px on the shorter side. The seconds "
                "include preparing the photo and deciding every pixel."
            )
        )

    @staticmethod
    def _sized(figures: Sequence[str]) -> str:
        return fig.row(*figures, linked=True, classes="cl-many") if figures else ""

    def _again(self, answer: LabelResult, size: int | None) -> Segmentation:
        """The same photo and model at a size; from memory where it was run before."""
        if size == answer.request.size:
            return answer.result
        again = self.lab.again(answer, answer.request.used_model, size)
        return again.result

    @told
    def broken(self, key: str, names: Sequence[str]) -> Iterator[str]:
        """Break the photo in each named way: labels before and after, share of changed pixels."""
        answer = self.lab.answer(key)
        segmenter = self.lab.segmenter(answer)
        palette = palette_of(answer)
        shown = self.lab.who(answer)
        for number, name in enumerate(names):
            one = PERTURBATIONS[name]
            yield shown + words.working(f"{one.title} …", number, len(names))
            image = one.apply(answer.photo.image)
            with self.lab.service.exclusive():
                result = segmenter.predict(image, size=answer.request.size)
            size = answer.result.class_map.shape
            share = changed_pixels(
                answer.result.class_map, one.back(result.class_map, size), one.valid(size)
            )[1]
            shown += f"<h3>{one.title}: {words.percent(share)} of the pixels changed</h3>"
            shown += fig.row(
                fig.label_figure(answer.photo.image, answer.result, palette, "<b>Before</b> "),
                fig.label_figure(image, result, palette, "<b>After</b> ", pick=False),
                classes="cl-pair cl-small",
            )
        yield shown + words.note(
            "Counted over the pixels that both pictures show, each brought back to its place."
        )

    @told
    def foreign(self, key: str, name: str) -> Iterator[str]:
        """An example photo with nothing of the 20 classes, and why it is labelled anyway."""
        yield words.working("Labelling every pixel …")
        service = self.lab.service
        shown = self.lab.answer(key) if key else None
        asked, session = (shown.request.used_model, shown.request.session) if shown else (None, "")
        answer = service.segment(str(self.examples / f"{name}.jpg"), asked, session=session)
        yield (
            self.lab.who(answer)
            + fig.row(
                fig.frame(fig.shrunk(answer.photo.image), "The photo", alt=f"{name}", pick=False),
                fig.label_figure(
                    answer.photo.image, answer.result, palette_of(answer), "", pick=False
                ),
                classes="cl-pair cl-small",
            )
            + words.note(f"{words.NOTHING_HERE[name]} {words.SURE}")
        )


def _stage(found: FeatureMap) -> str:
    channels, height, width = found.features.shape
    picture, share = pca_rgb(found.features)
    strong = strongest_channels(found.features, CHANNELS)
    stride = words.linked(f"[[stride]] {found.stride}")
    pictures = [
        fig.frame(
            _enlarged((picture * 255).round().astype(np.uint8)),
            f"three components, {share:.0%} of the variance",
            alt=f"Three components of {found.name}",
            pick=False,
            exact=True,
            classes="cl-pca",
        )
    ]
    pictures += [
        fig.frame(
            _enlarged(apply_colormap(values)),
            f"channel {channel}",
            alt=f"Channel {channel} of {found.name}",
            pick=False,
            exact=True,
        )
        for channel, values in strong
    ]
    return (
        f"<h3>{words.escape(found.name)} <small>{found.part}: {channels} channels of {height} × "
        f"{width} cells, {stride}</small></h3>" + fig.row(*pictures, classes="cl-strip")
    )


def _enlarged(image: np.ndarray, side: int = 160) -> np.ndarray:
    """Small maps by whole cells, large ones cut down to what a strip shows."""
    times = max(1, side // max(image.shape[:2]))
    if times > 1:
        return image.repeat(times, axis=0).repeat(times, axis=1)
    size = fig.fit(image.shape[:2], side * 2)
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX))
