"""The accuracy of a model on validation photos, as its card states it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segmentation.errors import ModelError

MAX_NAME = 200

Size = int | tuple[int, ...] | None
"""Shorter side of a network's input in pixels; None for the card's own. With several sizes, the
network runs at each and the probabilities are averaged."""


@dataclass(frozen=True)
class ClassFigure:
    """The accuracy of one class.

    Attributes:
        iou: Intersection over union over all photos, in [0, 1].
        photos: The number of photos that show the class.
    """

    iou: float
    photos: int


@dataclass(frozen=True)
class Bin:
    """Pixels of about the same confidence.

    Attributes:
        share: Their share of all pixels, in [0, 1].
        confidence: Their mean confidence, in [0, 1].
        accuracy: Share of them that are labelled correctly, in [0, 1].
    """

    share: float
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Figures:
    """Measurements of a model, made by `training.evaluate`.

    Attributes:
        photos: The number of photos.
        data: The name of the photos.
        size: Shorter side of the network's input in pixels, or several whose probabilities were
            averaged; the figures hold at this size only.
        miou: Mean IoU over all classes, in [0, 1]; None where the photos do not show them all.
        pixel_accuracy: Share of the pixels that are labelled correctly, in [0, 1].
        classes: Raw class name to its figures, for each class that the photos show.
        calibration_error: Expected calibration error in [0, 1], or None.
        temperature: Divisor of the logits for the best calibration, or None.
        bins: Accuracy by confidence, from low to high; empty where not measured.
        set_threshold: Probability from which a class belongs to a pixel's set, or None; see
            `inference/postprocessing.py`.
        set_level: How often such a set should hold the true class, in (0, 1), or None.
        set_coverage: How often it did on photos that were not used for the threshold, or None.
    """

    photos: int
    data: str
    size: int | tuple[int, ...]
    miou: float | None = None
    pixel_accuracy: float | None = None
    classes: Mapping[str, ClassFigure] = field(default_factory=dict, hash=False)
    calibration_error: float | None = None
    temperature: float | None = None
    bins: tuple[Bin, ...] = ()
    set_threshold: float | None = None
    set_level: float | None = None
    set_coverage: float | None = None

    @property
    def measured_on(self) -> str:
        """Return photos and size as text: "334 photos of PASCAL VOC at 192 px"."""
        sizes = self.size if isinstance(self.size, tuple) else (self.size,)
        shown = " and ".join(str(size) for size in sizes)
        return f"{self.photos} photos of {self.data} at {shown} px"


def parse_figures(value: Any, categories: tuple[str, ...]) -> Figures | None:
    """Read and check the figures of a card.

    Args:
        value: The card's field "figures", as `training.evaluate --json` writes it, or None.
        categories: The card's class names.

    Raises:
        ModelError: A field is missing or out of range.
    """
    if value is None:
        return None
    read = _Reader(value, "figures")
    calibration = _Reader(value.get("calibration") or {}, "figures.calibration")
    sets = _Reader(value.get("sets") or {}, "figures.sets")
    return Figures(
        photos=read.count("photos"),
        data=_name_of_data(value.get("data", "")),
        size=_size(value.get("size")),
        miou=read.share("miou"),
        pixel_accuracy=read.share("pixel_accuracy"),
        classes=_classes(value.get("classes", {}), categories),
        calibration_error=calibration.share("ece"),
        temperature=calibration.number("temperature", 1e-3, 1e3),
        bins=_bins(calibration.value.get("bins", ())),
        set_threshold=sets.number("threshold", 1e-3, 0.999),
        set_level=sets.share("level"),
        set_coverage=sets.share("coverage"),
    )


def _size(value: Any) -> int | tuple[int, ...]:
    """Check a size in pixels, or a list of several."""
    several = isinstance(value, list | tuple) and len(value) > 1
    sizes = tuple(value) if several else (value,)
    if len(sizes) > 8 or any(type(size) is not int or not 1 <= size <= 10**5 for size in sizes):
        raise ModelError(
            f"the card's figures.size is {value!r:.80}, not a size in pixels or a list of several"
        )
    return sizes if several else value


class _Reader:
    """Fields of a JSON object, checked one by one; errors name the field and its value."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise ModelError(f"the card's {where} is {value!r:.80}, not an object with fields")
        self.value = value
        self.where = where

    def number(self, name: str, low: float, high: float) -> float | None:
        value = self.value.get(name)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not low <= value <= high:
            raise ModelError(
                f"the card's {self.where}.{name} is {value!r:.80}, not a number from {low:g} to "
                f"{high:g}"
            )
        return float(value)

    def share(self, name: str) -> float | None:
        return self.number(name, 0, 1)

    def count(self, name: str) -> int:
        value = self.value.get(name)
        if type(value) is not int or not 1 <= value <= 10**9:
            raise ModelError(
                f"the card's {self.where}.{name} is {value!r:.80}, not a whole number from 1 up"
            )
        return value


def _name_of_data(value: Any) -> str:
    """Return the name of the photos: a text, or the joined names of their folders."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(
        isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable() for name in names
    ):
        raise ModelError(
            f"the card's figures.data is {value!r:.80}: name the photos in at most {MAX_NAME} "
            "letters"
        )
    return " and ".join(names)


def _classes(value: Any, categories: tuple[str, ...]) -> dict[str, ClassFigure]:
    if not isinstance(value, Mapping):
        raise ModelError(f"the card's figures.classes is {value!r:.80}, not an object")
    figures = {}
    for name, row in value.items():
        if name not in categories:
            raise ModelError(f"the card's figures.classes names {name!r:.80}, which is no category")
        read = _Reader(row, f"figures.classes.{name}")
        iou = read.share("iou")
        if iou is None:
            raise ModelError(f"the card's figures.classes.{name} lacks the field 'iou'")
        figures[name] = ClassFigure(iou, read.count("photos"))
    return figures


def _bins(value: Any) -> tuple[Bin, ...]:
    if not isinstance(value, list | tuple) or len(value) > 1000:
        raise ModelError(f"the card's figures.calibration.bins is {value!r:.80}, not a list")
    bins = []
    for row in value:
        read = _Reader(row, "figures.calibration.bins")
        numbers = [read.share(name) for name in ("share", "confidence", "accuracy")]
        if None in numbers:
            raise ModelError(
                f"a row of the card's figures.calibration.bins is {row!r:.80}: it needs share, "
                "confidence and accuracy"
            )
        bins.append(Bin(*numbers))
    return tuple(bins)
