"""Cheap looks at a file's structure, before a decoder spends time or memory on its claims."""

import re
import struct
from collections.abc import Callable, Iterator

from segmentation.errors import ImageError
from segmentation.image_headers import MOST_PIECES, first_gif_picture

# Each scan of a progressive JPEG passes over the whole picture. Encoders write about ten.
_MOST_SCANS = 64

# Run lengths of BMP are decoded in Python, about 1 us a pair.
_MOST_SLOW_BYTES = 4_000_000

# Strips or tiles of a TIFF, each of which Pillow keeps as several objects.
_MOST_TILES = 200_000

# Within coded pixels, 0xFF is followed by 0 or by a restart marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

_TIFF_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_TIFF_TYPE_BYTES |= {13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_TILE_TAGS = (273, 279, 324, 325)
_TIFF_DIRECTORY_TAGS = (34665, 34853, 40965)  # Exif, GPS, interoperability


def check_structure(subject: str, kind: str, data: bytes) -> None:
    """Refuse files whose structure would keep Pillow busy for long, or fill the memory.

    Args:
        subject: How a message calls the file.
        kind: What `sniff` calls it.
        data: The file's bytes.

    Raises:
        ImageError: The file has a structure that no camera or editor writes.
    """
    check = _CHECKS.get(kind)
    reason = check(data) if check else None
    if reason:
        raise ImageError(
            f"{subject} {reason}, which no usual picture has. "
            "Open it in an image editor and save it as PNG or JPEG."
        )


def check_size(subject: str, width: int, height: int, max_megapixels: float | None) -> None:
    """Refuse a picture without pixels, or with more than the limit.

    Args:
        subject: How a message calls the picture.
        width: In pixels, as height.
        height: See width.
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


def exif_is_costly(data: bytes) -> bool:
    """Whether reading an EXIF block would take far more memory than the block has bytes."""
    while data.startswith(b"Exif\0\0"):
        data = data[6:]
    return _check_tiff(data) is not None


def _check_jpeg(data: bytes) -> str | None:
    at, pieces, exif = 2, 0, []
    while at + 4 <= len(data) and pieces <= MOST_PIECES:
        pieces += 1
        if data[at] != 0xFF or data[at + 1] in (0, 0xFF):  # junk and padding, a byte at a time
            at += 1
            continue
        marker = data[at + 1]
        if marker in (0x01, 0xD8) or 0xD0 <= marker <= 0xD7:  # markers without content
            at += 2
            continue
        if marker in (0xD9, 0xDA):
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            exif.append(data[at + 4 + (6 if exif else 0) : at + 2 + length])
        at += 2 + max(2, length)
    if pieces > MOST_PIECES:
        return f"has more than {MOST_PIECES:,} pieces before its pixels"
    if _jpeg_scans(data, at) > _MOST_SCANS:
        return f"has more than {_MOST_SCANS} scans"
    if exif_is_costly(b"".join(exif)):
        return "has EXIF data that claims more than there is"
    return None


def _jpeg_scans(data: bytes, at: int) -> int:
    """Scans from the first one at `at` to the end of the picture; a phone may append a film."""
    scans = 0
    while (
        scans <= _MOST_SCANS and data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xd9"
    ):
        scans += data[at + 1 : at + 2] == b"\xda"
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        marker = _JPEG_MARKER.search(data, at)
        at = marker.start() if marker else len(data)
    return scans


def _check_png(data: bytes) -> str | None:
    at, pieces = 8, 0
    while at + 8 <= len(data):
        pieces += 1
        if pieces > MOST_PIECES:
            return f"has more than {MOST_PIECES:,} chunks"
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return None


def _check_gif(data: bytes) -> str | None:
    if first_gif_picture(data)[1] > MOST_PIECES:
        return f"has more than {MOST_PIECES:,} blocks before its first picture"
    return None


def _check_tiff(data: bytes) -> str | None:
    """Directories whose entries point again and again at the same bytes grow without bound."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return None
    big = data[2:4] in (b"+\0", b"\0+")
    start = struct.unpack_from(order + "Q", data, 8) if big and len(data) >= 16 else None
    offsets = [start[0] if start else struct.unpack_from(order + "I", data, 4)[0]]
    claimed, pieces = 0, 0
    for offset in offsets:  # grows while it is walked; at most four, whatever they point at
        for tag, size, count, value in _tiff_entries(data, offset, order, big):
            pieces += 1
            claimed += min(size, len(data))
            if tag in _TIFF_TILE_TAGS and count > _MOST_TILES:
                return f"has {count:,} strips or tiles"
            if pieces > MOST_PIECES or claimed > 2 * len(data) + (1 << 20):
                return "has directories that claim more than there is"
            if tag in _TIFF_DIRECTORY_TAGS and len(offsets) < 4:
                offsets.append(value)
    return None


def _tiff_entries(
    data: bytes, offset: int, order: str, big: bool
) -> Iterator[tuple[int, int, int, int]]:
    """Each entry of a directory: tag, bytes of its values outside the entry, count, value."""
    head, entry, inline = ("Q", "HHQQ", 8) if big else ("H", "HHII", 4)
    head_size, entry_size = struct.calcsize(order + head), struct.calcsize(order + entry)
    if offset + head_size > len(data):
        return
    (count,) = struct.unpack_from(order + head, data, offset)
    at = offset + head_size
    for _ in range(count):
        if at + entry_size > len(data):
            return
        tag, kind, number, value = struct.unpack_from(order + entry, data, at)
        size = number * _TIFF_TYPE_BYTES.get(kind, 0)
        yield tag, size if size > inline else 0, number, value
        at += entry_size


def _check_bmp(data: bytes) -> str | None:
    compression = int.from_bytes(data[30:34], "little") if data[14] >= 40 else 0
    if compression in (1, 2) and len(data) > _MOST_SLOW_BYTES:
        return f"has {len(data) / 1e6:,.1f} MB of run lengths"
    return None


_CHECKS: dict[str, Callable[[bytes], str | None]] = {
    "JPEG": _check_jpeg,
    "PNG": _check_png,
    "GIF": _check_gif,
    "TIFF": _check_tiff,
    "BMP": _check_bmp,
}
