"""Cross-entropy against ground truth, a teacher's probabilities, or both."""

import torch
import torch.nn.functional as F
from torch import Tensor

from training.data.dataset import IGNORE_INDEX


def mix_targets(labels: Tensor, teacher: Tensor | None, num_classes: int, truth: float) -> Tensor:
    """Combine ground truth and the teacher's probabilities into one target.

    If a pixel has both, the target is `truth` parts ground truth and `1 - truth` parts teacher. If
    it has one, the target is that one, and otherwise zeros.

    Args:
        labels: Class indices (N, h, w) int64, 255 where there is no ground truth.
        teacher: Probabilities (N, num_classes, h, w), zeros in photos without an output;
            or None.
        num_classes: Number of classes.
        truth: Share of the ground truth.

    Returns:
        Targets (N, num_classes, h, w) float32, each pixel adding up to one or zero.
    """
    known = labels != IGNORE_INDEX
    classes = torch.arange(num_classes, device=labels.device)[:, None, None]
    hard = (labels[:, None] == classes).float()  # zeros where unknown
    if teacher is None:
        return hard
    taught = teacher.sum((1, 2, 3)) > 0  # (N,)
    share = torch.where(known & taught[:, None, None], truth, known.float())[:, None]
    return share * hard + (1 - share) * teacher


def soft_cross_entropy(
    logits: Tensor, targets: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy over the pixels that have a target.

    Against a teacher's probabilities its gradient is that of the Kullback-Leibler divergence
    (Hinton et al., arXiv 1503.02531, at temperature 1).

    Args:
        logits: (N, C, h, w).
        targets: (N, C, h, w), from `mix_targets`.
        class_weights: Weight of each class, (C,); 1 by default.
    """
    log_probabilities = F.log_softmax(logits.float(), dim=1)
    weighted = targets if class_weights is None else targets * class_weights[:, None, None]
    return -(weighted * log_probabilities).sum() / weighted.sum().clamp(min=1e-6)


def balance_classes(frequencies: Tensor, power: float) -> Tensor:
    """Return class weights that compensate the classes' frequencies.

    Args:
        frequencies: Share of pixels of each class, (C,).
        power: 0 makes all weights equal; 1 makes the classes' total weights equal.

    Returns:
        Weights (C,) float32 with a frequency-weighted mean of one.
    """
    floor = frequencies[frequencies > 0].min() if bool((frequencies > 0).any()) else 1.0
    weights = frequencies.clamp(min=floor).pow(-power)
    return (weights / (weights * frequencies).sum().clamp(min=1e-12)).float()
