"""Compare class maps: changed pixels, agreement of models, IoU, precision and recall."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segmentation.categories import display_name
from segmentation.errors import ExplainError

IGNORE_INDEX = 255
"""Label of unannotated pixels in a ground truth, as in VOC; metrics skip them."""

TRUE_NEGATIVE, TRUE_POSITIVE, FALSE_NEGATIVE, FALSE_POSITIVE = range(4)


def changed_pixels(
    before: np.ndarray, after: np.ndarray, valid: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Mark the pixels on which two class maps differ.

    Args:
        before: (H, W) uint8.
        after: (H, W) uint8.
        valid: (H, W) bool, the pixels to compare; None for all.

    Returns:
        changed: (H, W) bool, false where `valid` is.
        share: changed pixels as a share of the valid ones, in [0, 1].
    """
    _same_size(before, after)
    changed = before != after
    if valid is None:
        return changed, float(changed.mean())
    changed &= valid
    return changed, float(changed.sum() / max(1, valid.sum()))


def joint_classes(
    class_maps: Sequence[np.ndarray], categories: Sequence[Sequence[str]]
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Renumber class maps of several models to one set of classes, by display name.

    Args:
        class_maps: (H, W) uint8 each.
        categories: the raw class names of each.

    Returns:
        The maps as (H, W) int32, and the display names by joint index.
    """
    names: dict[str, int] = {}
    renumbered = []
    for class_map, model_categories in zip(class_maps, categories, strict=True):
        table = np.array(
            [names.setdefault(display_name(name), len(names)) for name in model_categories],
            np.int32,
        )
        renumbered.append(table[class_map])
    return renumbered, tuple(names)


def agreement(class_maps: Sequence[np.ndarray]) -> np.ndarray:
    """Return the share of equal pixels of each pair: (n, n) float64, symmetric, diagonal 1."""
    count = len(class_maps)
    table = np.eye(count)
    for i in range(count):
        for j in range(i):
            _same_size(class_maps[i], class_maps[j])
            table[i, j] = table[j, i] = float((class_maps[i] == class_maps[j]).mean())
    return table


def disagreement(class_maps: Sequence[np.ndarray]) -> np.ndarray:
    """Count the distinct classes at each pixel, minus 1: (H, W) uint8; 0 where all agree."""
    if not class_maps:
        raise ExplainError("no class maps to compare: give at least one")
    stacked = np.sort(np.stack(class_maps), axis=0)  # (n, H, W)
    return (stacked[1:] != stacked[:-1]).sum(axis=0).astype(np.uint8)


@dataclass(frozen=True)
class Overlap:
    """Overlap of one class in two class maps.

    Attributes:
        name: display name of the class.
        iou: intersection over union, in [0, 1].
        pixels: pixel count in the first map and in the second.
    """

    name: str
    iou: float
    pixels: tuple[int, int]


def overlaps(first: np.ndarray, second: np.ndarray, names: Sequence[str]) -> list[Overlap]:
    """Compute the IoU of each class present in either class map, largest union first.

    Args:
        first: (H, W) of integers, indices into `names`; see `joint_classes`.
        second: the same.
        names: the classes.
    """
    _same_size(first, second)
    count = len(names)
    in_first, in_second, both = (
        np.bincount(labels.ravel(), minlength=count)
        for labels in (first, second, first[first == second])
    )
    union = in_first + in_second - both
    order = sorted(np.flatnonzero(union).tolist(), key=lambda index: (-union[index], index))
    return [
        Overlap(names[i], float(both[i] / union[i]), (int(in_first[i]), int(in_second[i])))
        for i in order
    ]


@dataclass(frozen=True)
class Grade:
    """Pixel counts of a mask compared with a ground truth.

    Attributes:
        true_positive: pixels in both.
        false_negative: pixels of the truth missing from the mask.
        false_positive: pixels of the mask outside the truth.
    """

    true_positive: int
    false_negative: int
    false_positive: int

    @property
    def iou(self) -> float:
        """Intersection over union in [0, 1]; 1 where both are empty."""
        union = self.true_positive + self.false_negative + self.false_positive
        return _ratio(self.true_positive, union)

    @property
    def precision(self) -> float:
        """Share of the mask inside the truth, in [0, 1]; 1 for an empty mask."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """Share of the truth inside the mask, in [0, 1]; 1 for an empty truth."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)


def confusion_map(
    mask: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None = None
) -> np.ndarray:
    """Classify each pixel of a mask against a ground truth.

    Args:
        mask: (H, W) bool, the mask to grade.
        truth: (H, W) bool.
        ignore: (H, W) bool, pixels to skip; they become TRUE_NEGATIVE.

    Returns:
        (H, W) uint8 of TRUE_NEGATIVE, TRUE_POSITIVE, FALSE_NEGATIVE and FALSE_POSITIVE.
    """
    if mask.shape != truth.shape:
        raise ExplainError(f"a mask of {mask.shape} cannot be graded against one of {truth.shape}")
    marks = np.where(
        mask,
        np.where(truth, TRUE_POSITIVE, FALSE_POSITIVE),
        np.where(truth, FALSE_NEGATIVE, TRUE_NEGATIVE),
    )
    if ignore is not None:
        marks = np.where(ignore, TRUE_NEGATIVE, marks)
    return marks.astype(np.uint8)


def grade(mask: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None = None) -> Grade:
    """Count true positives, false negatives and false positives; see `confusion_map`."""
    counts = np.bincount(confusion_map(mask, truth, ignore).ravel(), minlength=4)
    return Grade(*(int(counts[mark]) for mark in (TRUE_POSITIVE, FALSE_NEGATIVE, FALSE_POSITIVE)))


def _ratio(part: int, total: int) -> float:
    return part / total if total else 1.0


def _same_size(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape:
        raise ExplainError(
            f"class maps of {first.shape} and {second.shape} pixels cannot be compared: label the "
            "same photo"
        )
