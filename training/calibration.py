"""Calibration of a model's confidence: calibration error, temperature, and prediction sets.

The figures use every fifth pixel of every fifth row. Neighbouring pixels are nearly equal, and a
twenty-fifth of them fits into memory.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segmentation.inference.postprocessing import set_sizes

LATTICE = 5
"""Step of the sampled pixels, in both directions."""

BINS = 15
"""Bins of equal width, as in Guo et al., arXiv 1706.04599."""

LEVEL = 0.95
"""Wanted share of the pixels whose set contains the true class."""

TEMPERATURES = (0.25, 4.0)
"""Bounds of the search for the best temperature."""

SEED = 0


class PixelSample:
    """Logits and true classes of pixels on a lattice over all photos.

    Args:
        num_classes: Labels outside [0, num_classes) are ignored.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def update(self, labels: Tensor, logits: Tensor) -> None:
        """Add one photo's pixels.

        Args:
            labels: True classes (H, W), integers.
            logits: (C, H, W) float.
        """
        start = LATTICE // 2
        labels = labels[start::LATTICE, start::LATTICE]  # (h, w)
        known = (labels >= 0) & (labels < self.num_classes)
        logits = logits[:, start::LATTICE, start::LATTICE]  # (C, h, w)
        self._logits.append(logits[:, known].T.float().cpu())  # (n, C)
        self._labels.append(labels[known].long().cpu())  # (n,)

    def figures(self) -> dict[str, Any]:
        """Return the calibration and the prediction sets of all photos, as plain numbers.

        Returns:
            "calibration" and "sets"; empty if no photo has a known pixel on the lattice.
        """
        if not any(len(labels) for labels in self._labels):
            return {}
        labels = torch.cat(self._labels)  # (n,)
        logits = torch.cat(self._logits)  # (n, C)
        result = {"calibration": describe_calibration(logits, labels)}
        if len(self._labels) > 1:
            result["sets"] = self._describe_sets()
        return result

    def _describe_sets(self) -> dict[str, Any]:
        """Choose a threshold on a random half of the photos and check it on the other half."""
        order = torch.randperm(
            len(self._labels), generator=torch.Generator().manual_seed(SEED)
        ).tolist()
        half = len(order) // 2
        parts = []
        for photos in (order[:half], order[half:]):
            probabilities = torch.cat([self._logits[i] for i in photos]).softmax(1)  # (n, C)
            parts.append((probabilities, torch.cat([self._labels[i] for i in photos])))
        threshold = set_threshold(*parts[0])
        return {
            "level": LEVEL,
            "threshold": round(threshold, 4),
            "photos": [half, len(order) - half],
            **check_sets(*parts[1], round(threshold, 4)),
        }


def describe_calibration(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Compare confidence with accuracy.

    Args:
        logits: (n, C) float.
        labels: True classes (n,).

    Returns:
        The expected calibration error, the best temperature with the error after it, and for each
        bin that holds pixels their share, mean confidence and accuracy.
    """
    confidence, predicted = logits.softmax(1).max(1)
    right = predicted == labels
    temperature = best_temperature(logits, labels)
    scaled = (logits / temperature).softmax(1).max(1).values
    return {
        "ece": round(calibration_error(confidence, right), 4),
        "temperature": round(temperature, 3),
        "ece_scaled": round(calibration_error(scaled, right), 4),
        "bins": [
            {"share": round(share, 4), "confidence": round(mean, 4), "accuracy": round(accuracy, 4)}
            for share, mean, accuracy in reliability(confidence, right)
        ],
    }


def reliability(confidence: Tensor, right: Tensor) -> list[tuple[float, float, float]]:
    """Return share, mean confidence and accuracy of each of `BINS` bins that is not empty.

    Args:
        confidence: (n,) in [0, 1].
        right: (n,) bool, whether the predicted class is the true one.
    """
    index = (confidence * BINS).long().clamp(max=BINS - 1)
    counts = torch.bincount(index, minlength=BINS).double()
    means = torch.bincount(index, confidence.double(), minlength=BINS) / counts
    rights = torch.bincount(index, right.double(), minlength=BINS) / counts
    shares = counts / max(1, len(confidence))
    return [(float(shares[i]), float(means[i]), float(rights[i])) for i in range(BINS) if counts[i]]


def calibration_error(confidence: Tensor, right: Tensor) -> float:
    """Return the expected calibration error, in [0, 1].

    Naeini et al. 2015; Guo et al., arXiv 1706.04599.
    """
    return sum(
        share * abs(mean - accuracy) for share, mean, accuracy in reliability(confidence, right)
    )


def best_temperature(logits: Tensor, labels: Tensor, steps: int = 30) -> float:
    """Return the divisor of the logits with the least negative log-likelihood (arXiv 1706.04599).

    The likelihood has one optimum in the logarithm of the temperature, so golden-section search
    finds it.

    Args:
        logits: (n, C) float.
        labels: True classes (n,).
        steps: Each multiplies the interval's length by 0.618.
    """

    def loss(position: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits / math.exp(position), labels))

    low, high = (math.log(t) for t in TEMPERATURES)
    golden = (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = loss(right)
    return math.exp((low + high) / 2)


def set_threshold(probabilities: Tensor, labels: Tensor, level: float = LEVEL) -> float:
    """Return the probability from which a class belongs to a pixel's set.

    Least ambiguous sets: Sadinle, Lei, Wasserman, arXiv 1609.00451; the finite-sample quantile as
    in Angelopoulos and Bates, arXiv 2107.07511.

    Args:
        probabilities: (n, C).
        labels: True classes (n,).
        level: Wanted share of the pixels whose set contains the true class, in (0, 1).

    Returns:
        A probability in [0, 1]; 0 if there are too few pixels to guarantee the level.
    """
    scores = 1 - probabilities.gather(1, labels[:, None])[:, 0]  # (n,)
    rank = math.ceil((len(scores) + 1) * level)
    if rank > len(scores):
        return 0.0
    return 1 - float(scores.kthvalue(rank).values)


def check_sets(probabilities: Tensor, labels: Tensor, threshold: float) -> dict[str, Any]:
    """Return coverage and sizes of the sets of a threshold, on other pixels.

    `segmentation/inference/postprocessing.py` defines a pixel's set.

    Returns:
        coverage: share of the pixels whose set contains the true class; sizes: set size -> share of
        the pixels; accuracy: of the predicted class, by set size.
    """
    planes = probabilities.T.numpy()  # (C, n)
    size = torch.from_numpy(set_sizes(planes, np.ones(len(labels), np.float32), threshold))
    # a set has the likeliest classes, so it contains the true one if fewer classes are likelier
    true = probabilities.gather(1, labels[:, None])  # (n, 1)
    covered = (probabilities > true).sum(1) < size
    right = probabilities.argmax(1) == labels
    sizes = sorted(set(size.tolist()))
    return {
        "coverage": round(float(covered.double().mean()), 4),
        "sizes": {str(k): round(float((size == k).double().mean()), 4) for k in sizes},
        "accuracy": {str(k): round(float(right[size == k].double().mean()), 4) for k in sizes},
    }
