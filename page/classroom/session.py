"""What the classroom's views share: results, networks, cached features and error handling."""

import functools
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from PIL import Image

from page.classroom import text as texts
from page.service import error_log, error_messages
from page.service.bounded_cache import BoundedCache
from page.service.labeling_service import LabelingService
from page.service.result_cache import LabelResult
from page.texts import size_text
from segmentation import PixelwiseError
from segmentation.models.card import sizes_of

if TYPE_CHECKING:
    import torch

    from segmentation import Segmentation, Segmenter
    from segmentation.explain.ablation import Encoded

MAX_ENCODED = 4  # photos whose features are cached, for all visitors together
MAX_ENCODED_BYTES = 256 * 2**20

Pixel = tuple[int, int] | None
log = logging.getLogger(__name__)


class MissingInputError(PixelwiseError):
    """The visitor has to choose something first; the message is HTML of our own making."""


class ClassroomSession:
    """Look up results and networks, and cache the encoder's features.

    Args:
        service: labels photos and caches results.
    """

    def __init__(self, service: LabelingService) -> None:
        self.service = service
        self._encoded: BoundedCache[str, Encoded] = BoundedCache(MAX_ENCODED, MAX_ENCODED_BYTES)

    def entry(self, key: str) -> LabelResult:
        """Return the cached result that the page shows.

        Raises:
            MissingInputError: no photo was labelled, or its result has been evicted.
        """
        if not key:
            raise MissingInputError(texts.NO_PHOTO)
        entry = self.service.get_result(key)
        if entry is None:
            raise MissingInputError(texts.LABEL_FIRST)
        return entry

    def relabel(self, entry: LabelResult, name: str, size: int | None) -> LabelResult:
        """Label the same visitor's photo with a model at a size, or return the cached result."""
        return self.service.segment(
            entry.photo, name, size, session=entry.request.session, allow_fallback=False
        )

    def segmenter(self, entry: LabelResult) -> "Segmenter":
        """Return the network that made a result, with its preprocessing."""
        return self.service.segmenter(entry.request.used_model)

    def batch(self, entry: LabelResult) -> "torch.Tensor":
        """Return the photo as the network's input: (1, 3, h, w) on the network's device."""
        segmenter = self.segmenter(entry)
        image = Image.fromarray(entry.photo.image)
        batch = segmenter.preprocess(image, size=sizes_of(entry.request.size or segmenter.size)[0])
        return batch.to(segmenter.model.device)

    def encoded(self, entry: LabelResult) -> "Encoded":
        """Return the encoder's features of the photo, cached if possible."""
        encoded = self._encoded.get(entry.key)
        if encoded is None:
            from segmentation.explain.ablation import encode

            network = self.segmenter(entry).model.network
            with self.service.exclusive():
                encoded = encode(network, self.batch(entry))
            self._encoded.put(entry.key, encoded)
        return encoded

    def has_encoded(self, key: str) -> bool:
        """Return whether the features of a result are cached."""
        return key in self._encoded

    def model_line(self, entry: LabelResult) -> str:
        """Return a line of HTML that names the model which a view explains."""
        from segmentation.explain.ablation import family

        network = self.segmenter(entry).model.network
        name, kind = texts.escape(entry.result.model), texts.escape(family(network))
        size = f", shown {size_text(entry.request.size)}" if entry.request.size else ""
        return texts.note(f"This explains <strong>{name}</strong> ({kind}{size}).", "model")


def selected_pixel(pixel: Any, entry: LabelResult) -> tuple[int, int]:
    """Return the clicked pixel as (y, x), clipped to the photo.

    Raises:
        MissingInputError: no pixel was clicked.
    """
    if not pixel:
        raise MissingInputError(texts.PICK_FIRST)
    y, x = (int(value) for value in pixel)
    return (
        min(max(y, 0), entry.result.height - 1),
        min(max(x, 0), entry.result.width - 1),
    )


def default_class(result: "Segmentation") -> int:
    """Return the index of the largest class other than background, or of the largest class."""
    areas = result.areas()
    return next((area.index for area in areas if area.index), areas[0].index)


def errors_as_html(view: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    """Wrap a view so that it yields its errors as HTML."""

    @functools.wraps(view)
    def run(*args: Any, **kwargs: Any) -> Iterator[str]:
        try:
            yield from view(*args, **kwargs)
        except MissingInputError as error:
            yield texts.note(str(error), "empty")
        except PixelwiseError as error:
            text = error_messages.told(log, error)
            yield _model_line(args) + texts.note(texts.escape(f"{text.rstrip('.')}."), "error")
        except Exception as error:
            error_log.tell(log, "a view of the classroom failed", error)
            yield texts.note("The server had a problem. Please try again.", "error")

    return run


def _model_line(args: tuple[Any, ...]) -> str:
    """Return `model_line` for a view called as (view, key, ...), or "" without a result."""
    try:
        lab = args[0].lab
        return lab.model_line(lab.entry(args[1]))
    except (AttributeError, IndexError, PixelwiseError):
        return ""
