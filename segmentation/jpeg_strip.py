"""A JPEG without anything but its picture, its coded pixels untouched.

What a browser gets should cost no second encoding, lose nothing, and tell nothing of who took the
photo, where and with what. So only what is needed to decode is copied, and every part of it is
checked to hold nothing else. Markers and segments: ITU-T T.81, annex B; JFIF: ITU-T T.871.
"""

import re
from typing import NamedTuple

MOST_SEGMENTS = 1000
BYTES_PER_PIXEL, SPARE_BYTES = 0.75, 1 << 16  # a larger file is not worth keeping and sending

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended sequential, progressive; Huffman all
_HUFFMAN, _SCAN, _QUANTIZATION, _INTERVAL = 0xC4, 0xDA, 0xDB, 0xDD
_JFIF, _ADOBE, _COMMENT = 0xE0, 0xEE, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_YCBCR = 1  # Adobe's number of the transform
_PLAIN_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"  # version 1.1, square pixels, no thumbnail
_PLAIN_ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\1"  # version 100, YCbCr

# Within coded pixels, 0xFF is followed by 0 or by a restart marker.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class _Odd(Exception):  # noqa: N818 - no error for a person: the file is decoded and encoded anew
    """The file has something that is not known to be needed, or lacks something that is."""


class _Segment(NamedTuple):
    marker: int
    body: bytes  # without marker and length
    end: int  # where it ends in the file


def strip_jpeg(data: bytes, size: tuple[int, int]) -> bytes | None:
    """The file's picture alone: no EXIF, XMP, IPTC, profile, comment, thumbnail or appended data.

    Kept are the frame, its tables, its scans as they are, and whether there were JFIF and Adobe
    markers, as these say what the colours are; both are written anew.

    Args:
        data: a JPEG that was decoded without complaint.
        size: (H, W) that it was decoded to.

    Returns:
        A JPEG with the very pixels; None where the file is not a plain one: gray or YCbCr with 8
        bits, Huffman-coded, complete, of this size, built as the standard says and not larger than
        `BYTES_PER_PIXEL` allows.
    """
    if len(data) < 4 or data[:2] != _SOI:
        return None
    try:
        parts = _needed_parts(data, size)
    except _Odd:
        return None
    stripped = b"".join(parts)
    most = BYTES_PER_PIXEL * size[0] * size[1] + SPARE_BYTES
    return stripped if len(stripped) <= most else None


def _needed_parts(data: bytes, size: tuple[int, int]) -> list[bytes]:
    """The pieces of the stripped file, SOI to EOI."""
    parts, components, scans, at = [_SOI], 0, 0, 2
    jfif = adobe = False
    for _ in range(MOST_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if data[at : at + 2] == _EOI:
            if not scans:
                raise _Odd
            return [*parts, _EOI]
        segment = _read_segment(data, at)
        if segment.marker == _JFIF and segment.body.startswith(b"JFIF\0"):
            if len(segment.body) < 14:  # decoders do not count it as one
                raise _Odd
            parts += [] if jfif else [_PLAIN_JFIF]
            jfif = True
        elif segment.marker == _ADOBE and segment.body.startswith(b"Adobe"):
            _check_adobe(segment.body)
            parts += [] if adobe else [_PLAIN_ADOBE]
            adobe = True
        elif segment.marker not in _APPLICATION and segment.marker != _COMMENT:
            if segment.marker in _FRAMES:
                if components:
                    raise _Odd
                components = _check_frame(segment.body, size, jfif or adobe)
            elif segment.marker == _SCAN:
                scans += 1
                _check_scan(segment.body, components)
                segment = segment._replace(end=_scan_end(data, segment.end))
            else:
                _check_tables(segment)
            parts.append(data[at : segment.end])
        at = segment.end
    raise _Odd


def _read_segment(data: bytes, at: int) -> _Segment:
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] < 0xC0:
        raise _Odd
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    end = at + 2 + length
    if length < 2 or end > len(data):
        raise _Odd
    return _Segment(data[at + 1], data[at + 4 : end], end)


def _scan_end(data: bytes, at: int) -> int:
    """Where coded pixels end: before the next marker, and any fill bytes."""
    marker = _AFTER_SCAN.search(data, at)
    if marker is None:
        raise _Odd  # cut short
    end = marker.start()
    while data[end - 1] == 0xFF:
        end -= 1
    return end


def _check_adobe(body: bytes) -> None:
    if len(body) < 12 or body[11] != _YCBCR:
        raise _Odd


def _check_frame(body: bytes, size: tuple[int, int], marked: bool) -> int:
    """A frame of 8-bit gray or YCbCr; how many components it has."""
    if len(body) < 6 or body[0] != 8:
        raise _Odd
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    components = body[5]
    if (height, width) != size or components not in (1, 3) or len(body) != 6 + 3 * components:
        raise _Odd
    # Without a JFIF or Adobe marker decoders guess the colours by these names.
    if components == 3 and not marked and body[6::3] != b"\1\2\3":
        raise _Odd
    return components


def _check_scan(body: bytes, components: int) -> None:
    if not body or not 1 <= body[0] <= components or len(body) != 4 + 2 * body[0]:
        raise _Odd


def _check_tables(segment: _Segment) -> None:
    """Tables fill their segments exactly, so that nothing else travels in them."""
    marker, body = segment.marker, segment.body
    at = 0
    if marker == _QUANTIZATION:
        while at < len(body):
            at += 129 if body[at] >> 4 else 65
    elif marker == _HUFFMAN:
        while at < len(body):
            at += 17 + sum(body[at + 1 : at + 17])
    elif marker == _INTERVAL:
        at = 2
    else:
        raise _Odd
    if at != len(body):
        raise _Odd
