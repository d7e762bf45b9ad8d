"""What labels photos: networks in this process, or anything that looks the same to the page."""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from page.options import Options
from page.service.background import NO_PROGRESS, Progress, acquire_with_progress
from page.service.bounded_cache import BoundedCache

if TYPE_CHECKING:
    from segmentation import ModelCard, Photo, Segmentation, Segmenter

EMBEDDED = "embedded"
MAX_LOADED = 2  # large networks kept in memory; the ResNet-101 is 240 MB
LIGHTWEIGHT_MODELS = (EMBEDDED, "lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large")
"""Networks of 45 MB at most, quick enough for moving pictures: they stay loaded."""
BEING_LOADED = "Another photo is being labelled, yours is next …"
log = logging.getLogger(__name__)


class Predictor(Protocol):
    """What the page needs of a `segmentation.Segmenter`.

    Attributes:
        card: what the model says about itself; it must be right after the first answer.
    """

    @property
    def card(self) -> "ModelCard":
        """What the model says about itself."""

    def predict(self, image: "Photo", *, size: int | None = None) -> "Segmentation":
        """Label a photo; see `segmentation.Segmenter.predict`."""


class ModelPool(Protocol):
    """All models that a page offers.

    Attributes:
        max_concurrency: how many photos may be at work at once.
        in_process: whether the networks that label are the ones that `network` hands out.
        default: the model that a visitor finds chosen.
    """

    max_concurrency: int
    in_process: bool

    @property
    def default(self) -> str:
        """The model that a visitor finds chosen."""

    def names(self) -> list[str]:
        """The models a visitor may choose, the default first."""

    def is_ready(self, name: str) -> bool:
        """Whether a model can answer without a download."""

    def is_loaded(self, name: str) -> bool:
        """Whether `segmenter` will return at once."""

    def segmenter(self, name: str, progress: Progress = NO_PROGRESS) -> Predictor:
        """What labels photos with a model, for one turn at the network."""

    def network(self, name: str, progress: Progress = NO_PROGRESS) -> "Segmenter":
        """A model in this process, for those who look inside a network (the classroom)."""


class LocalModelPool:
    """Networks in this process, read when they are first asked for; see `ModelPool`.

    Args:
        options: the page's settings.
        device: where networks are loaded; None means the options' device.

    Attributes:
        loaded: the models in memory, the one used last at the end.
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
        """The model that a visitor finds chosen."""
        from segmentation import default_model

        return self.options.model or default_model(self.device)

    def names(self) -> list[str]:
        """The models a visitor may choose, the default first."""
        from segmentation import MODELS, has_embedded

        names = [name for name, spec in MODELS.items() if spec.url]
        if has_embedded():
            names.append(EMBEDDED)
        return [self.default, *(name for name in names if name != self.default)]

    def is_ready(self, name: str) -> bool:
        """Whether a model can answer without a download."""
        from segmentation import MODELS, find_weights

        if name in self.loaded or name == EMBEDDED or name not in MODELS:
            return True
        if self.options.weights and name == self.options.model:
            return True
        return find_weights(MODELS[name]) is not None

    def is_loaded(self, name: str) -> bool:
        """Whether a model is in memory."""
        return name in self.loaded

    def segmenter(self, name: str, progress: Progress = NO_PROGRESS) -> "Segmenter":
        """The loaded model, fetched and read at the first call."""
        if (found := self.loaded.get(name)) is not None:
            return found
        with acquire_with_progress(self._loading, progress, BEING_LOADED):
            if (found := self.loaded.get(name)) is not None:
                return found
            progress(f"Reading the weights of {Path(name).stem} …", None)
            from segmentation import load  # and torch with it: seconds at the first call

            found = load(
                name,
                device=self.device,
                weights=self.options.weights if name == self.options.model else None,
                precision=self.options.precision,
                compiled=self.options.compile,
            )
            if note := getattr(found, "note", ""):
                log.warning("%s: %s", Path(name).stem, note)
            self.loaded.put(name, found)
            return found

    network = segmenter
