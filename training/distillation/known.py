"""Known classes of a photo, which limit its teachers' outputs.

A mask over the whole photo contains every class in it, so the others are absent. The same holds for
a class list, unless it is only a prior: then its classes become likelier, and others stay possible.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.data.dataset import IGNORE_INDEX, Sample, read_mask

MIN_SHARE = 1e-3
"""If the teacher gives less than this to all possible classes, a cell becomes background."""

MIN_FOUND = 0.02
"""Share of a photo on which a teacher must find the classes of its prior, or it is skipped."""


@dataclass(frozen=True)
class Known:
    """The known classes of one photo.

    Attributes:
        allowed: The only possible classes, background (0) included; None for all classes.
        likely: Classes that are probably in the photo.
        factor: Factor of their probabilities.
    """

    allowed: tuple[int, ...] | None = None
    likely: tuple[int, ...] = ()
    factor: float = 1.0

    def apply(self, probabilities: Tensor) -> Tensor:
        """Return a teacher's probabilities (C, h, w) with this knowledge; they add up to one."""
        if self.allowed is None and not self.likely:
            return probabilities
        weights = probabilities.new_ones(len(probabilities))
        if self.allowed is not None:
            weights.zero_()
            weights[list(self.allowed)] = 1.0
        if self.likely:
            weights[list(self.likely)] *= self.factor
        changed = probabilities * weights[:, None, None]
        changed[0] += changed.sum(0) < MIN_SHARE
        return changed / changed.sum(0)


def known_classes(sample: Sample, num_classes: int, prior_factor: float) -> Known:
    """Return the known classes of a photo, from its mask and class list.

    Args:
        sample: The photo.
        num_classes: Number of classes; other values of a mask are ignored.
        prior_factor: Factor of the probability of a class in a prior.
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
    """Return whether a teacher finds almost nothing of the prior of a photo without a mask.

    Args:
        sample: The photo.
        shares: Each class's share of the photo in the teacher's map, (C,).
    """
    if not sample.prior or not sample.classes or sample.mask is not None:
        return False
    return float(shares[list(sample.classes)].sum()) < MIN_FOUND
