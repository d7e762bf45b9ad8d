"""A request to label a photo, its result, and the cache of recent results, kept per visitor."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from page.service.bounded_cache import BoundedCache

if TYPE_CHECKING:
    from segmentation import ModelCard, Photo, Segmentation
    from segmentation.models.card_figures import Size

    Source = str | bytes | Photo
    """A file's path, its bytes, or a photo that was decoded before."""

SHARPER = -1
"""In place of a size: the sizes that the model's card has measured as sharper."""
MAX_RESULTS = 48  # all visitors together
MAX_RESULTS_EACH = 12
MAX_RESULT_BYTES = 192 * 2**20
KEEP_SECONDS = 3600.0
CLOSED_SECONDS = 60.0
"""Seconds that results are kept after the page was closed: a lost connection may come back."""


@dataclass(frozen=True)
class LabelRequest:
    """A photo to be labelled, not decoded yet.

    Attributes:
        source: what the photo is decoded from.
        key: cache key; equal for equal photos, models and sizes of one visitor, and different for
            every other visitor.
        content_hash: hash of the photo's file.
        session: the visitor's session; "" for none, and then the result is not cached.
        requested_model: the model that the visitor chose.
        used_model: the model that labels the photo.
        is_fallback: whether `used_model` replaces one whose weights are being downloaded.
        size: the shorter side of the network's input, in pixels; None for the model's own;
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
        request: the request.
        photo: the decoded photo.
        result: the network's result.
        card: the card of the model that labelled it.
        nbytes: memory of the photo and the result, in bytes.
    """

    request: LabelRequest
    photo: "Photo"
    result: "Segmentation"
    card: "ModelCard"
    nbytes: int

    @property
    def key(self) -> str:
        """The request's cache key."""
        return self.request.key


class ResultCache(BoundedCache[str, LabelResult]):
    """The most recent results, bounded in all and for each session."""

    def __init__(self) -> None:
        super().__init__(
            MAX_RESULTS, MAX_RESULT_BYTES, KEEP_SECONDS, max_items_each=MAX_RESULTS_EACH
        )

    def close(self, session: str) -> None:
        """Evict a session's results soon, because its page was closed."""
        self.expire(session, CLOSED_SECONDS)
