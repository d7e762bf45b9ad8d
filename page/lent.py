"""Where photos are labelled: on this machine, or on a GPU that is lent for each of them."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .job import predict_each
from .options import Options
from .zerogpu import find_spaces, gpu

if TYPE_CHECKING:
    from segmentation import Photo, Segmentation, Segmenter

DEVICE = "cuda"
"""What a network is loaded on where a GPU is lent."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How to load a model once more, in a process that shares nothing with this one.

    Attributes:
        name, weights, precision, compiled: see `segmentation.load`.
    """

    name: str
    weights: str | None
    precision: str
    compiled: bool


class Lent:
    """Labels photos, on a lent GPU where there is one.

    Attributes:
        device: where this process itself loads networks.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lends = find_spaces() is not None
        self._label = gpu(label_with)
        self.device = "cpu" if self._lends else options.device

    def predict(
        self, segmenter: "Segmenter", name: str, photos: "list[Photo]", size: int | None
    ) -> "list[Segmentation | Exception]":
        """As `job.predict_each`; where no GPU can be lent just now, on the processor.

        Args:
            segmenter: the model, loaded in this process.
            name: what the engine calls it.
            photos: to label.
            size: see `job.predict_each`.
        """
        if self._lends:
            options = self._options
            own = options.weights if name == options.model else None
            recipe = Recipe(name, own, options.precision, options.compile)
            try:
                return self._label(recipe, photos, size)
            except Exception as error:  # the quota is used up, or the worker has died
                log.warning("no GPU was lent, the processor labels: %s", error)
        return predict_each(segmenter, photos, size)


_loaded: "dict[Recipe, Segmenter]" = {}


def label_with(
    recipe: Recipe, photos: "list[Photo]", size: int | None
) -> "list[Segmentation | Exception]":
    """As `job.predict_each`, in a forked process: nothing loaded in the first one is used.

    Args:
        recipe: the model; the last one stays loaded for as long as the process lives.
        photos: to label.
        size: see `job.predict_each`.
    """
    import torch

    from segmentation import load

    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork: a second one would hang
    if recipe not in _loaded:
        _loaded.clear()
        _loaded[recipe] = load(
            recipe.name,
            device=DEVICE,
            weights=recipe.weights,
            precision=recipe.precision,
            compiled=recipe.compiled,
        )
        torch.set_num_threads(1)
    return predict_each(_loaded[recipe], photos, size)
