"""The classroom's eighth view: a person paints an object and is graded."""

import base64
import binascii
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from page.classroom import figures as fig
from page.classroom import text as words
from page.classroom.session import ClassroomSession, MissingInputError, told
from segmentation import display_name, open_image, read_indexed_png
from segmentation.inference.metrics import IGNORE_INDEX, Grade, confusion_map, grade

MAX_PAINT_BYTES = 2 * 2**20
PREFIX = "data:image/png;base64,"


class Grader:
    """Grades what a person painted, against the network and against truths made by hand.

    Args:
        lab: finds answers.
        examples: the folder of the example photos; `truth/` in it holds class maps by their names.
    """

    def __init__(self, lab: ClassroomSession, examples: Path) -> None:
        self.lab = lab
        self.examples = examples
        self._truths: dict[str, Path] | None = None

    def truth_of(self, image: np.ndarray) -> np.ndarray | None:
        """The truth made by hand for a photo, found by its very pixels: (H, W) uint8, or None."""
        if self._truths is None:
            self._truths = {
                _digest(open_image(str(self.examples / f"{path.stem}.jpg"))): path
                for path in sorted((self.examples / "truth").glob("*.png"))
            }
        path = self._truths.get(_digest(image))
        return None if path is None else read_indexed_png(path)

    def canvas(self, key: str) -> dict[str, Any]:
        """What the painter shows: the photo and its size."""
        answer = self.lab.answer(key)
        small = fig.shrunk(answer.photo.image)
        return {"id": key, "photo": fig.address(small), "size": list(small.shape[:2])}

    def classes(self, key: str) -> list[tuple[str, int]]:
        """The classes that can be graded: those of the result and of the truth, without background.

        The truth's come first, as there the network's own work can be graded too.
        """
        answer = self.lab.answer(key)
        result = answer.result
        truth = self.truth_of(answer.photo.image)
        known = (
            [] if truth is None else [i for i in np.unique(truth).tolist() if 0 < i < IGNORE_INDEX]
        )
        known += [a.index for a in result.areas() if a.index and a.index not in known]
        return [(display_name(result.categories[i]), i) for i in known]

    @told
    def graded(self, key: str, index: int | None, paint: Any) -> Iterator[str]:
        """The painted mask against the network's, against the truth, and the network against it.

        Args:
            key: the answer's.
            index: the class that was painted.
            paint: a data address of a PNG; painted where its alpha is above half.
        """
        answer = self.lab.answer(key)
        if index is None:
            raise MissingInputError("Choose what you painted first.")
        index = int(index)
        size = answer.result.class_map.shape
        mask = painted(paint, size)
        if not mask.any():
            raise MissingInputError("Paint something first: draw over the object with the brush.")
        image = answer.photo.image
        name = words.escape(display_name(answer.result.categories[index]))
        network = answer.result.class_map == index
        figures = [_figure(image, mask, network, None, f"You against the network: {name}")]
        truth = self.truth_of(image)
        if truth is not None and (truth == index).any():
            ignore = truth == IGNORE_INDEX
            figures += [
                _figure(image, mask, truth == index, ignore, "You against the truth"),
                _figure(image, network, truth == index, ignore, "The network against the truth"),
            ]
            more = (
                "The truth was drawn by hand for this project; pixels that nobody can assign "
                "are left open and count for nobody."
            )
        else:
            more = (
                "There is no truth made by hand for this photo and class, so nobody knows who is "
                "right where you differ. The astronaut and the cat among the examples carry one."
            )
        yield self.lab.who(answer) + fig.row(*figures) + _key() + words.note(more)


def painted(paint: Any, size: tuple[int, int]) -> np.ndarray:
    """A painted picture as a mask (H, W) bool of the photo's size.

    Raises:
        NotYetError: it is no picture that our page makes.
    """
    try:
        if not isinstance(paint, str) or not paint.startswith(PREFIX):
            raise ValueError("no PNG")
        data = base64.b64decode(paint[len(PREFIX) :], validate=True)
        if len(data) > MAX_PAINT_BYTES:
            raise ValueError("too large")
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if max(picture.size) > fig.SIDE:
                raise ValueError("too large")
            alpha = np.asarray(picture.convert("RGBA"))[..., 3]
    except (ValueError, OSError, binascii.Error, SyntaxError) as error:
        raise MissingInputError("The painting did not arrive whole. Paint it again.") from error
    rows, columns = (
        (2 * np.arange(n) + 1) * own // (2 * n) for n, own in zip(size, alpha.shape, strict=True)
    )
    return alpha[rows[:, None], columns[None]] > 127


def _figure(
    image: np.ndarray,
    mask: np.ndarray,
    truth: np.ndarray,
    ignore: np.ndarray | None,
    title: str,
) -> str:
    found = grade(mask, truth, ignore)
    return fig.frame(
        fig.verdict_picture(image, confusion_map(mask, truth, ignore)),
        f"<strong>{title}</strong> {_sentence(found)}",
        alt=f"{title}: right, missed and extra pixels",
        photo_size=mask.shape,
        pick=False,
    )


def _sentence(found: Grade) -> str:
    return (
        f'<span class="cl-grade">IoU {found.iou:.2f}</span> {found.true_positive:,} pixels right, '
        f"{found.false_negative:,} missed, {found.false_positive:,} extra"
    )


def _key() -> str:
    names = ("right", "missed", "extra")
    chips = "".join(
        f'<li><i style="background:#{bytes(color).hex()}"></i>{name}</li>'
        for name, color in zip(names, fig.VERDICT_COLORS[1:], strict=True)
    )
    return f'<ul class="cl-chips">{chips}</ul>'


def _digest(image: np.ndarray) -> str:
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
