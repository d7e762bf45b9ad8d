"""What a model knows, in words made from its card's figures, by one rule for every model."""

from collections.abc import Sequence

from segmentation.categories import BACKGROUND_NAMES, plural_name
from segmentation.models.card_figures import Figures

GOOD_IOU, WEAK_IOU = 0.6, 0.3
"""Above the one a model is good at a class, below the other it hardly knows it."""

LEAST_PHOTOS = 5
"""Of a class that fewer photos show, nothing is said: one photo moves its IoU by 0.2."""

SURE = 0.9
"""The confidence whose meaning `calibration_sentence` tells."""


def good_at(figures: Figures) -> list[str]:
    """Raw names of the classes that the model is good at, the best first; background left out."""
    return [name for name, iou in _judged(figures) if iou > GOOD_IOU]


def hardly_knows(figures: Figures) -> list[str]:
    """Raw names of the classes that the model hardly knows, the worst first."""
    return [name for name, iou in reversed(_judged(figures)) if iou < WEAK_IOU]


def knowledge_sentence(figures: Figures) -> str:
    """What the model is good at and what it hardly knows, in one sentence; empty without figures.

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
    """What the model's confidence is worth, in one sentence; empty where it was not measured."""
    near = [one for one in figures.bins if abs(one.confidence - SURE) <= 0.05]
    if not near:
        return ""
    bin_ = max(near, key=lambda one: one.share)
    return (
        f"When it says {100 * bin_.confidence:.0f} %, it is right "
        f"{100 * bin_.accuracy:.0f} times in 100."
    )


def in_words(names: Sequence[str]) -> str:
    """A list as a person says it: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _judged(figures: Figures) -> list[tuple[str, float]]:
    """Name and IoU of each class that enough photos show, the best first."""
    rows = [
        (name, row.iou)
        for name, row in figures.classes.items()
        if row.photos >= LEAST_PHOTOS and name not in BACKGROUND_NAMES
    ]
    return sorted(rows, key=lambda row: -row[1])
