"""From the logits of a result to maps that a person can look at."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segmentation.errors import ExplainError
from segmentation.inference.result import Segmentation


@dataclass(frozen=True)
class ClassScore:
    """How much a photo shows of one class.

    Attributes:
        index: the class.
        name: its raw name.
        fraction: share of the pixels that carry its label, in [0, 1].
        best: the largest probability it has anywhere, in [0, 1].
    """

    index: int
    name: str
    fraction: float
    best: float


def probability_maps(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Probabilities of all classes at a size of one's choice: (C, H, W) float32.

    The logits are upsampled first and turned into probabilities after, as in the result itself.

    Args:
        logits: (C, h, w).
        size: (H, W); the whole is held in memory, so choose what a screen shows.
    """
    upsampled = F.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)
    return upsampled[0].softmax(dim=0)


def class_probability_map(logits: Tensor, index: int, size: tuple[int, int]) -> np.ndarray:
    """One class's probability everywhere: (H, W) float32 in [0, 1].

    Raises:
        ExplainError: no such class.
    """
    if not 0 <= index < len(logits):
        raise ExplainError(f"there is no class {index}: they go from 0 to {len(logits) - 1}")
    return probability_maps(logits, size)[index].numpy()


def entropy_map(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """How undecided the network is everywhere: (H, W) float32, bits, from 0 to log2 C."""
    probabilities = probability_maps(logits, size)
    bits = -torch.xlogy(probabilities, probabilities).sum(dim=0) / np.log(2.0)
    return bits.clamp(min=0).numpy()


def class_scores(result: Segmentation) -> list[ClassScore]:
    """Classification: every class with its share of the pixels and its best score anywhere.

    The best score is taken at the logits' own resolution. Largest share first, then best score.
    """
    best = result.logits.float().softmax(dim=0).flatten(1).amax(dim=1).tolist()
    fractions = {area.index: area.fraction for area in result.areas()}
    scores = [
        ClassScore(index, name, fractions.get(index, 0.0), best[index])
        for index, name in enumerate(result.categories)
    ]
    return sorted(scores, key=lambda score: (-score.fraction, -score.best, score.index))
