"""A file's format and size, read from its header without a decoder, and the limit of pixels."""

import re
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from segmentation.errors import ImageError
from segmentation.images.file_types import READ, refusal, sniff
from segmentation.images.formats.bmp import BmpReader
from segmentation.images.formats.decoder_errors import image_errors
from segmentation.images.formats.tiff_tags import tiff_size

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

Size = tuple[int, int]
"""(width, height) in pixels."""

JPEG_SCAN, JPEG_END = 0xDA, 0xD9
# ITU-T T.81, table B.1: SOF0 to SOF15 without DHT, JPG and DAC; JPEG-LS: ITU-T T.87.
JPEG_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
_JPEG_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
_UNREAD_JPEGS = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    0xCB: "a lossless JPEG with arithmetic coding",
    0xF7: "a JPEG-LS picture",
}
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff]")
# In entropy-coded data, 0xFF is followed by 0 or by a restart marker.
_AFTER_JPEG_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# Photos have some tens of segments before the frame header; the decoder looks at all of them.
_MAX_SEGMENTS = 10_000


def check_header(
    subject: str, data: bytes, max_megapixels: float | None, *, is_partial: bool = False
) -> tuple[str, Size | None]:
    """Return a file's format and size, or refuse it, without decoding anything.

    Args:
        subject: The file's name in messages.
        data: The file's bytes.
        max_megapixels: The largest image to decode, in millions of pixels; None for no limit.
        is_partial: `data` is only the start of the file, 4,096 bytes or more. A size that it does
            not hold is not an error then.

    Returns:
        The format as `sniff` names it, and the (width, height) in the header; None where it takes
        a decoder to find the size.

    Raises:
        ImageError: Not a format that is read, or an image that is too large.
    """
    kind = sniff(data)
    if kind not in READ:
        raise ImageError(refusal(subject, kind))
    size = None
    if kind in _START_SIZES:
        size = _START_SIZES[kind](subject, data)
    elif kind in _FILE_SIZES and not is_partial:
        with image_errors(subject):
            size = _FILE_SIZES[kind](subject, data)
    # The frame header of a JPEG may be cut by the end of the first bytes.
    if size and not (is_partial and kind == "JPEG" and 0 in size):
        check_size(subject, *size, max_megapixels)
    return kind, size


def check_size(subject: str, width: int, height: int, max_megapixels: float | None) -> None:
    """Refuse an image without pixels, or with more than the limit.

    Args:
        subject: The image's name in messages.
        width: In pixels.
        height: In pixels.
        max_megapixels: The limit in millions of pixels; None for no limit.

    Raises:
        ImageError: With the numbers.
    """
    if width < 1 or height < 1:
        raise ImageError(f"{subject} says it is {width} x {height} pixels: there is no picture.")
    megapixels = width * height / 1e6
    if max_megapixels is not None and megapixels > max_megapixels:
        raise ImageError(
            f"{subject} is {width:,} x {height:,} pixels ({megapixels:,.1f} megapixels); "
            f"the limit is {max_megapixels:g} megapixels. Make it smaller first."
        )


def jpeg_size(subject: str, data: bytes) -> Size | None:
    """Return the (width, height) in a JPEG's frame header; None without a frame header.

    Args:
        subject: The file's name in messages.
        data: The file's bytes, or the first of them; missing bytes of the header count as 0.

    Raises:
        ImageError: A kind of JPEG that is not read, by its name.
    """
    remedy = "Open it in an image editor and save it as an ordinary JPEG or a PNG."
    for segment in islice(jpeg_segments(data), _MAX_SEGMENTS):
        if segment.marker not in JPEG_FRAMES or not segment.body:
            continue
        kind, bits = _UNREAD_JPEGS.get(segment.marker), segment.body[0]
        if kind:
            raise ImageError(f"{subject} is {kind}, which is not read here. {remedy}")
        if bits in range(2, 17) and bits != 8:
            raise ImageError(
                f"{subject} is a JPEG of {bits}-bit samples, and only 8-bit ones are read. {remedy}"
            )
        height, width = struct.unpack_from(">HH", segment.body.ljust(5, b"\0"), 1)
        return width, height
    return None


class JpegSegment(NamedTuple):
    """A marker of a JPEG and what belongs to it."""

    marker: int  # the byte after 0xFF
    at: int  # position of the marker in the file
    body: bytes  # without marker and length; shorter than its length says at the file's end


def jpeg_segments(data: bytes) -> Iterator[JpegSegment]:
    """Yield each marker segment up to the first image's end, or the file's (ITU-T T.81, B.1.1)."""
    at = 2
    while match := _JPEG_MARKER.search(data, at):  # skips junk and fill bytes
        at = match.start()
        marker = data[at + 1]
        if marker in _JPEG_WITHOUT_LENGTH:
            at += 2
            continue
        if marker == JPEG_END:
            yield JpegSegment(marker, at, b"")
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield JpegSegment(marker, at, data[at + 4 : at + 2 + length])
        at += 2 + max(2, length)
        if marker == JPEG_SCAN:
            match = _AFTER_JPEG_SCAN.search(data, at)
            at = match.start() if match else len(data)


def _png_size(_: str, data: bytes) -> Size | None:
    if data[12:16] != b"IHDR" or len(data) < 24:
        return None
    return struct.unpack_from(">II", data, 16)


def _gif_size(_: str, data: bytes) -> Size | None:
    return struct.unpack_from("<HH", data, 6) if len(data) >= 10 else None


def _webp_size(_: str, data: bytes) -> Size | None:
    """Return the size in the first chunk (RFC 9649, section 2; RFC 6386, section 9.1)."""
    chunk = data[12:16]
    if chunk == b"VP8X":  # 24 bits each, minus one
        width = int.from_bytes(data[24:27], "little") + 1
        return width, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L" and len(data) >= 25:  # 14 bits each, minus one, after a signature byte
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and len(data) >= 30:  # 14 bits each, after frame tag and start code
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def heif_opener(subject: str) -> "Callable[..., ImageFile]":
    """Return the optional package's decoder of HEIC photos.

    Raises:
        ImageError: It is not installed.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ImageError(
            f"{subject} is a HEIC photo, which needs one more package: "
            "pip install pillow-heif, or save the photo as JPEG."
        ) from None
    return HeifImageFile


def _heif_size(subject: str, _: bytes) -> None:
    """Refuse the file where there is no decoder; only a decoder finds the size."""
    heif_opener(subject)


# The first bytes of a file are enough for these.
_START_SIZES: dict[str, Callable[[str, bytes], Size | None]] = {
    "JPEG": jpeg_size,
    "PNG": _png_size,
    "GIF": _gif_size,
    "WEBP": _webp_size,
}
# These need the whole file, or refuse kinds that are not read.
_FILE_SIZES: dict[str, Callable[[str, bytes], Size | None]] = {
    "HEIF": _heif_size,
    "BMP": lambda subject, data: BmpReader(subject, data).size,
    "TIFF": tiff_size,
}
