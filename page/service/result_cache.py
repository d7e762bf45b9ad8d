"""What is to be labelled, what came of it, and the last results of each visitor, for them alone."""

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from page.service.bounded_cache import BoundedCache

if TYPE_CHECKING:
    import numpy as np

    from segmentation import ModelCard, Photo, Segmentation
    from segmentation.models.card_figures import Size

    Source = str | bytes | Photo
    """What a photo is read from: a file's path, its bytes, or one that was read before."""

SHARPER = -1
"""Stands, in place of a size, for the sizes that the model's card has measured as sharper."""
MAX_RESULTS = 48  # all visitors together
MAX_RESULTS_EACH = 12
MAX_RESULT_BYTES = 192 * 2**20
KEEP_SECONDS = 3600.0
CLOSED_SECONDS = 60.0
"""A page that lost its connection may come back; a closed one does not."""
_blake2b = functools.partial(hashlib.blake2b, digest_size=16)


@dataclass(frozen=True)
class LabelRequest:
    """A photo to be labelled, not read yet.

    Attributes:
        source: what it is read from.
        key: names the result; one visitor's equal photos, models and sizes give an equal key, and
            no other visitor's do.
        content_hash: names what the photo is read from.
        session: whose it is; "" for nobody's, and then the result is not kept.
        requested_model: the model that was asked for.
        used_model: the model that answers: `LabelingService.segmenter` knows it by this name.
        is_fallback: the model asked for is still being fetched, and another one answers.
        size: the shorter side that the network is shown, in pixels; None for the model's own;
            several where their probabilities are averaged.
    """

    source: "Source"
    key: str
    content_hash: str
    session: str
    requested_model: str
    used_model: str
    is_fallback: bool = False
    size: "Size" = None


@dataclass(frozen=True)
class LabelResult:
    """One labelled photo.

    Attributes:
        request: what was asked.
        photo: the picture as it was read.
        result: what the network made of it.
        card: the answering model's; its `palette_array` has the colours.
    """

    request: LabelRequest
    photo: "Photo"
    result: "Segmentation"
    card: "ModelCard"

    @property
    def key(self) -> str:
        """See `LabelRequest`."""
        return self.request.key

    @property
    def palette(self) -> "np.ndarray":
        """(256, 3) uint8, the answering model's colours."""
        return self.card.palette_array

    @property
    def notes(self) -> tuple[str, ...]:
        """What the person should know, a sentence each."""
        if not self.request.is_fallback:
            return tuple(self.photo.notes)
        name = self.request.requested_model
        absent = f"{name} is not on this machine yet, so the small built-in model answers."
        return (*self.photo.notes, absent)

    @property
    def nbytes(self) -> int:
        """Bytes that keeping this result costs."""
        result = self.result
        maps = (result.class_map, result.confidence, result.runner_up, result.set_sizes)
        kept = (self.photo, *maps, result.logits)
        return sum(one.nbytes for one in kept if one is not None)


class ResultCache(BoundedCache[str, LabelResult]):
    """The last results, bounded for each visitor and in all.

    Attributes:
        max_items_each: results of one visitor.
    """

    def __init__(self) -> None:
        super().__init__(MAX_RESULTS, MAX_RESULT_BYTES, KEEP_SECONDS)
        self.max_items_each = MAX_RESULTS_EACH

    def put(self, key: str, value: LabelResult) -> None:
        """Keep a result, unless it is nobody's."""
        session = value.request.session
        if not session:
            return
        super().put(key, value)
        own = [one.request.key for one in self.values() if one.request.session == session]
        for surplus in own[: -self.max_items_each]:
            self.discard(surplus)

    def hash_source(self, source: "Source", session: str) -> str:
        """A name for what a photo is read from, the same for the same bytes.

        A `Photo` that belongs to a result of this visitor has the name of its file.

        Raises:
            OSError: the file cannot be read.
        """
        if not isinstance(source, str | bytes):
            for one in self.values():
                if one.photo is source and one.request.session == session:
                    return one.request.content_hash
        if isinstance(source, str):
            with open(source, "rb") as file:  # a part at a time: many may ask at once
                return hashlib.file_digest(file, _blake2b).hexdigest()
        if isinstance(source, bytes):
            return _blake2b(source).hexdigest()
        return _blake2b(repr(source.image.shape).encode() + source.image.tobytes()).hexdigest()

    def close(self, session: str) -> None:
        """A visitor has closed the page: forget their results soon."""
        self.expire(lambda one: one.request.session == session, CLOSED_SECONDS)


def cache_key(session: str, content_hash: str, model: str, size: "Size") -> str:
    """Names a result; nobody can guess another visitor's without knowing that visitor's secret."""
    return _blake2b(repr((session, content_hash, model, size)).encode()).hexdigest()
