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

from segmentation.bmp import BmpReader
from segmentation.errors import ImageError
from segmentation.image_checks import check_size, check_structure
from segmentation.image_headers import MOST_FRAMES, count_gif_frames, header_size
from segmentation.image_kinds import refusal, sniff
from segmentation.image_modes import load_webp
from segmentation.jpeg_end import check_jpeg_kind, with_end
from segmentation.png_chunks import load_png, open_png
from segmentation.tiff import TiffReader


class Loaded(NamedTuple):
    """A decoded picture, as the file stores it."""

    image: Image.Image
    notes: list[str]  # for the person
    jpeg: bytes | None = None  # the file itself, where it is a whole JPEG
    extent: tuple[int, int, int, int] | None = None  # left, top, right, bottom; None: all of it


class Opened(NamedTuple):
    """A file whose header was read: nothing is decoded before `load` is called."""

    size: tuple[int, int]  # (width, height)
    load: Callable[[], Loaded]


def open_header(subject: str, data: bytes, max_megapixels: float | None) -> Opened:
    """Read a file's header: its kind, size and structure are checked, nothing is decoded.

    Args:
        subject: How a message calls the file.
        data: The file's bytes.
        max_megapixels: The largest picture to decode, in millions of pixels; None for no limit.

    Raises:
        ImageError: No picture that is read here, or one that is too large or oddly built.
        Exception: Whatever a decoder raises on a broken header.
    """
    kind = sniff(data)
    if kind not in _READERS:
        raise ImageError(refusal(subject, kind))
    size = header_size(kind, data)
    if size:  # these formats may take memory by the size that they claim when they are opened
        check_size(subject, *size, max_megapixels)
    check_structure(subject, kind, data)
    opened = _READERS[kind](subject, data)
    check_size(subject, *opened.size, max_megapixels)
    return opened


def frame_notes(count: int, at: int = 0) -> list[str]:
    """What to say where a picture has more frames than the one that is shown.

    Args:
        count: How many there are; `MOST_FRAMES` for at least as many.
        at: Which one is shown, from 0.
    """
    frames = f"at least {count:,}" if count == MOST_FRAMES else f"{count:,}"
    shown = f"frame {at + 1:,}" if at else "first"
    return [f"animated: {shown} of {frames} frames shown"] if count > 1 else []


def _open_jpeg(subject: str, data: bytes) -> Opened:
    check_jpeg_kind(subject, data)

    def load() -> Loaded:
        whole = with_end(subject, data)
        with JpegImagePlugin.JpegImageFile(io.BytesIO(whole)) as image:
            image.load()
            return Loaded(image, [], whole)

    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as header:
        return Opened(header.size, load)


def _open_png(subject: str, data: bytes) -> Opened:
    image, notes = open_png(subject, data)

    def load() -> Loaded:
        frames = getattr(image, "n_frames", 1)  # as the header says
        return Loaded(load_png(image, data), [*frame_notes(frames), *notes])

    return Opened(image.size, load)


def _open_gif(_: str, data: bytes) -> Opened:
    image = GifImagePlugin.GifImageFile(io.BytesIO(data))

    def load() -> Loaded:
        extent = image.dispose_extent  # beyond its first frame, a GIF is transparent
        image.load()
        # Pillow would parse all frames to count them, however many
        return Loaded(image, frame_notes(count_gif_frames(data)), extent=extent)

    return Opened(image.size, load)


def _open_webp(_: str, data: bytes) -> Opened:
    image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    return Opened(image.size, lambda: Loaded(load_webp(image), frame_notes(image.n_frames)))


def _open_other(opener: Callable[[io.BytesIO], ImageFile.ImageFile], data: bytes) -> Opened:
    image = opener(io.BytesIO(data))

    def load() -> Loaded:
        frames = getattr(image, "n_frames", 1) if image.format == "AVIF" else 1
        image.load()
        return Loaded(image, frame_notes(frames))

    return Opened(image.size, load)


def _open_heif(subject: str, data: bytes) -> Opened:
    try:
        from pillow_heif import HeifImageFile  # an optional extra
    except ImportError:
        raise ImageError(
            f"{subject} is a HEIC photo, which needs one more package: "
            "pip install pillow-heif, or save the photo as JPEG."
        ) from None
    return _open_other(HeifImageFile, data)


def _open_bmp(subject: str, data: bytes) -> Opened:
    reader = BmpReader(subject, data)
    return Opened(reader.size, lambda: Loaded(reader.load(), []))


def _open_tiff(subject: str, data: bytes) -> Opened:
    reader = TiffReader(subject, data)
    return Opened(reader.size, lambda: Loaded(*reader.load()))


# The plugins are called by what the bytes are, so that no other of Pillow's is ever reached; nor
# is `Image.open`, whose bomb check would answer before the limit here can.
_READERS: dict[str, Callable[[str, bytes], Opened]] = {
    "JPEG": _open_jpeg,
    "PNG": _open_png,
    "WEBP": _open_webp,
    "GIF": _open_gif,
    "AVIF": lambda _, data: _open_other(AvifImagePlugin.AvifImageFile, data),
    "HEIF": _open_heif,
    "BMP": _open_bmp,
    "TIFF": _open_tiff,
}
