"""What the classroom's views share: the answer they explain, its network, what is kept of it."""

import functools
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from page.classroom import text as words
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

MAX_ENCODED = 4  # photos whose features are kept, all visitors together
MAX_ENCODED_BYTES = 256 * 2**20

Pixel = tuple[int, int] | None
log = logging.getLogger(__name__)


class MissingInputError(PixelwiseError):
    """Something has to be chosen first; the message is HTML of our own making."""


class ClassroomSession:
    """Finds an answer and its network again, and keeps the features that its first run made.

    Args:
        service: answers the photos.
    """

    def __init__(self, service: LabelingService) -> None:
        self.service = service
        self._encoded: BoundedCache[str, Encoded] = BoundedCache(MAX_ENCODED, MAX_ENCODED_BYTES)

    def answer(self, key: str) -> LabelResult:
        """The answer that the page shows.

        Raises:
            NotYetError: no photo was labelled, or its result is gone.
        """
        if not key:
            raise MissingInputError(words.NO_PHOTO)
        answer = self.service.get_result(key)
        if answer is None:
            raise MissingInputError(words.LABEL_FIRST)
        return answer

    def again(self, answer: LabelResult, name: str, size: int | None) -> LabelResult:
        """The same visitor's photo by a model at a size, from memory where it was run before."""
        return self.service.segment(
            answer.photo, name, size, session=answer.request.session, allow_fallback=False
        )

    def segmenter(self, answer: LabelResult) -> "Segmenter":
        """The network that gave the answer, with its preprocessing."""
        return self.service.segmenter(answer.request.used_model)

    def batch(self, answer: LabelResult) -> "torch.Tensor":
        """The photo as that network saw it: (1, 3, h, w) on the network's device."""
        segmenter = self.segmenter(answer)
        image = Image.fromarray(answer.photo.image)
        batch = segmenter.preprocess(image, size=sizes_of(answer.request.size or segmenter.size)[0])
        return batch.to(segmenter.model.device)

    def encoded(self, answer: LabelResult) -> "Encoded":
        """The encoder's features of the photo, from memory where they are still kept."""
        kept = self._encoded.get(answer.key)
        if kept is None:
            from segmentation.explain.ablation import encode

            network = self.segmenter(answer).model.network
            with self.service.exclusive():
                kept = encode(network, self.batch(answer))
            self._encoded.put(answer.key, kept)
        return kept

    def has_encoded(self, key: str) -> bool:
        """Whether the features of an answer are at hand."""
        return key in self._encoded

    def who(self, answer: LabelResult) -> str:
        """A line that names the model that a view explains."""
        from segmentation.explain.ablation import family

        network = self.segmenter(answer).model.network
        name, kind = words.escape(answer.result.model), words.escape(family(network))
        size = f", shown {size_text(answer.request.size)}" if answer.request.size else ""
        return words.note(f"This explains <strong>{name}</strong> ({kind}{size}).", "model")


def palette_of(answer: LabelResult) -> np.ndarray:
    """The answering model's colours: (256, 3) uint8."""
    return answer.card.palette_array


def chosen(pixel: Any, answer: LabelResult) -> tuple[int, int]:
    """The pixel that was clicked, as (y, x) inside the photo.

    Raises:
        NotYetError: none was.
    """
    if not pixel:
        raise MissingInputError(words.PICK_FIRST)
    y, x = (int(value) for value in pixel)
    return (
        min(max(y, 0), answer.result.height - 1),
        min(max(x, 0), answer.result.width - 1),
    )


def default_class(result: "Segmentation") -> int:
    """The class to begin with: the largest that is no background, else the largest."""
    areas = result.areas()
    return next((area.index for area in areas if area.index), areas[0].index)


def told(view: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    """Make a view's errors into sentences of the page: it yields HTML, whatever happens."""

    @functools.wraps(view)
    def run(*args: Any, **kwargs: Any) -> Iterator[str]:
        try:
            yield from view(*args, **kwargs)
        except MissingInputError as error:
            yield words.note(str(error), "empty")
        except PixelwiseError as error:
            text = error_messages.told(log, error)
            yield _who_asked(args) + words.note(words.escape(f"{text.rstrip('.')}."), "error")
        except Exception as error:
            error_log.tell(log, "a view of the classroom failed", error)
            yield words.note("The server had a problem. Please try again.", "error")

    return run


def _who_asked(args: tuple[Any, ...]) -> str:
    """The line that names the model of a view called as (view, key, ...); empty without one."""
    try:
        lab = args[0].lab
        return lab.who(lab.answer(args[1]))
    except (AttributeError, IndexError, PixelwiseError):
        return ""
