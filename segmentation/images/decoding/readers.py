"""Decode a file's bytes with the reader of its format."""

import io
from collections.abc import Callable
from typing import NamedTuple

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    WebPImagePlugin,
)

from segmentation.images.color import load_webp
from segmentation.images.formats.bmp import BmpReader
from segmentation.images.formats.headers import check_size, heif_opener
from segmentation.images.formats.jpeg_end import check_end, with_end
from segmentation.images.formats.png_chunks import load_png, open_png
from segmentation.images.formats.tiff import TiffReader
from segmentation.images.hdr_metadata import as_srgb, box_codes

MAX_FRAMES = 1000
"""Counting stops here."""


class Loaded(NamedTuple):
    """A decoded image, as the file stores it."""

    image: Image.Image
    notes: list[str]  # for the user
    extent: tuple[int, int, int, int] | None = None  # left, top, right, bottom; None: all of it


def frame_notes(count: int, shown: int = 0) -> list[str]:
    """Return the note for an image with more frames than the one that is shown.

    Args:
        count: The number of frames; `MAX_FRAMES` stands for that many or more.
        shown: Index of the frame that is shown.
    """
    frames = f"at least {count:,}" if count == MAX_FRAMES else f"{count:,}"
    name = f"frame {shown + 1:,}" if shown else "first"
    return [f"animated: {name} of {frames} frames shown"] if count > 1 else []


def _read_jpeg(subject: str, data: bytes, limit: float | None) -> Loaded:
    data = with_end(subject, data)
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        check_size(subject, *image.size, limit)  # Pillow may read another size than `check_header`
        image.load()
        check_end(subject, data, image)
        return Loaded(image, [])


def _read_png(subject: str, data: bytes, limit: float | None) -> Loaded:
    image, codes, notes = open_png(subject, data)
    check_size(subject, *image.size, limit)
    frames = getattr(image, "n_frames", 1)
    shown, more = as_srgb(load_png(image, data), codes)
    return Loaded(shown, [*frame_notes(frames), *notes, *more])


def _read_gif(subject: str, data: bytes, limit: float | None) -> Loaded:
    image = GifImagePlugin.GifImageFile(io.BytesIO(data))
    check_size(subject, *image.size, limit)
    extent = image.dispose_extent  # beyond its first frame, a GIF is transparent
    image.load()
    # Pillow would parse all frames to count them
    return Loaded(image, frame_notes(_count_gif_frames(data)), extent=extent)


def _read_webp(subject: str, data: bytes, limit: float | None) -> Loaded:
    image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    check_size(subject, *image.size, limit)
    return Loaded(load_webp(image), frame_notes(image.n_frames))


def _read_avif(subject: str, data: bytes, limit: float | None) -> Loaded:
    image = AvifImagePlugin.AvifImageFile(io.BytesIO(data))
    check_size(subject, *image.size, limit)
    frames = image.n_frames
    image.load()
    shown, notes = as_srgb(image, box_codes(data))
    return Loaded(shown, [*frame_notes(frames), *notes])


def _read_heif(subject: str, data: bytes, limit: float | None) -> Loaded:
    image = heif_opener(subject)(io.BytesIO(data))
    check_size(subject, *image.size, limit)
    image.load()
    return Loaded(*as_srgb(image, box_codes(data)))


def _read_tiff(subject: str, data: bytes, limit: float | None) -> Loaded:
    reader = TiffReader(subject, data)
    check_size(subject, *reader.size, limit)
    return Loaded(*reader.load())


def _count_gif_frames(data: bytes) -> int:
    """Count the frames of a GIF, up to `MAX_FRAMES`, without decoding any.

    A broken file is counted as far as it goes.
    """
    frames, at = 0, 13 + _color_table(data, 10)
    while at < len(data) and frames < MAX_FRAMES:
        if data[at] == 0x2C:  # image descriptor, colour table, code size, data
            frames += 1
            at = _skip_blocks(data, at + 11 + _color_table(data, at + 9))
        elif data[at] == 0x21:  # an extension
            at = _skip_blocks(data, at + 2)
        else:  # the trailer, or junk
            break
    return frames


def _color_table(data: bytes, at: int) -> int:
    """Return the size in bytes of the colour table that the flags at a position declare."""
    if at >= len(data) or not data[at] & 0x80:
        return 0
    return 3 << ((data[at] & 7) + 1)


def _skip_blocks(data: bytes, at: int) -> int:
    """Return the position after a chain of length-prefixed blocks."""
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


# Pillow's plugins are called directly, so that no other one can be reached, and not through
# `Image.open`, whose own limit of pixels would apply first.
READERS: dict[str, Callable[[str, bytes, float | None], Loaded]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "WEBP": _read_webp,
    "GIF": _read_gif,
    "AVIF": _read_avif,
    "HEIF": _read_heif,
    "BMP": lambda subject, data, _: Loaded(BmpReader(subject, data).load(), []),
    "TIFF": _read_tiff,
}
