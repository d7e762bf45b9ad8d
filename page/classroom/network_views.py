"""The classroom's views that run the network again: inside, resolution, break it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from page.classroom import figures as fig
from page.classroom import text as texts
from page.classroom.chart import sweep_chart
from page.classroom.session import ClassroomSession, errors_as_html
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
"""Shorter sides of the input in view 6, in pixels."""


class NetworkViews:
    """Views that run networks in steps: each yields the HTML so far.

    Args:
        lab: the results and networks.
        examples: the folder of the example photos.
    """

    def __init__(self, lab: ClassroomSession, examples: Path) -> None:
        self.lab = lab
        self.examples = examples

    @errors_as_html
    def inside(self, key: str) -> Iterator[str]:
        """Yield HTML of each stage's feature maps, and of the skip connection's effect."""
        entry = self.lab.entry(key)
        network = self.lab.segmenter(entry).model.network
        yield texts.working("Running the photo through every stage …", 1, 3)
        batch = self.lab.batch(entry)
        with self.lab.service.exclusive():
            maps = feature_maps(network, batch)
        yield texts.working("Drawing the stages …", 2, 3)
        shown = self.lab.model_line(entry) + "".join(_stage(m) for m in maps)
        if not has_skip(network):
            yield shown + texts.note(
                "This model has no skip connection that could be cut: its head sees the last "
                "feature map alone. A DeepLabV3+, a U-Net or LR-ASPP has one.",
                "error",
            )
            return
        with self.lab.service.exclusive(), torch.inference_mode(), without_skip(network):
            cut = replace_logits(entry.result, network(batch)["out"])
        changed, share = changed_pixels(entry.result.class_map, cut.class_map)
        yield (
            shown
            + f"<h3>With and without the {texts.linked('[[skip|skip connection]]')}</h3>"
            + fig.row(
                fig.label_figure(entry, "<strong>With</strong> "),
                fig.label_figure(entry, "<strong>Without</strong> zeros instead. ", result=cut),
                fig.frame(
                    fig.highlight(entry.photo.image, changed),
                    f"<strong>{texts.percent(share)} of the pixels changed.</strong>",
                    alt="Where the labels changed without the skip connection",
                    photo_size=changed.shape,
                ),
                linked=True,
            )
        )

    @errors_as_html
    def resolution(self, key: str) -> Iterator[str]:
        """Yield HTML of the photo at five sizes: labels, seconds, changed pixels, and a chart."""
        entry = self.lab.entry(key)
        own = entry.card.resize
        yield texts.working("The model's own size …", 0, len(SIZES) + 1)
        plain = self._again(entry, None)
        figures: list[str] = []
        points: list[tuple[int, float, float]] = []
        for number, size in enumerate(SIZES, 1):
            yield self._sized(figures) + texts.working(f"{size} px …", number, len(SIZES) + 1)
            result = self._again(entry, size)
            share = changed_pixels(plain.class_map, result.class_map)[1]
            points.append((size, result.seconds, share))
            figures.append(
                fig.label_figure(
                    entry,
                    f"<strong>{size} px</strong> {texts.seconds(result.seconds)}, "
                    f"{texts.percent(share)} changed ",
                    result=result,
                )
            )
        yield (
            self.lab.model_line(entry)
            + self._sized(figures)
            + sweep_chart(points, own)
            + texts.note(
                f"Changed against the model's own size, {own} px on the shorter side. The seconds "
                "include preparing the photo and deciding every pixel."
            )
        )

    @staticmethod
    def _sized(figures: Sequence[str]) -> str:
        return fig.row(*figures, linked=True, classes="cl-many") if figures else ""

    def _again(self, entry: LabelResult, size: int | None) -> Segmentation:
        """Return the result of the same photo and model at a size, cached if possible."""
        if size == entry.request.size:
            return entry.result
        return self.lab.relabel(entry, entry.request.used_model, size).result

    @errors_as_html
    def broken(self, key: str, names: Sequence[str]) -> Iterator[str]:
        """Yield HTML of each perturbation: labels before and after, share of changed pixels."""
        entry = self.lab.entry(key)
        segmenter = self.lab.segmenter(entry)
        shown = self.lab.model_line(entry)
        for number, name in enumerate(names):
            perturbation = PERTURBATIONS[name]
            yield shown + texts.working(f"{perturbation.title} …", number, len(names))
            image = perturbation.apply(entry.photo.image)
            with self.lab.service.exclusive():
                result = segmenter.predict(image, size=entry.request.size)
            size = entry.result.class_map.shape
            restored = perturbation.back(result.class_map, size)
            share = changed_pixels(entry.result.class_map, restored, perturbation.valid(size))[1]
            shown += f"<h3>{perturbation.title}: {texts.percent(share)} of the pixels changed</h3>"
            shown += fig.row(
                fig.label_figure(entry, "<b>Before</b> "),
                fig.label_figure(entry, "<b>After</b> ", image=image, result=result, pick=False),
                classes="cl-pair cl-small",
            )
        yield shown + texts.note(
            "Counted over the pixels that both images show, each moved back to its position."
        )

    @errors_as_html
    def foreign(self, key: str, name: str) -> Iterator[str]:
        """Yield HTML of an example photo without the 20 classes, and why it is labelled anyway."""
        yield texts.working("Labelling every pixel …")
        service = self.lab.service
        shown = self.lab.entry(key) if key else None
        model, session = (shown.request.used_model, shown.request.session) if shown else (None, "")
        entry = service.segment(str(self.examples / f"{name}.jpg"), model, session=session)
        yield (
            self.lab.model_line(entry)
            + fig.row(
                fig.frame(fig.thumbnail(entry.photo.image), "The photo", alt=f"{name}", pick=False),
                fig.label_figure(entry, "", pick=False),
                classes="cl-pair cl-small",
            )
            + texts.note(f"{texts.NOTHING_HERE[name]} {texts.SURE}")
        )


def _stage(stage: FeatureMap) -> str:
    channels, height, width = stage.features.shape
    colors, share = pca_rgb(stage.features)
    stride = texts.linked(f"[[stride]] {stage.stride}")
    figures = [
        fig.frame(
            _rescale((colors * 255).round().astype(np.uint8)),
            f"three components, {share:.0%} of the variance",
            alt=f"Three components of {stage.name}",
            pick=False,
            exact=True,
            classes="cl-pca",
        )
    ]
    figures += [
        fig.frame(
            _rescale(apply_colormap(values)),
            f"channel {channel}",
            alt=f"Channel {channel} of {stage.name}",
            pick=False,
            exact=True,
        )
        for channel, values in strongest_channels(stage.features, CHANNELS)
    ]
    return (
        f"<h3>{texts.escape(stage.name)} <small>{stage.part}: {channels} channels of {height} × "
        f"{width} cells, {stride}</small></h3>" + fig.row(*figures, classes="cl-strip")
    )


def _rescale(image: np.ndarray, side: int = 160) -> np.ndarray:
    """Enlarge a small map by an integer factor, or scale a large one down to twice `side`."""
    factor = side // max(image.shape[:2])
    if factor > 1:
        return image.repeat(factor, axis=0).repeat(factor, axis=1)
    size = fig.fit_size(image.shape[:2], side * 2)
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX))
