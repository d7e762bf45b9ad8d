"""Several sizes of one photo averaged: sharper outlines, for more time.

A network sees small things better at a large size, and knows large things at the size that it was
trained for. Averaging the probabilities of both is DeepLab's multi-scale inference (arXiv
1606.00915, section 4.2; there with a maximum).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from segmentation.errors import ModelError
from segmentation.models.card import ModelCard
from segmentation.models.card_figures import Size

LEAST = 1e-30
"""Probabilities below it count as it, so that each has a logarithm."""


def sharper_size(card: ModelCard) -> Size:
    """The sizes that a card has measured for sharper outlines.

    Raises:
        ModelError: it has measured none.
    """
    if card.sharper is None:
        raise ModelError(
            f"nobody has measured sharper outlines of {card.name}: leave out sharper, or name "
            "another model (embedded has them)"
        )
    return card.sharper.size


def mean_logits(parts: Sequence[Tensor]) -> Tensor:
    """Logits whose softmax is the mean of several passes' probabilities.

    Args:
        parts: each (C, h, w) float32, of one photo, at any resolutions.

    Returns:
        (C, h, w) float32 at the finest resolution; a single part as it is.
    """
    if len(parts) == 1:
        return parts[0]
    size = max((part.shape[1:] for part in parts), key=lambda s: s[0] * s[1])
    total = torch.zeros(parts[0].shape[0], *size)
    for part in parts:
        probabilities = part[None].float().softmax(1)  # (1, C, h, w)
        total += F.interpolate(probabilities, size=size, mode="bilinear", align_corners=False)[0]
    return (total / len(parts)).clamp(min=LEAST).log()
