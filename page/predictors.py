"""What labels photos: networks in this process, or anything that looks the same to the page."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .options import Options
from .work import Report, quiet, taking

if TYPE_CHECKING:
    from segmentation import ModelCard, Photo, Segmentation, Segmenter

EMBEDDED = "embedded"
MAX_LOADED = 2  # large networks kept in memory; the ResNet-101 is 240 MB
LIGHT = (EMBEDDED, "lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large")
"""Networks of 45 MB at most, quick enough for moving pictures: they stay loaded."""
BEING_LOADED = "Another photo is being labelled, yours is next …"
log = logging.getLogger(__name__)


class Labels(Protocol):
    """What the page needs of a `segmentation.Segmenter`.

    Attributes:
        batches: whether photos of one size are better labelled together.
        card: what the model says about itself; it must be right after the first answer.
    """

    batches: bool

    @property
    def card(self) -> "ModelCard":
        """What the model says about itself."""

    def predict(self, image: "Photo", *, size: int | None = None) -> "Segmentation":
        """Label a photo; see `segmentation.Segmenter.predict`."""

    def predict_many(
        self, images: "Sequence[Photo]", *, size: int | None = None
    ) -> "list[Segmentation]":
        """Label several; see `segmentation.Segmenter.predict_many`."""


class Predictors(Protocol):
    """All models that a page offers.

    Attributes:
        width: how many photos may be at work at once.
        here: whether the networks that label are the ones that `network` hands out.
        default: the model that a visitor finds chosen.
    """

    width: int
    here: bool

    @property
    def default(self) -> str:
        """The model that a visitor finds chosen."""

    def names(self) -> list[str]:
        """The models a visitor may choose, the default first."""

    def is_ready(self, name: str) -> bool:
        """Whether a model can answer without a download."""

    def is_loaded(self, name: str) -> bool:
        """Whether `segmenter` will return at once."""

    def segmenter(self, name: str, report: Report = quiet) -> Labels:
        """What labels photos with a model, for one turn of the line."""

    def network(self, name: str, report: Report = quiet) -> "Segmenter":
        """A model in this process, for those who look inside a network (the classroom)."""


class Local:
    """Networks in this process, read when they are first asked for; see `Predictors`.

    Args:
        options: the page's settings.
        device: where networks are loaded; None means the options' device.

    Attributes:
        loaded: the models in memory, the one used last at the end.
    """

    width = 1
    here = True

    def __init__(self, options: Options, device: str | None = None) -> None:
        self.options = options
        self.device = device or options.device
        self.loaded: OrderedDict[str, Segmenter] = OrderedDict()
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

    def segmenter(self, name: str, report: Report = quiet) -> "Segmenter":
        """The loaded model, fetched and read at the first call."""
        with taking(self._loading, report, BEING_LOADED):
            if name not in self.loaded:
                report(f"Reading the weights of {Path(name).stem} …", None)
                from segmentation import load  # and torch with it: seconds at the first call

                own = self.options.weights if name == self.options.model else None
                self.loaded[name] = load(
                    name,
                    device=self.device,
                    weights=own,
                    precision=self.options.precision,
                    compiled=self.options.compile,
                )
                if note := getattr(self.loaded[name], "note", ""):
                    log.warning("%s: %s", Path(name).stem, note)
            self.loaded.move_to_end(name)
            for large in [one for one in self.loaded if one not in LIGHT][:-MAX_LOADED]:
                del self.loaded[large]
            return self.loaded[name]

    network = segmenter
