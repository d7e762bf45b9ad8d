"""Describe how good a model is in sentences made from its card's figures."""

from collections.abc import Sequence

from segmentation.categories import BACKGROUND_NAMES, plural_name
from segmentation.models.card_figures import Figures

GOOD_IOU, WEAK_IOU = 0.6, 0.3
"""Above the first IoU a model is good at a class; below the second it hardly knows it."""

LEAST_PHOTOS = 5
"""A class in fewer photos is not mentioned: one photo moves its IoU by 0.2."""

SURE = 0.9
"""The confidence that `calibration_sentence` explains."""


def good_at(figures: Figures) -> list[str]:
    """Return the raw names of classes that the model is good at, the best first, no background."""
    return [name for name, iou in _class_ious(figures) if iou > GOOD_IOU]


def hardly_knows(figures: Figures) -> list[str]:
    """Return the raw names of classes that the model hardly knows, the worst first."""
    return [name for name, iou in reversed(_class_ious(figures)) if iou < WEAK_IOU]


def knowledge_sentence(figures: Figures) -> str:
    """Return which classes the model is good at and hardly knows; empty without figures.

    >>> knowledge_sentence(figures)
    "Good at: cats, trains and dogs; hardly knows: bottles and chairs."
    """
    parts = [
        f"{start}: {in_words([plural_name(name) for name in names])}"
        for start, names in (("good at", good_at(figures)), ("hardly knows", hardly_knows(figures)))
        if names
    ]
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def calibration_sentence(figures: Figures) -> str:
    """Return how often a confidence of about 90 % is right; empty where it was not measured."""
    near = [row for row in figures.bins if abs(row.confidence - SURE) <= 0.05]
    if not near:
        return ""
    bin_ = max(near, key=lambda row: row.share)
    return (
        f"When it says {100 * bin_.confidence:.0f} %, it is right "
        f"{100 * bin_.accuracy:.0f} times in 100."
    )


def in_words(names: Sequence[str]) -> str:
    """Join names to "a", "a and b" or "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _class_ious(figures: Figures) -> list[tuple[str, float]]:
    """Return name and IoU of each class in at least `LEAST_PHOTOS` photos, the best first."""
    rows = [
        (name, row.iou)
        for name, row in figures.classes.items()
        if row.photos >= LEAST_PHOTOS and name not in BACKGROUND_NAMES
    ]
    return sorted(rows, key=lambda row: -row[1])
