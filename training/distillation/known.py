"""What is known of a photo's classes before a teacher looks at it.

A mask over the whole photo names every class that is there, so the others are absent. So does a
class list, unless it is only a prior: then its classes become likelier, and no other is ruled out.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.data.dataset import IGNORE_INDEX, Sample, read_mask

LEAST_SHARE = 1e-3
"""Where the teacher gives less than this to all the classes that may be there: background."""

LEAST_FOUND = 0.02
"""A photo counts only if a teacher finds the classes of its prior on this share of the photo."""


@dataclass(frozen=True)
class Known:
    """What is known of one photo's classes.

    Attributes:
        allowed: The only classes that may be there, with background (0), or None: all of them.
        likely: Classes that are probably there.
        factor: How much likelier those become.
    """

    allowed: tuple[int, ...] | None = None
    likely: tuple[int, ...] = ()
    factor: float = 1.0

    def apply(self, probabilities: Tensor) -> Tensor:
        """Change a teacher's probabilities (C, h, w) accordingly; they add up to one again."""
        if self.allowed is None and not self.likely:
            return probabilities
        weights = probabilities.new_ones(len(probabilities))
        if self.allowed is not None:
            weights.zero_()
            weights[list(self.allowed)] = 1.0
        if self.likely:
            weights[list(self.likely)] *= self.factor
        changed = probabilities * weights[:, None, None]
        changed[0] += changed.sum(0) < LEAST_SHARE
        return changed / changed.sum(0)


def known_classes(sample: Sample, num_classes: int, prior_factor: float) -> Known:
    """What a photo's mask and class list say.

    Args:
        sample: The photo.
        num_classes: Number of classes; other values of a mask are ignored.
        prior_factor: How much likelier a class becomes that a prior names.
    """
    listed = sample.classes
    if sample.mask is not None and not sample.partial:
        marked = {int(value) for value in _values(sample)} - {IGNORE_INDEX}
        allowed = {0, *(listed or ()), *(c for c in marked if c < num_classes)}
        return Known(allowed=tuple(sorted(allowed)))
    if listed is None:
        return Known()
    if sample.prior:
        return Known(likely=listed, factor=prior_factor) if listed else Known()
    return Known(allowed=tuple(sorted({0, *listed})))


def _values(sample: Sample) -> list[int]:
    return torch.from_numpy(read_mask(sample.mask)).unique().tolist()


def misses_prior(sample: Sample, shares: Tensor) -> bool:
    """Whether a teacher finds almost nothing of what a prior says of a photo without a mask.

    Args:
        sample: The photo.
        shares: Share of the photo that each class takes in the teacher's map, (C,).
    """
    if not sample.prior or not sample.classes or sample.mask is not None:
        return False
    return float(shares[list(sample.classes)].sum()) < LEAST_FOUND
