"""JPEGs whose end is missing: whole but for the end marker, or really cut short.

A browser shows both, the second with a gray rest. Pillow refuses both. Here the first is given its
end marker, and the second is refused. Markers and scans: ITU-T T.81, annexes B and G.
"""

import hashlib
import io
import re
import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from PIL import Image, JpegImagePlugin

from segmentation.errors import ImageError

_EOI = b"\xff\xd9"
_SOS, _END = 0xDA, 0xD9
_GRAY = 128
_PLAIN_MARKERS = (0x01, *range(0xD0, 0xD9))  # without content
_PROGRESSIVE = (0xC2, 0xCA)
_KINDS = {
    0xC5: "a hierarchical JPEG",
    0xC6: "a hierarchical JPEG",
    0xC7: "a hierarchical JPEG",
    0xCB: "a lossless JPEG with arithmetic coding",
    0xCD: "a hierarchical JPEG",
    0xCE: "a hierarchical JPEG",
    0xCF: "a hierarchical JPEG",
    0xF7: "a JPEG-LS picture",
}
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)

_MARKER = re.compile(rb"\xff[^\x00\xff]")
# Within coded pixels, 0xFF is followed by 0 or by a restart marker.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

# A picture has some tens of them before its size; a decoder looks farther.
_MOST_SEGMENTS = 10_000

_STRIP_ROWS = 64
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")

# Bits that would be decoded as different pixels, wherever the coded ones break off.
_PADS = tuple(bytes([value]) * 64 for value in (0x00, 0x55, 0xAA, 0xFE))


class _Segment(NamedTuple):
    marker: int
    at: int
    body: bytes  # without marker and length; shorter than its length says where the file ends


def jpeg_size(subject: str, data: bytes) -> tuple[int, int] | None:
    """The (width, height) in a JPEG's frame header; None where there is no such header.

    Args:
        subject: How a message calls the file.
        data: The file's bytes.

    Raises:
        ImageError: A kind of JPEG that no decoder here reads, by its name.
    """
    remedy = "Open it in an image editor and save it as an ordinary JPEG or a PNG."
    for segment in islice(_segments(data), _MOST_SEGMENTS):
        if segment.marker not in _FRAMES or not segment.body:
            continue
        kind, bits = _KINDS.get(segment.marker), segment.body[0]
        if kind:
            raise ImageError(f"{subject} is {kind}, which is not read here. {remedy}")
        if bits in range(2, 17) and bits != 8:
            raise ImageError(
                f"{subject} is a JPEG of {bits}-bit samples, and only 8-bit ones are read. {remedy}"
            )
        height, width = struct.unpack_from(">HH", segment.body.ljust(5, b"\0"), 1)
        return width, height
    return None


def with_end(subject: str, data: bytes) -> bytes:
    """The JPEG with an end marker, where that is all it lacks.

    Args:
        subject: How a message calls the file.
        data: The file's bytes.

    Returns:
        The same bytes where there is an end marker.

    Raises:
        ImageError: Pixels are missing.
    """
    segments = list(_segments(data))
    if not segments or segments[-1].marker == _END:
        return data
    last = segments[-1]
    if last.marker == _SOS:
        body = _without_filling(data)
    else:
        body, segments = data[: last.at], segments[:-1]
    if not _has_all_scans(segments) or _depends_on_more(body, segments[-1].at):
        raise ImageError(f"{subject} is cut short: it ends before the picture does. Copy it again.")
    return body + _EOI


def check_end(subject: str, data: bytes, image: Image.Image) -> None:
    """Refuse a picture with an end marker but without its last pixels, as repair tools leave it.

    Decoders fill what is missing with the gray of 128, so only pictures that end in it are looked
    at more closely.

    Args:
        subject: How a message calls the file.
        data: The file's bytes, from `with_end`.
        image: What they were decoded to.

    Raises:
        ImageError: Pixels are missing.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    if last not in (_GRAY, (_GRAY,) * 3):
        return
    segments = list(_segments(data))
    scans = [segment.at for segment in segments if segment.marker == _SOS]
    end = segments[-1].at if segments[-1].marker == _END else len(data)
    if scans and _depends_on_more(data[:end], scans[-1]):
        raise ImageError(f"{subject} is cut short: its last pixels are missing. Copy it again.")


def _without_filling(data: bytes) -> bytes:
    """Coded pixels without the zeros of a file that was given its room first, and half a marker."""
    body = data.rstrip(b"\0")
    if len(data) - len(body) <= 2:  # so many may be pixels
        body = data
    elif body.endswith(b"\xff"):  # FF 00 is a coded byte
        body += b"\0"
    return body if body.endswith(b"\xff\0") else body.rstrip(b"\xff")


def _segments(data: bytes) -> Iterator[_Segment]:
    """Each marker with its segment, up to the first picture's end, or the file's."""
    at = 2
    while found := _MARKER.search(data, at):  # behind junk and padding
        at = found.start()
        marker = data[at + 1]
        if marker in _PLAIN_MARKERS:
            at += 2
            continue
        if marker == _END:
            yield _Segment(marker, at, b"")
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield _Segment(marker, at, data[at + 4 : at + 2 + length])
        at += 2 + max(2, length)
        if marker == _SOS:
            found = _AFTER_SCAN.search(data, at)
            at = found.start() if found else len(data)


def _has_all_scans(segments: list[_Segment]) -> bool:
    """Whether the scans bring every coefficient of every component to its last bit."""
    frames = [segment for segment in segments if segment.marker in _FRAMES]
    if len(frames) != 1 or len(frames[0].body) < 6:
        return False
    components = set(frames[0].body[6::3])
    missing = {(name, k) for name in components for k in range(64)}
    for segment in segments:
        if segment.marker != _SOS or not segment.body:
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
    """Whether bits after the last ones there are would change the picture: then some are missing.

    A decoder stops reading at the last block, so that what follows a whole scan means nothing.
    Where the file breaks off before a restart marker, it looks for that first.
    """
    restarts = _RESTART.findall(body, last_scan)
    number = (restarts[-1][1] + 1) % 8 if restarts else 0
    marker = bytes((0xFF, 0xD0 | number))
    picture = _digest(body + _EOI)
    return any(_digest(body + pad + marker + pad + _EOI) != picture for pad in _PADS)


def _digest(data: bytes) -> bytes:
    """What tells a JPEG's pixels from others, strip by strip: one picture in memory at a time."""
    digest = hashlib.blake2b()
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        image.load()
        for top in range(0, image.height, _STRIP_ROWS):
            bottom = min(top + _STRIP_ROWS, image.height)
            digest.update(image.crop((0, top, image.width, bottom)).tobytes())
    return digest.digest()
