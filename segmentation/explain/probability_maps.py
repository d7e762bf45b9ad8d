"""Compute maps of probability and entropy, and scores of classes, from a result's logits."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segmentation.errors import ExplainError
from segmentation.inference.result import Segmentation


@dataclass(frozen=True)
class ClassScore:
    """Area and highest probability of one class in a photo.

    Attributes:
        index: the class.
        name: its raw name.
        fraction: share of the pixels labelled with it, in [0, 1].
        best: its highest probability in the photo, in [0, 1].
    """

    index: int
    name: str
    fraction: float
    best: float


def probability_maps(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the probabilities of all classes at a given size: (C, H, W) float32.

    The logits are upsampled before the softmax, as for the result itself.

    Args:
        logits: (C, h, w).
        size: (H, W). All C maps are in memory at once, so choose a size for display.
    """
    upsampled = F.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)
    return upsampled[0].softmax(dim=0)


def class_probability_map(logits: Tensor, index: int, size: tuple[int, int]) -> np.ndarray:
    """Return the probability of one class at each pixel: (H, W) float32 in [0, 1].

    Raises:
        ExplainError: the class does not exist.
    """
    if not 0 <= index < len(logits):
        raise ExplainError(f"there is no class {index}: they go from 0 to {len(logits) - 1}")
    return probability_maps(logits, size)[index].numpy()


def entropy_map(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Return the entropy of each pixel: (H, W) float32 in bits, from 0 to log2 C."""
    probabilities = probability_maps(logits, size)
    bits = -torch.xlogy(probabilities, probabilities).sum(dim=0) / np.log(2.0)
    return bits.clamp(min=0).numpy()


def class_scores(result: Segmentation) -> list[ClassScore]:
    """Return the scores of all classes, largest share first, then highest probability.

    The highest probability is taken at the resolution of the logits.
    """
    best = result.logits.float().softmax(dim=0).flatten(1).amax(dim=1).tolist()
    fractions = {area.index: area.fraction for area in result.areas()}
    scores = [
        ClassScore(index, name, fractions.get(index, 0.0), best[index])
        for index, name in enumerate(result.categories)
    ]
    return sorted(scores, key=lambda score: (-score.fraction, -score.best, score.index))
