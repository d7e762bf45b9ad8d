"""Weights for drawing photos, by the rarity of their classes."""

import torch
from torch import Tensor

from training.data.canvases import Photos

SHOWN_SHARE = 0.005
"""Share of a photo from which it counts as showing a class: 16 x 16 px of 224 x 224."""

SURE = 0.5
"""Probability from which a cell of a teacher's map counts for a class."""

RAREST, COMMONEST = 6.0, 0.25
"""Bounds of (median class's photos / a class's photos), so that no single photo dominates."""

EMPTY_WEIGHT = 0.25
"""Weight of a photo that shows no class, with `rare`."""

CHUNK = 256


def class_shares(photos: Photos, maps: Tensor | None, num_classes: int) -> Tensor:
    """Return each class's share of each photo, in its mask or else in the teacher's map.

    Args:
        photos: The photos, with masks or without.
        maps: The teacher's probabilities x 255 (N, C, h, w) uint8, or None.
        num_classes: Number of classes.

    Returns:
        (N, num_classes) float32 on the CPU; a teacher's cells below `SURE` count for no class.
    """
    labelled = photos.labelled.cpu()
    shares = torch.zeros(len(photos), num_classes)
    for rows in labelled.nonzero()[:, 0].split(CHUNK):
        labels = photos.masks[photos.rows[rows.to(photos.rows.device)]]
        area = photos.shapes[rows].prod(1, keepdim=True)
        shares[rows] = _counts(labels, num_classes) / area
    if maps is not None:
        for rows in (~labelled).nonzero()[:, 0].split(CHUNK):
            chunk = maps[rows.to(maps.device)]
            best, labels = chunk.max(1)
            labels = labels.where(best > SURE * 255, num_classes)
            shares[rows] = _counts(labels, num_classes) / (labels.shape[1] * labels.shape[2])
    return shares


def _counts(labels: Tensor, num_classes: int) -> Tensor:
    """Count the cells of each class in labels (N, h, w): (N, num_classes) on the CPU."""
    return torch.stack([(labels == c).sum((1, 2)) for c in range(num_classes)], 1).cpu()


def drawing_weights(
    shown: Tensor,
    labelled: Tensor,
    *,
    boosts: dict[int, float],
    unlabelled_weight: float,
    rare: float = 0.0,
) -> Tensor:
    """Return how often each photo is drawn, (N,) float64, before normalising.

    Args:
        shown: Which classes each photo shows, (N, C) bool; class 0 is the background.
        labelled: Which photos have ground truth, (N,) bool.
        boosts: Class index to factor; a photo gets the largest factor of its classes.
        unlabelled_weight: Factor of photos without ground truth.
        rare: 0 draws photos equally. Above 0, a class's weight is (median class's photos / its
            photos) to this power, and a photo's weight is the mean of its classes'.
    """
    weights = torch.ones(len(shown), dtype=torch.float64)
    if rare:
        classes = shown[:, 1:].double()
        photos = classes.sum(0)  # (C - 1,)
        median = photos[photos > 0].median() if bool(photos.any()) else 1.0
        by_class = (median / photos.clamp(min=1)).clamp(COMMONEST, RAREST) ** rare
        count = classes.sum(1)
        weights = torch.where(count > 0, classes @ by_class / count.clamp(min=1), EMPTY_WEIGHT)
    factors = torch.ones(len(shown), dtype=torch.float64)
    for index, factor in boosts.items():
        factors[shown[:, index]] = factors[shown[:, index]].clamp(min=factor)
    weights = weights * factors
    weights[~labelled.cpu()] *= unlabelled_weight
    return weights
