"""Which model answers, and what is remembered: the one place that holds networks and results."""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .downloads import Downloads
from .options import Options
from .work import Report, quiet, taking

if TYPE_CHECKING:
    import numpy as np

    from segmentation import ModelCard, Photo, Segmentation, Segmenter

EMBEDDED = "embedded"
MAX_LOADED = 2  # networks kept in memory; the ResNet-101 is 240 MB
MAX_RESULTS = 48  # results kept for pixel questions, all visitors together
MAX_RESULT_BYTES = 192 * 2**20

IN_TURN = "Another photo is being labelled, yours is next …"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """One labelled photo.

    Attributes:
        key: names this answer; equal photo bytes, model and size give an equal key.
        photo: the picture as it was read.
        result: what the network made of it.
        card: the answering model's.
        asked: the model that was asked for.
        notes: what the person should know, a sentence each.
        waiting: the model asked for is still being fetched.
        size: the shorter side that was asked for, in pixels, or None.
    """

    key: str
    photo: "Photo"
    result: "Segmentation"
    card: "ModelCard"
    asked: str
    notes: tuple[str, ...] = ()
    waiting: bool = False
    size: int | None = None

    @property
    def answering(self) -> str:
        """The model that answered: `Engine.segmenter` knows it by this name."""
        return EMBEDDED if self.waiting else self.asked

    @property
    def palette(self) -> "np.ndarray":
        """(256, 3) uint8, the answering model's colours."""
        from segmentation import palette_from_card

        return palette_from_card(self.card.palette, len(self.card.categories))

    @property
    def nbytes(self) -> int:
        """Bytes that keeping this answer costs."""
        result = self.result
        kept = (self.photo, result.class_map, result.confidence, result.runner_up, result.logits)
        return sum(one.nbytes for one in kept)


@dataclass
class _Answers:
    """The last answers, bounded in number and bytes; the oldest leave first."""

    most: int = MAX_RESULTS
    most_bytes: int = MAX_RESULT_BYTES
    kept: "OrderedDict[str, Answer]" = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str) -> Answer | None:
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
            return self.kept.get(key)

    def put(self, answer: Answer) -> None:
        with self.lock:
            self.kept[answer.key] = answer
            self.kept.move_to_end(answer.key)
            while len(self.kept) > self.most or (
                len(self.kept) > 1 and sum(a.nbytes for a in self.kept.values()) > self.most_bytes
            ):
                self.kept.popitem(last=False)


class Engine:
    """Answers photos with the model a visitor chose, or says why another one does.

    Nothing is loaded, opened or started before the first call.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.downloads = Downloads()
        self._answers = _Answers()
        self._segmenters: OrderedDict[str, Segmenter] = OrderedDict()
        self._loading = threading.Lock()
        self._running = threading.Lock()  # one forward pass at a time: it takes every core anyway

    @property
    def default(self) -> str:
        """The model that a visitor finds chosen."""
        from segmentation import default_model

        return self.options.model or default_model(self.options.device)

    def names(self) -> list[str]:
        """The models a visitor may choose, the default first."""
        from segmentation import MODELS, has_embedded

        names = [name for name, spec in MODELS.items() if spec.url]
        if has_embedded():
            names.append(EMBEDDED)
        return [self.default, *(name for name in names if name != self.default)]

    def resolve(self, name: str | None) -> str:
        """The model meant by what a visitor sent.

        A `.pt2` file answers to its path, its file name and its stem; no other file can be named.

        Raises:
            ModelError: there is no such model on this page.
        """
        from segmentation import ModelError

        if not name:
            return self.default
        for known in self.names():
            if name in (known, Path(known).name, Path(known).stem):
                return known
        raise ModelError(
            f"There is no model {name[:200]!r} on this page. Choose one of: "
            + ", ".join(Path(known).name for known in self.names())
            + "."
        )

    def is_ready(self, name: str) -> bool:
        """Whether the model can answer without a download."""
        from segmentation import MODELS, find_weights

        if name in self._segmenters or name == EMBEDDED or name not in MODELS:
            return True
        if self.options.weights and name == self.options.model:
            return True
        return find_weights(MODELS[name]) is not None

    def segmenter(self, name: str, report: Report = quiet) -> "Segmenter":
        """The loaded model, fetched and read at the first call."""
        from segmentation import load

        with taking(self._loading, report, IN_TURN):
            if name not in self._segmenters:
                report(f"Reading the weights of {Path(name).stem} …", None)
                own = self.options.weights if name == self.options.model else None
                self._segmenters[name] = load(name, device=self.options.device, weights=own)
                while len(self._segmenters) > MAX_LOADED:
                    self._segmenters.popitem(last=False)
            self._segmenters.move_to_end(name)
            return self._segmenters[name]

    def segment(
        self,
        source: str | bytes,
        name: str | None = None,
        size: int | None = None,
        *,
        report: Report = quiet,
        stand_in: bool = True,
    ) -> Answer:
        """Label a photo.

        Args:
            source: a file's path, or its bytes.
            name: the model; None means the page's default.
            size: the shorter side that the network sees, in pixels; None means the model's own.
            report: called with (what is happening, fraction done or None).
            stand_in: let the built-in model answer while the asked one is being fetched.

        Raises:
            PixelwiseError: the photo, the model or its weights cannot be used.
        """
        from segmentation import has_embedded, open_photo

        name = self.resolve(name)
        report("Reading the photo …", None)
        photo = open_photo(
            source,
            max_bytes=int(self.options.max_upload_mb * 2**20),
            max_megapixels=self.options.max_megapixels,
        )
        waiting = stand_in and has_embedded() and not self.is_ready(name)
        notes = list(photo.notes)
        if waiting:
            self.downloads.start(name)
            notes.append(f"{name} is not on this machine yet, so the small built-in model answers.")
        answering = EMBEDDED if waiting else name
        key = _key(photo, answering, size)
        known = self._answers.get(key)
        if known is None:
            if not self.is_ready(answering):
                self.downloads.wait(answering, report)
            segmenter = self.segmenter(answering, report)
            with taking(self._running, report, IN_TURN):
                report("Labelling every pixel …", None)
                result = segmenter.predict(photo, size=size)
            card = segmenter.model.card
        else:
            result, card = known.result, known.card
        answer = Answer(key, photo, result, card, name, tuple(notes), waiting, size)
        self._answers.put(answer)
        return answer

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While the block runs, no other forward pass does: hooks may hang on a network."""
        with self._running:
            yield

    def recall(self, key: str) -> Answer | None:
        """An earlier answer, while it is still kept."""
        return self._answers.get(key)

    def warm_up(self) -> None:
        """Load the model that will answer first, and run it once, so that nobody waits for it."""
        import numpy as np

        from segmentation import PixelwiseError

        name = self.default if self.is_ready(self.default) else EMBEDDED
        try:
            with self._running:
                self.segmenter(name).predict(np.zeros((64, 64, 3), np.uint8))
        except PixelwiseError as error:
            log.warning("warm-up: %s", error)


def _key(photo: "Photo", name: str, size: int | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((photo.image.shape, name, size)).encode())
    digest.update(photo.jpeg or photo.image.data)
    return digest.hexdigest()
