"""A replica: it holds the networks and labels photos. Independent of Ray."""

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


class PhotoRequest(NamedTuple):
    """A photo to label.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        model: one of `Settings.models`.
        size: shorter side of the network's input in pixels; None for the model's own.
    """

    image: np.ndarray
    model: str
    size: int | None


class Replica:
    """The networks of one replica, all loaded and run once before the first photo.

    Args:
        settings: the deployment's.

    Raises:
        PixelwiseError: a model cannot be loaded, so this replica must not serve.
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
        """Return the replica's models and its process."""
        models = {name: segmenter.card for name, segmenter in self.segmenters.items()}
        return ReplicaInfo(models, os.getpid())

    def label(self, requests: Sequence[PhotoRequest]) -> list[ResultMessage | ErrorMessage]:
        """Label photos, those of one model and size as a batch.

        Returns:
            For each request its result, or the error to show to its visitor.
        """
        groups: dict[tuple[str, int | None], list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            groups[request.model, request.size].append(index)
        outcomes: dict[int, ResultMessage | ErrorMessage] = {}
        for (model, size), indices in groups.items():
            images = [requests[index].image for index in indices]
            outcomes.update(zip(indices, self._label_batch(model, size, images), strict=True))
        return [outcomes[index] for index in range(len(requests))]

    def _label_batch(
        self, model: str, size: int | None, images: list[np.ndarray]
    ) -> list[ResultMessage | ErrorMessage]:
        segmenter = self.segmenters.get(model)
        if segmenter is None:
            known = ", ".join(self.segmenters)
            text = f"Model {model[:200]!r} is no longer available. Choose one of: {known}."
            return [ErrorMessage(PixelwiseError(text))] * len(images)
        if len(images) > 1 and segmenter.supports_batching:
            try:
                results = segmenter.predict_many([Photo(image) for image in images], size=size)
                return [pack(result, segmenter.card) for result in results]
            except Exception as error:  # such as too little memory for all at once
                log.warning("%d photos could not be labelled as a batch: %s", len(images), error)
        return [self._label_single(segmenter, image, size) for image in images]

    def _label_single(
        self, segmenter: Segmenter, image: np.ndarray, size: int | None
    ) -> ResultMessage | ErrorMessage:
        try:
            return pack(segmenter.predict(Photo(image), size=size), segmenter.card)
        except PixelwiseError as error:
            return ErrorMessage(type(error)(str(error)))
        except Exception as error:  # Ray may be unable to pickle it
            log.exception("a photo could not be labelled")
            return ErrorMessage(RuntimeError(f"{type(error).__name__}: {error}"))
