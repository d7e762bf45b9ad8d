"""The models that a page offers: networks in this process, or an interface to other machines."""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from page.options import Options
from page.service.background import NO_PROGRESS, Progress, Stage, acquire_with_progress
from page.service.bounded_cache import BoundedCache

if TYPE_CHECKING:
    from segmentation import ModelCard, Photo, Segmentation, Segmenter

EMBEDDED = "embedded"
MAX_LOADED = 2  # large networks in memory; the ResNet-101 takes 240 MB
LIGHTWEIGHT_MODELS = (EMBEDDED, "lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large")
"""Networks of 45 MB at most, fast enough for a camera; once loaded they stay in memory."""
log = logging.getLogger(__name__)


class Predictor(Protocol):
    """The part of `segmentation.Segmenter` that the page uses."""

    @property
    def card(self) -> "ModelCard":
        """The model's card; correct once `predict` has returned."""

    def predict(self, image: "Photo", *, size: int | None = None) -> "Segmentation":
        """Label a photo; see `segmentation.Segmenter.predict`."""


class ModelPool(Protocol):
    """All models that a page offers.

    Attributes:
        max_concurrency: how many photos may be labelled at once.
        in_process: whether photos are labelled by the networks that `network` returns.
    """

    max_concurrency: int
    in_process: bool

    @property
    def default(self) -> str:
        """The model that is chosen when the page opens."""

    def names(self) -> list[str]:
        """Return all models, the default first; the list does not change."""

    def is_ready(self, name: str) -> bool:
        """Return whether a model needs no download."""

    def is_loaded(self, name: str) -> bool:
        """Return whether `segmenter` returns at once."""

    def segmenter(self, name: str, progress: Progress = NO_PROGRESS) -> Predictor:
        """Return what labels photos, for one slot at the network."""

    def network(self, name: str, progress: Progress = NO_PROGRESS) -> "Segmenter":
        """Return a model in this process, for the classroom, which inspects networks."""


class LocalModelPool:
    """Networks in this process, each loaded at its first use; see `ModelPool`.

    Args:
        options: the page's settings.
        device: where networks are loaded; None for the options' device.

    Attributes:
        loaded: the models in memory, the most recently used last.
    """

    max_concurrency = 1
    in_process = True

    def __init__(self, options: Options, device: str | None = None) -> None:
        self.options = options
        self.device = device or options.device
        self.loaded: BoundedCache[str, Segmenter] = BoundedCache(
            MAX_LOADED, exempt=LIGHTWEIGHT_MODELS
        )
        self._loading = threading.Lock()

    @property
    def default(self) -> str:
        """See `ModelPool`."""
        from segmentation import default_model

        return self.options.model or default_model(self.device)

    def names(self) -> list[str]:
        """See `ModelPool`."""
        from segmentation import MODELS, has_embedded

        names = [name for name, spec in MODELS.items() if spec.url]
        if has_embedded():
            names.append(EMBEDDED)
        return list(dict.fromkeys([self.default, *names]))

    def is_ready(self, name: str) -> bool:
        """See `ModelPool`."""
        from segmentation import MODELS, find_weights

        if name == EMBEDDED or name not in MODELS or self.is_loaded(name):
            return True
        if self.options.weights and name == self.options.model:
            return True
        return find_weights(MODELS[name]) is not None

    def is_loaded(self, name: str) -> bool:
        """See `ModelPool`."""
        return self.loaded.get(name) is not None

    def segmenter(self, name: str, progress: Progress = NO_PROGRESS) -> "Segmenter":
        """Return a model, loaded at the first call."""
        if (segmenter := self.loaded.get(name)) is not None:
            return segmenter
        with acquire_with_progress(self._loading, progress, Stage("waiting")):
            if (segmenter := self.loaded.get(name)) is not None:
                return segmenter
            progress(Stage("loading", Path(name).stem))
            from segmentation import load  # imports torch, which takes seconds

            segmenter = load(
                name,
                device=self.device,
                weights=self.options.weights if name == self.options.model else None,
                precision=self.options.precision,
                compiled=self.options.compile,
            )
            if note := getattr(segmenter, "note", ""):
                log.warning("%s: %s", Path(name).stem, note)
            self.loaded.put(name, segmenter)
            return segmenter

    network = segmenter
