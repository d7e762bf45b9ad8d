"""Class maps side by side: what changed, who agrees with whom, how well one mask covers another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segmentation.categories import display_name
from segmentation.errors import ExplainError

IGNORE = 255
"""The label of pixels that a truth leaves open, as in VOC: they count for nobody."""

NEITHER, RIGHT, MISSED, EXTRA = range(4)


def changed_pixels(
    before: np.ndarray, after: np.ndarray, valid: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Where two class maps differ.

    Args:
        before: (H, W) uint8.
        after: (H, W) uint8.
        valid: (H, W) bool, the pixels that count; all of them if None.

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
    """Give class maps of several models one numbering, by the names that they show.

    Args:
        class_maps: (H, W) uint8 each.
        categories: the raw class names of each.

    Returns:
        The maps as (H, W) int32, and the shown names by the joint number.
    """
    names: dict[str, int] = {}
    renumbered = []
    for class_map, own in zip(class_maps, categories, strict=True):
        table = np.array(
            [names.setdefault(display_name(name), len(names)) for name in own], np.int32
        )
        renumbered.append(table[class_map])
    return renumbered, tuple(names)


def agreement(class_maps: Sequence[np.ndarray]) -> np.ndarray:
    """Share of pixels on which each pair agrees: (n, n) float64, symmetric, 1 on the diagonal."""
    count = len(class_maps)
    table = np.eye(count)
    for i in range(count):
        for j in range(i):
            _same_size(class_maps[i], class_maps[j])
            table[i, j] = table[j, i] = float((class_maps[i] == class_maps[j]).mean())
    return table


def disagreement(class_maps: Sequence[np.ndarray]) -> np.ndarray:
    """How many different answers each pixel got, less one: (H, W) uint8; 0 where all agree."""
    if not class_maps:
        raise ExplainError("there is nothing to compare: give at least one class map")
    stacked = np.sort(np.stack(class_maps), axis=0)  # (n, H, W)
    return (stacked[1:] != stacked[:-1]).sum(axis=0).astype(np.uint8)


@dataclass(frozen=True)
class Overlap:
    """One class in two class maps.

    Attributes:
        name: as it is shown.
        iou: pixels that carry it in both, as a share of those that do in either, in [0, 1].
        pixels: how many carry it in the first map and in the second.
    """

    name: str
    iou: float
    pixels: tuple[int, int]


def overlaps(first: np.ndarray, second: np.ndarray, names: Sequence[str]) -> list[Overlap]:
    """Intersection over union of each class that one of two class maps shows, largest union first.

    Args:
        first: (H, W) of integers, indices into `names`; see `joint_classes`.
        second: the same.
        names: the classes.
    """
    _same_size(first, second)
    count = len(names)
    mine, theirs, both = (
        np.bincount(labels.ravel(), minlength=count)
        for labels in (first, second, first[first == second])
    )
    union = mine + theirs - both
    order = sorted(np.flatnonzero(union).tolist(), key=lambda index: (-union[index], index))
    return [
        Overlap(names[i], float(both[i] / union[i]), (int(mine[i]), int(theirs[i]))) for i in order
    ]


@dataclass(frozen=True)
class Grade:
    """A mask against a truth.

    Attributes:
        right: pixels in both.
        missed: pixels of the truth that the mask leaves out.
        extra: pixels of the mask that the truth does not have.
    """

    right: int
    missed: int
    extra: int

    @property
    def iou(self) -> float:
        """Intersection over union in [0, 1]; 1 where both are empty."""
        union = self.right + self.missed + self.extra
        return self.right / union if union else 1.0

    @property
    def precision(self) -> float:
        """Share of the mask that is right, in [0, 1]; 1 for an empty mask."""
        return self.right / (self.right + self.extra) if self.right + self.extra else 1.0

    @property
    def recall(self) -> float:
        """Share of the truth that is found, in [0, 1]; 1 for an empty truth."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


def verdicts(mask: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None = None) -> np.ndarray:
    """Each pixel's verdict: (H, W) uint8 of NEITHER, RIGHT, MISSED, EXTRA.

    Args:
        mask: (H, W) bool, what is graded.
        truth: (H, W) bool.
        ignore: (H, W) bool, pixels that do not count; they get NEITHER.
    """
    if mask.shape != truth.shape:
        raise ExplainError(f"a mask of {mask.shape} cannot be graded against one of {truth.shape}")
    marks = np.where(mask, np.where(truth, RIGHT, EXTRA), np.where(truth, MISSED, NEITHER))
    if ignore is not None:
        marks = np.where(ignore, NEITHER, marks)
    return marks.astype(np.uint8)


def grade(mask: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None = None) -> Grade:
    """Count right, missed and extra pixels; see `verdicts`."""
    counts = np.bincount(verdicts(mask, truth, ignore).ravel(), minlength=4)
    return Grade(*(int(counts[mark]) for mark in (RIGHT, MISSED, EXTRA)))


def _same_size(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape:
        raise ExplainError(
            f"class maps of {first.shape} and {second.shape} pixels cannot be compared: label the "
            "same photo"
        )
