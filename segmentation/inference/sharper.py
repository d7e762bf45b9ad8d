"""Average a photo's probabilities over several input sizes: sharper outlines, for more time.

A network finds small objects better at a large input size, and large objects better at the size it
was trained at. Averaging the probabilities of both is DeepLab's multi-scale inference (arXiv
1606.00915, section 4.2, which takes the maximum instead).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from segmentation.errors import ModelError
from segmentation.models.card import ModelCard
from segmentation.models.card_figures import Size

MIN_PROBABILITY = 1e-30
"""Lower bound of the averaged probabilities, so that their logarithms are finite."""


def sharper_size(card: ModelCard) -> Size:
    """Return the input sizes that the card lists for sharper outlines.

    Raises:
        ModelError: the card lists none.
    """
    if card.sharper is None:
        raise ModelError(
            f"{card.name} has no sizes measured for sharper outlines: leave out sharper, or choose "
            "the model embedded"
        )
    return card.sharper.size


def mean_logits(parts: Sequence[Tensor]) -> Tensor:
    """Return logits whose softmax is the mean of several passes' probabilities.

    Args:
        parts: logits of one photo, each (C, h, w) float32; h and w may differ.

    Returns:
        (C, h, w) float32 at the largest h and w; a single part unchanged.
    """
    if len(parts) == 1:
        return parts[0]
    size = max((part.shape[1:] for part in parts), key=lambda s: s[0] * s[1])
    total = torch.zeros(parts[0].shape[0], *size)
    for part in parts:
        probabilities = part[None].float().softmax(1)  # (1, C, h, w)
        total += F.interpolate(probabilities, size=size, mode="bilinear", align_corners=False)[0]
    return (total / len(parts)).clamp(min=MIN_PROBABILITY).log()
