"""Metrics of labelled photos: confusion matrix, IoU, accuracy near outlines."""

import torch
import torch.nn.functional as F
from torch import Tensor

OUTLINE_PIXELS = 5
"""Default distance from a true outline in `OutlineAccuracy`, in pixels of the ground truth."""


class ConfusionMatrix:
    """Counts of pixels by true class (row) and predicted class (column), and photos by true class.

    As in torchvision's segmentation reference.

    Args:
        num_classes: Number of classes; labels outside [0, num_classes) are ignored.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.photos = torch.zeros(num_classes, dtype=torch.int64)

    def update(self, labels: Tensor, predicted: Tensor) -> None:
        """Count one photo.

        Args:
            labels: True class of each pixel, any shape, integers.
            predicted: Predicted class of each pixel, the same shape.
        """
        labels, predicted = labels.flatten().long().cpu(), predicted.flatten().long().cpu()
        known = (labels >= 0) & (labels < self.num_classes)
        pairs = labels[known] * self.num_classes + predicted[known]
        self.counts += torch.bincount(pairs, minlength=self.num_classes**2).view_as(self.counts)
        self.photos[labels[known].unique()] += 1

    def iou(self) -> Tensor:
        """Return the intersection over union of each class, (C,) float64; nan without a union."""
        counts = self.counts.double()
        hit = counts.diag()
        return hit / (counts.sum(0) + counts.sum(1) - hit)

    def mean_iou(self, classes: list[int] | None = None) -> float:
        """Return the mean IoU over the classes that the photos show."""
        iou, shown = self.iou(), self.counts.sum(1) > 0
        chosen = [c for c in classes or range(self.num_classes) if shown[c]]
        return float(iou[chosen].mean()) if chosen else float("nan")

    def pixel_accuracy(self) -> float:
        """Return the share of the known pixels with the right class."""
        return float(self.counts.diag().sum() / self.counts.sum().clamp(min=1))


class OutlineAccuracy:
    """Accuracy of the pixels near a true outline, as in the trimap plots of the DeepLab papers.

    Pixel accuracy is mostly that of large areas; this figure measures edges alone. Source:
    Kohli et al., "Robust Higher Order Potentials", 2009; Chen et al., arXiv 1606.00915, 4.3.3.

    Args:
        num_classes: Labels outside [0, num_classes) are not counted. An edge towards them is still
            an outline, because VOC's masks have a strip of 255 along every object.
        within: Largest distance from an outline, in pixels.
    """

    def __init__(self, num_classes: int, within: int = OUTLINE_PIXELS) -> None:
        self.num_classes = num_classes
        steps = torch.arange(-within, within + 1)
        self._disk = ((steps[:, None] ** 2 + steps**2) <= within**2).float()[None, None]
        self.hits, self.pixels = 0, 0

    def update(self, labels: Tensor, predicted: Tensor) -> None:
        """Count one photo.

        Args:
            labels: True class of each pixel, (H, W) integers.
            predicted: Predicted class of each pixel, (H, W).
        """
        near = F.conv2d(
            outline(labels)[None, None].float(), self._disk, padding=self._disk.shape[-1] // 2
        )[0, 0].gt(0.5)
        counted = near & (labels >= 0) & (labels < self.num_classes)
        self.pixels += int(counted.sum())
        self.hits += int((counted & (labels == predicted)).sum())

    def accuracy(self) -> float:
        """Return the share of these pixels with the right class; nan if there are none."""
        return self.hits / self.pixels if self.pixels else float("nan")


def outline(labels: Tensor) -> Tensor:
    """Return the pixels with a neighbour (4-connected) of another label: (H, W) bool.

    The photo's own border is no outline.
    """
    edge = torch.zeros(labels.shape, dtype=torch.bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return edge
