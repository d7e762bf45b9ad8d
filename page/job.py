"""A photo that waits for its turn, and how those of one turn are labelled."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .kept import Answer

if TYPE_CHECKING:
    from segmentation import Photo, Segmentation
    from segmentation.card_figures import Size

    from .kept import Source
    from .predictors import Labels

SHARPER = -1
"""Stands, in place of a size, for the sizes that the model's card has measured as sharper."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A photo to be labelled, not read yet.

    Attributes:
        source: what it is read from.
        key, content, session, asked, answering, waiting, size: see `kept.Answer`.
    """

    source: "Source"
    key: str
    content: str
    session: str
    asked: str
    answering: str
    waiting: bool
    size: "Size"

    def answer(self, photo: "Photo", result: "Segmentation", segmenter: "Labels") -> Answer:
        """What became of it."""
        return Answer(
            self.key,
            photo,
            result,
            segmenter.card,
            self.asked,
            self.answering,
            self.session,
            self.content,
            self.waiting,
            self.size,
        )


def predict_each(
    segmenter: "Labels", photos: "list[Photo]", size: "Size"
) -> "list[Segmentation | Exception]":
    """Label photos together; where that fails, each on its own.

    Args:
        segmenter: what labels them.
        photos: several only where `segmenter.batches`.
        size: the shorter side that the network sees, in pixels; None means the model's own; several
            are averaged.

    Returns:
        For each photo its result, or the error that its visitor is to be told.
    """
    if len(photos) > 1:
        try:
            return list(segmenter.predict_many(photos, size=size))
        except Exception as error:  # such as too little memory for all at once
            log.warning("%d photos could not be labelled together: %s", len(photos), error)
    results: list[Segmentation | Exception] = []
    for photo in photos:
        try:
            results.append(segmenter.predict(photo, size=size))
        except Exception as error:  # each visitor is told of their own
            results.append(error)
    return results
