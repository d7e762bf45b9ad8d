"""JPEGs whose end is missing: complete but for the end marker, or really cut short.

A browser shows both, the second with a gray rest. Pillow refuses both. This module appends the end
marker to the first and refuses the second. Markers and scans: ITU-T T.81, annexes B and G.
"""

import hashlib
import io
import re

from PIL import Image, JpegImagePlugin

from segmentation.errors import ImageError
from segmentation.images.formats.headers import (
    JPEG_END,
    JPEG_FRAMES,
    JPEG_SCAN,
    JpegSegment,
    jpeg_segments,
)

_EOI = bytes((0xFF, JPEG_END))
_GRAY = 128
_PROGRESSIVE = (0xC2, 0xCA)
_STRIP_ROWS = 64
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")

# Bits that would be decoded as different pixels, wherever the coded ones break off.
_PADS = tuple(bytes([value]) * 64 for value in (0x00, 0x55, 0xAA, 0xFE))


def with_end(subject: str, data: bytes) -> bytes:
    """Return the JPEG with an end marker appended where only that is missing.

    Args:
        subject: The file's name in messages.
        data: The file's bytes.

    Returns:
        `data` itself if it has an end marker.

    Raises:
        ImageError: Pixels are missing.
    """
    segments = list(jpeg_segments(data))
    if not segments or segments[-1].marker == JPEG_END:
        return data
    last = segments[-1]
    if last.marker == JPEG_SCAN:
        body = _without_filling(data)
    else:
        body, segments = data[: last.at], segments[:-1]
    if not _has_all_scans(segments) or _depends_on_more(body, segments[-1].at):
        raise ImageError(f"{subject} is cut short: it ends before the picture does. Copy it again.")
    return body + _EOI


def check_end(subject: str, data: bytes, image: Image.Image) -> None:
    """Refuse an image with an end marker but without its last pixels, as repair tools leave it.

    Decoders fill missing pixels with the gray of 128, so only images that end in it are examined.

    Args:
        subject: The file's name in messages.
        data: The file's bytes, from `with_end`.
        image: The image decoded from them.

    Raises:
        ImageError: Pixels are missing.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    if last not in (_GRAY, (_GRAY,) * 3):
        return
    segments = list(jpeg_segments(data))
    scans = [segment.at for segment in segments if segment.marker == JPEG_SCAN]
    end = segments[-1].at if segments[-1].marker == JPEG_END else len(data)
    if scans and _depends_on_more(data[:end], scans[-1]):
        raise ImageError(f"{subject} is cut short: its last pixels are missing. Copy it again.")


def _without_filling(data: bytes) -> bytes:
    """Strip the zeros of a file that was allocated before it was written, and half a marker."""
    body = data.rstrip(b"\0")
    if len(data) - len(body) <= 2:  # these may be coded pixels
        body = data
    elif body.endswith(b"\xff"):  # FF 00 is a coded byte
        body += b"\0"
    return body if body.endswith(b"\xff\0") else body.rstrip(b"\xff")


def _has_all_scans(segments: list[JpegSegment]) -> bool:
    """Return whether the scans hold every coefficient of every component to its last bit."""
    frames = [segment for segment in segments if segment.marker in JPEG_FRAMES]
    if len(frames) != 1 or len(frames[0].body) < 6:
        return False
    components = set(frames[0].body[6::3])
    missing = {(name, k) for name in components for k in range(64)}
    for segment in segments:
        if segment.marker != JPEG_SCAN or not segment.body:
            continue
        count = segment.body[0]
        names, tail = segment.body[1 : 1 + 2 * count : 2], segment.body[1 + 2 * count :]
        if len(tail) < 3:
            return False
        first, last, low = tail[0], tail[1], tail[2] & 15
        if frames[0].marker not in _PROGRESSIVE:
            first, last, low = 0, 63, 0
        if low == 0:
            missing -= {(name, k) for name in names for k in range(first, last + 1)}
    return not missing


def _depends_on_more(body: bytes, last_scan: int) -> bool:
    """Return whether bits appended to the file change the image: then some are missing.

    A decoder stops reading at the last block and ignores what follows a complete scan. Where the
    file breaks off before a restart marker, the decoder looks for that marker first.
    """
    restarts = _RESTART.findall(body, last_scan)
    number = (restarts[-1][1] + 1) % 8 if restarts else 0
    marker = bytes((0xFF, 0xD0 | number))
    digest = _digest(body + _EOI)
    return any(_digest(body + pad + marker + pad + _EOI) != digest for pad in _PADS)


def _digest(data: bytes) -> bytes:
    """Hash a JPEG's pixels strip by strip, to hold one decoded image in memory at a time."""
    digest = hashlib.blake2b()
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        image.load()
        for top in range(0, image.height, _STRIP_ROWS):
            bottom = min(top + _STRIP_ROWS, image.height)
            digest.update(image.crop((0, top, image.width, bottom)).tobytes())
    return digest.digest()
