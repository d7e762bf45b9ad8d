"""What a replica does: hold the networks, label what comes. Knows nothing of Ray."""

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deploy.messages import ErrorMessage, ReplicaInfo, ResultMessage, pack
from deploy.settings import Settings
from segmentation import Photo, PixelwiseError, Segmenter, load

log = logging.getLogger(__name__)


class Question(NamedTuple):
    """A photo to label.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        model: one of `Settings.models`.
        size: the shorter side that the network sees, in pixels, or None.
    """

    image: np.ndarray
    model: str
    size: int | None


class Replica:
    """The networks of one replica, all of them loaded and run once before the first photo.

    Args:
        settings: the deployment's.

    Raises:
        PixelwiseError: a model cannot be had; then this replica must not serve.
    """

    def __init__(self, settings: Settings) -> None:
        options = settings.page
        self.segmenters: dict[str, Segmenter] = {}
        for name in settings.models:
            self.segmenters[name] = load(
                name,
                device=settings.device,
                weights=options.weights if name == options.model else None,
                precision=options.precision,
                compiled=options.compile,
            )
            self.segmenters[name].warm_up()

    def about(self) -> ReplicaInfo:
        """What there is here."""
        models = {name: segmenter.card for name, segmenter in self.segmenters.items()}
        return ReplicaInfo(models, os.getpid())

    def label(self, questions: Sequence[Question]) -> list[ResultMessage | ErrorMessage]:
        """Label photos, those of one model and size together.

        Returns:
            For each question its result, or the error that its visitor is to be told.
        """
        groups: dict[tuple[str, int | None], list[int]] = defaultdict(list)
        for index, question in enumerate(questions):
            groups[question.model, question.size].append(index)
        answers: dict[int, ResultMessage | ErrorMessage] = {}
        for (model, size), indices in groups.items():
            images = [questions[index].image for index in indices]
            answers.update(zip(indices, self._label_like(model, size, images), strict=True))
        return [answers[index] for index in range(len(questions))]

    def _label_like(
        self, model: str, size: int | None, images: list[np.ndarray]
    ) -> list[ResultMessage | ErrorMessage]:
        segmenter = self.segmenters.get(model)
        if segmenter is None:
            known = ", ".join(self.segmenters)
            text = f"There is no model {model[:200]!r} here any more. Choose one of: {known}."
            return [ErrorMessage(PixelwiseError(text))] * len(images)
        if len(images) > 1 and segmenter.supports_batching:
            try:
                many = segmenter.predict_many([Photo(image) for image in images], size=size)
                return [pack(result, segmenter.card) for result in many]
            except Exception as error:  # such as too little memory for all at once
                log.warning("%d photos could not be labelled together: %s", len(images), error)
        return [self._label_one(segmenter, image, size) for image in images]

    def _label_one(
        self, segmenter: Segmenter, image: np.ndarray, size: int | None
    ) -> ResultMessage | ErrorMessage:
        try:
            return pack(segmenter.predict(Photo(image), size=size), segmenter.card)
        except PixelwiseError as error:
            return ErrorMessage(type(error)(str(error)))
        except Exception as error:  # may be one that does not travel
            log.exception("a photo could not be labelled")
            return ErrorMessage(RuntimeError(f"{type(error).__name__}: {error}"))
