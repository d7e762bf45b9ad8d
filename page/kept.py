"""What is remembered of each visitor: their last answers, for them alone."""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from segmentation import ModelCard, Photo, Segmentation

    Source = str | bytes | Photo
    """What a photo is read from: a file's path, its bytes, or one that was read before."""

MAX_RESULTS = 48  # all visitors together
MAX_RESULTS_EACH = 12
MAX_RESULT_BYTES = 192 * 2**20
KEEP_SECONDS = 3600.0
CLOSED_SECONDS = 60.0
"""A page that lost its connection may come back; a closed one does not."""


@dataclass(frozen=True)
class Answer:
    """One labelled photo.

    Attributes:
        key: names this answer; one visitor's equal photos, models and sizes give an equal key, and
            no other visitor's do.
        photo: the picture as it was read.
        result: what the network made of it.
        card: the answering model's.
        asked: the model that was asked for.
        answering: the model that answered: `Engine.segmenter` knows it by this name.
        session: whose it is; "" for nobody's, and then it is not kept.
        content: names what the photo was read from.
        waiting: the model asked for is still being fetched, and another one answered.
        size: the shorter side that was asked for, in pixels, or None.
    """

    key: str
    photo: "Photo"
    result: "Segmentation"
    card: "ModelCard"
    asked: str
    answering: str
    session: str = ""
    content: str = ""
    waiting: bool = False
    size: int | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the person should know, a sentence each."""
        if not self.waiting:
            return tuple(self.photo.notes)
        absent = f"{self.asked} is not on this machine yet, so the small built-in model answers."
        return (*self.photo.notes, absent)

    @property
    def palette(self) -> "np.ndarray":
        """(256, 3) uint8, the answering model's colours."""
        from segmentation import palette_from_card

        return palette_from_card(self.card.palette, len(self.card.categories))

    @property
    def nbytes(self) -> int:
        """Bytes that keeping this answer costs."""
        result = self.result
        maps = (result.class_map, result.confidence, result.runner_up, result.set_sizes)
        kept = (self.photo, *maps, result.logits)
        return sum(one.nbytes for one in kept if one is not None)


class Kept:
    """The last answers, bounded for each visitor and in all; those used least lately leave first.

    Attributes:
        most: answers of all visitors together.
        most_each: answers of one visitor.
        most_bytes: of all answers; the last one is kept whatever it takes.
    """

    def __init__(self) -> None:
        self.most = MAX_RESULTS
        self.most_each = MAX_RESULTS_EACH
        self.most_bytes = MAX_RESULT_BYTES
        self._kept: OrderedDict[str, tuple[Answer, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many answers are kept."""
        with self._lock:
            return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Bytes of all answers."""
        with self._lock:
            return sum(answer.nbytes for answer, _ in self._kept.values())

    def get(self, key: str) -> Answer | None:
        """An answer, while it is kept."""
        with self._lock:
            if key not in self._kept:
                return None
            answer, _ = self._kept.pop(key)
            self._kept[key] = answer, time.monotonic()
            return answer

    def put(self, answer: Answer) -> None:
        """Keep an answer, unless it is nobody's."""
        if not answer.session:
            return
        with self._lock:
            self._kept.pop(answer.key, None)
            self._kept[answer.key] = answer, time.monotonic()
            own = [key for key, (one, _) in self._kept.items() if one.session == answer.session]
            for key in own[: -self.most_each]:
                del self._kept[key]
            total = sum(one.nbytes for one, _ in self._kept.values())
            while len(self._kept) > self.most or (len(self._kept) > 1 and total > self.most_bytes):
                _, (oldest, _) = self._kept.popitem(last=False)
                total -= oldest.nbytes

    def content_of(self, source: "Source", session: str) -> str:
        """A name for what a photo is read from, the same for the same bytes.

        A `Photo` that belongs to an answer of this visitor has the name of its file.
        """
        if isinstance(source, bytes):
            return _digest(source)
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            return _digest(path.read_bytes()) if path.is_file() else ""
        with self._lock:
            for answer, _ in self._kept.values():
                if answer.photo is source and answer.session == session:
                    return answer.content
        return _digest(repr(source.image.shape).encode() + source.image.tobytes())

    def close(self, session: str) -> None:
        """A visitor has closed the page: forget their answers soon."""
        with self._lock:
            for key, (answer, at) in self._kept.items():
                if answer.session == session:
                    self._kept[key] = answer, at - KEEP_SECONDS + CLOSED_SECONDS

    def forget_old(self) -> None:
        """Forget what nobody has asked for within an hour."""
        limit = time.monotonic() - KEEP_SECONDS
        with self._lock:
            for key in [key for key, (_, at) in self._kept.items() if at < limit]:
                del self._kept[key]


def key_of(session: str, content: str, model: str, size: int | None) -> str:
    """Names an answer; nobody can guess another visitor's without knowing that visitor's secret."""
    return _digest(repr((session, content, model, size)).encode())


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
