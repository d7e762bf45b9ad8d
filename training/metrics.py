"""Confusion matrix and what follows from it, as in torchvision's segmentation reference."""

import torch
from torch import Tensor


class ConfusionMatrix:
    """Counts of pixels by true class (row) and given class (column), and of photos by true class.

    Args:
        num_classes: Number of classes; labels outside [0, num_classes) are ignored.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.photos = torch.zeros(num_classes, dtype=torch.int64)

    def update(self, labels: Tensor, given: Tensor) -> None:
        """Count one photo.

        Args:
            labels: True class of each pixel, any shape, integers.
            given: Class that the network gave, the same shape.
        """
        labels, given = labels.flatten().long().cpu(), given.flatten().long().cpu()
        known = (labels >= 0) & (labels < self.num_classes)
        pairs = labels[known] * self.num_classes + given[known]
        self.counts += torch.bincount(pairs, minlength=self.num_classes**2).view_as(self.counts)
        self.photos[labels[known].unique()] += 1

    def iou(self) -> Tensor:
        """Intersection over union of each class, (C,) float64; nan where there is no union."""
        counts = self.counts.double()
        hit = counts.diag()
        return hit / (counts.sum(0) + counts.sum(1) - hit)

    def mean_iou(self, classes: list[int] | None = None) -> float:
        """Mean of the classes' IoU over those that the photos show."""
        iou, shown = self.iou(), self.counts.sum(1) > 0
        chosen = [c for c in classes or range(self.num_classes) if shown[c]]
        return float(iou[chosen].mean()) if chosen else float("nan")

    def pixel_accuracy(self) -> float:
        """Share of the known pixels that got their true class."""
        return float(self.counts.diag().sum() / self.counts.sum().clamp(min=1))
