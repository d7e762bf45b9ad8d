"""View 8 of the classroom: the visitor paints an object and gets its IoU."""

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
from page.classroom import text as texts
from page.classroom.session import ClassroomSession, MissingInputError, errors_as_html
from segmentation import display_name, open_image, read_indexed_png
from segmentation.inference.metrics import IGNORE_INDEX, Grade, confusion_map, grade

MAX_PAINT_BYTES = 2 * 2**20
PREFIX = "data:image/png;base64,"


class Grader:
    """Grade a painted mask against the network and against ground truth drawn by hand.

    Args:
        lab: the results.
        examples: the folder of the example photos; its `truth/` has class maps of the same names.
    """

    def __init__(self, lab: ClassroomSession, examples: Path) -> None:
        self.lab = lab
        self.examples = examples
        self._truths: dict[str, Path] | None = None

    def truth_of(self, image: np.ndarray) -> np.ndarray | None:
        """Return the ground truth of a photo with these exact pixels: (H, W) uint8, or None."""
        if self._truths is None:
            self._truths = {
                _digest(open_image(str(self.examples / f"{path.stem}.jpg"))): path
                for path in sorted((self.examples / "truth").glob("*.png"))
            }
        path = self._truths.get(_digest(image))
        return None if path is None else read_indexed_png(path)

    def canvas(self, key: str) -> dict[str, Any]:
        """Return the value of `MaskPainter`: the photo and its size."""
        entry = self.lab.entry(key)
        small = fig.thumbnail(entry.photo.image)
        return {"id": key, "photo": fig.data_url(small), "size": list(small.shape[:2])}

    def classes(self, key: str) -> list[tuple[str, int]]:
        """Return the (name, index) of classes that can be graded, without background.

        The ground truth's come first, because there the network is graded too; then the result's.
        """
        entry = self.lab.entry(key)
        result = entry.result
        truth = self.truth_of(entry.photo.image)
        true = [] if truth is None else np.unique(truth).tolist()
        indices = [i for i in true if 0 < i < IGNORE_INDEX]
        indices += [a.index for a in result.areas() if a.index and a.index not in indices]
        return [(display_name(result.categories[i]), i) for i in indices]

    @errors_as_html
    def graded(self, key: str, index: int | None, paint: Any) -> Iterator[str]:
        """Yield HTML that compares the painted mask, the network's mask and the ground truth.

        Args:
            key: the result's key.
            index: the painted class.
            paint: a data URL of a PNG; painted where its alpha is above half.
        """
        entry = self.lab.entry(key)
        if index is None:
            raise MissingInputError("Choose what you painted first.")
        index = int(index)
        size = entry.result.class_map.shape
        mask = painted(paint, size)
        if not mask.any():
            raise MissingInputError("Paint something first: draw over the object with the brush.")
        image = entry.photo.image
        name = texts.escape(display_name(entry.result.categories[index]))
        network = entry.result.class_map == index
        figures = [_figure(image, mask, network, None, f"You against the network: {name}")]
        truth = self.truth_of(image)
        if truth is not None and (truth == index).any():
            ignore = truth == IGNORE_INDEX
            figures += [
                _figure(image, mask, truth == index, ignore, "You against the truth"),
                _figure(image, network, truth == index, ignore, "The network against the truth"),
            ]
            note = (
                "The truth was drawn by hand for this project. Pixels that cannot be assigned "
                "do not count."
            )
        else:
            note = (
                "There is no truth made by hand for this photo and class, so it is unknown who is "
                "right where you differ. The astronaut and the cat among the examples have one."
            )
        yield self.lab.model_line(entry) + fig.row(*figures) + _key() + texts.note(note)


def painted(paint: Any, size: tuple[int, int]) -> np.ndarray:
    """Return a painted image as a mask (H, W) bool of the photo's size.

    Raises:
        MissingInputError: it is not an image that the page's painter makes.
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
    return fig.resize_nearest(alpha, size) > 127


def _figure(
    image: np.ndarray,
    mask: np.ndarray,
    truth: np.ndarray,
    ignore: np.ndarray | None,
    title: str,
) -> str:
    return fig.frame(
        fig.confusion_overlay(image, confusion_map(mask, truth, ignore)),
        f"<strong>{title}</strong> {_sentence(grade(mask, truth, ignore))}",
        alt=f"{title}: right, missed and extra pixels",
        photo_size=mask.shape,
        pick=False,
    )


def _sentence(score: Grade) -> str:
    return (
        f'<span class="cl-grade">IoU {score.iou:.2f}</span> {score.true_positive:,} pixels right, '
        f"{score.false_negative:,} missed, {score.false_positive:,} extra"
    )


def _key() -> str:
    names = ("right", "missed", "extra")
    chips = "".join(
        f'<li><i style="background:#{bytes(color).hex()}"></i>{name}</li>'
        for name, color in zip(names, fig.CONFUSION_COLORS[1:], strict=True)
    )
    return f'<ul class="cl-chips">{chips}</ul>'


def _digest(image: np.ndarray) -> str:
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
