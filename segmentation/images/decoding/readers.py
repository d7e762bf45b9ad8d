"""From a file's bytes to its loaded picture: a reader for each format, told apart by content."""

import io
from collections.abc import Callable
from typing import NamedTuple

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    WebPImagePlugin,
)

from segmentation.errors import ImageError
from segmentation.images.color import load_webp
from segmentation.images.decoding.headers import (
    MOST_FRAMES,
    check_size,
    count_gif_frames,
    header_size,
)
from segmentation.images.file_types import refusal, sniff
from segmentation.images.formats.bmp import BmpReader
from segmentation.images.formats.jpeg_end import check_end, jpeg_size, with_end
from segmentation.images.formats.png_chunks import load_png, open_png
from segmentation.images.formats.tiff import TiffReader
from segmentation.images.formats.tiff_tags import tiff_size
from segmentation.images.hdr_metadata import as_srgb, box_codes


class Loaded(NamedTuple):
    """A decoded picture, as the file stores it."""

    image: Image.Image
    notes: list[str]  # for the person
    extent: tuple[int, int, int, int] | None = None  # left, top, right, bottom; None: all of it


def check_file(
    subject: str, data: bytes, max_megapixels: float | None
) -> tuple[str, tuple[int, int] | None]:
    """Look at a file's header with no decoder.

    Args:
        subject: How a message calls the file.
        data: The file's bytes.
        max_megapixels: The largest picture to decode, in millions of pixels; None for no limit.

    Returns:
        What `sniff` calls it, and the (width, height) that it claims; None where only a decoder
        can tell.

    Raises:
        ImageError: No picture that is read here, or one that is too large.
    """
    kind = check_head(subject, data, max_megapixels)
    size = _SIZES[kind](subject, data) if kind in _SIZES else header_size(kind, data)
    if size:
        check_size(subject, *size, max_megapixels)
    return kind, size


def check_head(subject: str, data: bytes, max_megapixels: float | None) -> str:
    """As `check_file`, as far as a file's first bytes tell: its kind, and the size of most kinds.

    Args:
        subject: How a message calls the file.
        data: The file's bytes, or the first 4,096 of them at least.
        max_megapixels: As `check_file`.

    Returns:
        What `sniff` calls it.

    Raises:
        ImageError: No picture that is read here, or one that is too large.
    """
    kind = sniff(data)
    if kind not in _READERS:
        raise ImageError(refusal(subject, kind))
    size = header_size(kind, data)
    if size:
        check_size(subject, *size, max_megapixels)
    return kind


def read_picture(subject: str, kind: str, data: bytes, max_megapixels: float | None) -> Loaded:
    """Decode a file's picture, once its header has passed `check_file`.

    Args:
        subject: How a message calls the file.
        kind: What `check_file` calls it.
        data: The file's bytes.
        max_megapixels: As `check_file`.

    Raises:
        ImageError: As `check_file`; or the file is cut short or damaged.
        Exception: Whatever a decoder raises.
    """
    return _READERS[kind](subject, data, max_megapixels)


def frame_notes(count: int, at: int = 0) -> list[str]:
    """What to say where a picture has more frames than the one that is shown.

    Args:
        count: How many there are; `MOST_FRAMES` for at least as many.
        at: Which one is shown, from 0.
    """
    frames = f"at least {count:,}" if count == MOST_FRAMES else f"{count:,}"
    shown = f"frame {at + 1:,}" if at else "first"
    return [f"animated: {shown} of {frames} frames shown"] if count > 1 else []


def _read_jpeg(subject: str, data: bytes, limit: float | None) -> Loaded:
    whole = with_end(subject, data)
    with JpegImagePlugin.JpegImageFile(io.BytesIO(whole)) as image:
        check_size(subject, *image.size, limit)  # should Pillow see another one
        image.load()
        check_end(subject, whole, image)
        return Loaded(image, [])


def _read_png(subject: str, data: bytes, limit: float | None) -> Loaded:
    image, codes, notes = open_png(subject, data)
    check_size(subject, *image.size, limit)
    frames = getattr(image, "n_frames", 1)  # as the header says
    shown, more = as_srgb(load_png(image, data), codes)
    return Loaded(shown, [*frame_notes(frames), *notes, *more])


def _read_gif(subject: str, data: bytes, limit: float | None) -> Loaded:
    image = GifImagePlugin.GifImageFile(io.BytesIO(data))
    check_size(subject, *image.size, limit)
    extent = image.dispose_extent  # beyond its first frame, a GIF is transparent
    image.load()
    # Pillow would parse all frames to count them, however many
    return Loaded(image, frame_notes(count_gif_frames(data)), extent=extent)


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
    image = _heif_opener(subject)(io.BytesIO(data))
    check_size(subject, *image.size, limit)
    image.load()
    return Loaded(*as_srgb(image, box_codes(data)))


def _read_tiff(subject: str, data: bytes, limit: float | None) -> Loaded:
    reader = TiffReader(subject, data)
    check_size(subject, *reader.size, limit)
    return Loaded(*reader.load())


def _heif_opener(subject: str) -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    try:
        from pillow_heif import HeifImageFile  # an optional extra
    except ImportError:
        raise ImageError(
            f"{subject} is a HEIC photo, which needs one more package: "
            "pip install pillow-heif, or save the photo as JPEG."
        ) from None
    return HeifImageFile


def _heif_size(subject: str, _: bytes) -> None:
    """Not told without a decoder; but whether there is one can be told at once."""
    _heif_opener(subject)


# The plugins are called by what the bytes are, so that no other of Pillow's is ever reached; nor
# is `Image.open`, whose bomb check would answer before the limit here can.
_READERS: dict[str, Callable[[str, bytes, float | None], Loaded]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "WEBP": _read_webp,
    "GIF": _read_gif,
    "AVIF": _read_avif,
    "HEIF": _read_heif,
    "BMP": lambda subject, data, _: Loaded(BmpReader(subject, data).load(), []),
    "TIFF": _read_tiff,
}
# What reads a header far enough to refuse a kind that is not read: (width, height), or None.
_SIZES: dict[str, Callable[[str, bytes], tuple[int, int] | None]] = {
    "JPEG": jpeg_size,
    "HEIF": _heif_size,
    "BMP": lambda subject, data: BmpReader(subject, data).size,
    "TIFF": tiff_size,
}
