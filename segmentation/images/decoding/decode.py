"""Decode a file's bytes to pixels; runs in the sandboxed process, or in this one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from segmentation.errors import ImageError
from segmentation.images.color import to_rgb
from segmentation.images.decoding.readers import READERS
from segmentation.images.formats.decoder_errors import image_errors
from segmentation.images.formats.png_chunks import open_png


class Decoded(NamedTuple):
    """A decoded file."""

    pixels: np.ndarray  # uint8: (H, W, 3) RGB, or the stored values of a PNG
    notes: tuple[str, ...] = ()  # for the user


def decode(
    subject: str,
    kind: str,
    data: bytes,
    max_megapixels: float | None,
    modes: Sequence[str] = (),
) -> Decoded:
    """Decode a file whose header has passed `check_header`.

    Args:
        subject: The file's name in messages.
        kind: Its format, as `check_header` returns it.
        data: The file's bytes.
        max_megapixels: The largest image to decode, in millions of pixels; None for no limit.
        modes: Empty for an image to look at; otherwise the file must be a PNG in one of these
            modes, and its stored values are returned.

    Raises:
        ImageError: Whatever is wrong with the file, for the user.
    """
    with image_errors(subject):
        if modes:
            return Decoded(_png_values(subject, data, modes))
        image, notes, extent = READERS[kind](subject, data, max_megapixels)
        pixels, more = to_rgb(image, extent)
        return Decoded(pixels, (*notes, *more))


def _png_values(subject: str, data: bytes, modes: Sequence[str]) -> np.ndarray:
    image = open_png(subject, data).image
    if image.mode not in modes or data[24] > 8:
        raise ImageError(
            f"{subject} is a PNG of mode {image.mode} with {data[24]} bits; "
            f"mode {' or '.join(modes)} with up to 8 is needed."
        )
    image.load()
    return np.array(image)
