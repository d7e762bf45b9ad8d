"""Decode any supported image to an (H, W, 3) uint8 RGB array."""

import os
from dataclasses import dataclass

import numpy as np
from PIL import Image

from segmentation.errors import ImageError
from segmentation.images.color import to_rgb
from segmentation.images.decoding.decoder_process import decoder
from segmentation.images.decoding.readers import frame_notes
from segmentation.images.formats.decoder_errors import image_errors
from segmentation.images.formats.headers import check_header, check_size
from segmentation.images.formats.tiff import PAGES_NOTE
from segmentation.images.source import read_source


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright, contiguous, not shared with the caller's array.
        notes: Notes for the user on how it was read, such as "animated: first of 12 frames shown";
            mostly empty.
    """

    image: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the image takes."""
        return self.image.nbytes


HEAD_BYTES = 1 << 16
"""Bytes that `check_photo` reads of a file; they hold the size of most images."""
ImageSource = str | os.PathLike | bytes | Image.Image | np.ndarray | Photo


def open_photo(
    source: ImageSource, *, max_bytes: int | None = None, max_megapixels: float | None = 64.0
) -> Photo:
    """Decode a photo: upright, in sRGB, over white, 8 bits a channel.

    The content decides the format, not the name. The size in the header is checked before anything
    is decoded.

    Args:
        source: A path; a file's bytes; a Pillow image of any mode; an (H, W, 3) uint8 RGB array;
            or a `Photo`, which is returned as it is.
        max_bytes: The largest file to read; None for what `max_megapixels` of uncompressed 16-bit
            RGB would take.
        max_megapixels: The largest image to decode, in millions of pixels; None for no limit.

    Returns:
        The image and notes on how it was read.

    Raises:
        ImageError: With a message for the user: what was found, and what to do.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, np.ndarray):
        return Photo(_copy_array(source, max_megapixels))
    if isinstance(source, Image.Image):
        with image_errors("This picture"):
            return _from_pillow(source, max_megapixels)
    if not isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        raise ImageError(
            "A picture is a path, bytes, a PIL image or an (H, W, 3) uint8 array, "
            f"not {type(source).__name__}."
        )
    subject, data = read_source(source, max_bytes, max_megapixels)
    return Photo(*decoder.decode(subject, data, max_megapixels))


def check_photo(
    source: ImageSource, *, max_bytes: int | None = None, max_megapixels: float | None = 64.0
) -> None:
    """Refuse a file whose first bytes show a format or size that `open_photo` would refuse.

    Args:
        source: As `open_photo`; only a path and bytes are checked.
        max_bytes: As `open_photo`.
        max_megapixels: As `open_photo`.

    Raises:
        ImageError: As `open_photo`.
    """
    if not isinstance(source, str | os.PathLike | bytes):
        return
    subject, head = read_source(source, max_bytes, max_megapixels, HEAD_BYTES)
    check_header(subject, head[:HEAD_BYTES], max_megapixels, is_partial=True)


def open_image(
    source: ImageSource, *, max_bytes: int | None = None, max_megapixels: float | None = 64.0
) -> np.ndarray:
    """Return only the image of `open_photo`: (H, W, 3) uint8 RGB."""
    return open_photo(source, max_bytes=max_bytes, max_megapixels=max_megapixels).image


def _from_pillow(image: Image.Image, max_megapixels: float | None) -> Photo:
    """Decode the current frame of the caller's image, which stays at that frame."""
    check_size("This picture", *image.size, max_megapixels)
    frame = image.tell()
    first_of_gif = image.format == "GIF" and frame == 0
    extent = getattr(image, "dispose_extent", None) if first_of_gif else None
    image.load()
    if image.format == "TIFF" and getattr(image, "is_animated", False):
        notes = [f"several pages: page {frame + 1} is shown" if frame else PAGES_NOTE]
    elif image.format in ("PNG", "WEBP", "AVIF"):
        notes = frame_notes(getattr(image, "n_frames", 1), frame)
    else:  # Pillow would parse all of a GIF to count its frames
        notes = []
    pixels, more = to_rgb(image, extent)
    return Photo(pixels, (*notes, *more))


def _copy_array(array: np.ndarray, max_megapixels: float | None) -> np.ndarray:
    shape, dtype = array.shape, array.dtype
    found = f"This array is {shape} {dtype}, not (H, W, 3) uint8"
    if array.ndim == 2:
        raise ImageError(f"{found}: stack it three times, np.stack([gray] * 3, axis=-1).")
    if array.ndim == 4:
        raise ImageError(f"{found}: pass one picture of the batch at a time.")
    if array.ndim == 3 and shape[2] != 3 and shape[0] == 3:
        raise ImageError(f"{found}: move the channels last, np.moveaxis(array, 0, -1).")
    if array.ndim == 3 and shape[2] == 4:
        raise ImageError(f"{found}: pass Image.fromarray(array), so that its alpha is respected.")
    if array.ndim != 3 or shape[2] != 3:
        raise ImageError(f"{found}: pass red, green and blue along the last axis.")
    if np.issubdtype(dtype, np.floating):
        raise ImageError(f"{found}: for values in 0 to 1, (255 * array).round().astype(np.uint8).")
    if dtype != np.uint8:
        raise ImageError(f"{found}: scale its values to 0 to 255 and use .astype(np.uint8).")
    check_size("This array", shape[1], shape[0], max_megapixels)
    return np.array(array, order="C", copy=True, subok=False)
