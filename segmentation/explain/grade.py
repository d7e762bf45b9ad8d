"""How well one mask covers another: intersection over union, and every pixel's verdict."""

from dataclasses import dataclass

import numpy as np

from segmentation.explain.errors import ExplainError

IGNORE = 255
"""The label of pixels that a truth leaves open, as in VOC: they count for nobody."""

NEITHER, RIGHT, MISSED, EXTRA = range(4)


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
