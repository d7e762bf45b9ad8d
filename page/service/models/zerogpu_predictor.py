"""Where photos are labelled: on this machine, or on a GPU that is lent for each of them."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from page.options import Options
from page.service.models.zerogpu import find_spaces, gpu

if TYPE_CHECKING:
    from page.service.models.model_pool import Predictor
    from segmentation import Photo, Segmentation, Segmenter
    from segmentation.models.card_figures import Size

DEVICE = "cuda"
"""What a network is loaded on where a GPU is lent."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelConfig:
    """How to load a model once more, in a process that shares nothing with this one.

    Attributes:
        name, weights, precision, compiled: see `segmentation.load`.
    """

    name: str
    weights: str | None
    precision: str
    compiled: bool


class ZeroGpuPredictor:
    """Labels photos on a lent GPU.

    Attributes:
        lends: whether there is a GPU to be lent.
        device: where this process itself loads networks.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self.lends = find_spaces() is not None
        self._predict = gpu(predict_in_worker)
        self.device = "cpu" if self.lends else options.device

    def predict(
        self, segmenter: "Predictor", name: str, photo: "Photo", size: "Size"
    ) -> "Segmentation":
        """Label a photo; where no GPU can be lent just now, on the processor.

        Args:
            segmenter: the model, loaded in this process.
            name: what the service calls it.
            photo: to label.
            size: see `segmentation.Segmenter.predict`.

        Raises:
            Exception: whatever the network raises on this photo.
        """
        options = self._options
        own = options.weights if name == options.model else None
        config = ModelConfig(name, own, options.precision, options.compile)
        try:
            result = self._predict(config, photo, size)
        except Exception as error:  # the quota is used up, or the worker has died
            log.warning("no GPU was lent, the processor labels: %s", error)
            return segmenter.predict(photo, size=size)
        if isinstance(result, Exception):
            raise result
        return result


_loaded: "dict[ModelConfig, Segmenter]" = {}


def predict_in_worker(
    config: ModelConfig, photo: "Photo", size: "Size"
) -> "Segmentation | Exception":
    """Label a photo in a forked process: nothing loaded in the first one is used.

    Args:
        config: the model; the last one stays loaded for as long as the process lives.
        photo: to label.
        size: see `segmentation.Segmenter.predict`.

    Returns:
        The result, or what the network has raised on this photo.
    """
    import torch

    from segmentation import load

    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork: a second one would hang
    if config not in _loaded:
        _loaded.clear()
        _loaded[config] = load(
            config.name,
            device=DEVICE,
            weights=config.weights,
            precision=config.precision,
            compiled=config.compiled,
        )
        torch.set_num_threads(1)
    try:
        return _loaded[config].predict(photo, size=size)
    except Exception as error:
        return error
