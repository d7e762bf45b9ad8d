"""An 8-bit RGB or RGBA PNG whose rows are much like the ones above, packed on every core.

Each strip of rows is a deflate stream of its own that ends on a byte (`Z_FULL_FLUSH`), so that the
strips are packed apart and joined into one zlib stream (RFC 1950, 1951; pigz does the same). Every
row has the filter Up: PNG specification, section 9.2.
"""

import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
STRIP_VALUES = 1 << 20  # bytes of a strip
MAX_THREADS = 8
_UP = 2
_ADLER_BASE = 65521  # the largest prime below 2**16

Painter = Callable[[int, int, np.ndarray], None]


def write_png(
    height: int,
    width: int,
    paint: Painter,
    *,
    level: int,
    channels: int = 3,
    threads: int = 1,
) -> bytes:
    """Pack a picture that is painted strip by strip.

    Args:
        height: rows.
        width: columns.
        paint: called with (top, bottom, pixels) to fill pixels, (bottom - top, W, channels) uint8,
            from several threads; it may be called twice for a row.
        channels: 3 for RGB, 4 for RGBA.
        level: of zlib, 1 (fast) to 9 (small).
        threads: strips packed at a time.

    Returns:
        The bytes of a PNG with the chunks IHDR, IDAT and IEND.
    """
    rows = max(1, STRIP_VALUES // (channels * width + 1))
    tops = range(0, height, rows)

    def pack(top: int) -> tuple[bytes, int, int]:
        bottom = min(top + rows, height)
        lines = _filter_up(paint, top, bottom, (width, channels))
        packer = zlib.compressobj(level, zlib.DEFLATED, -15, 8)  # -15: no header, no checksum
        data = packer.compress(lines)
        data += packer.flush(zlib.Z_FINISH if bottom == height else zlib.Z_FULL_FLUSH)
        return data, zlib.adler32(lines), lines.nbytes

    threads = min(MAX_THREADS, threads, len(tops))
    if threads == 1:
        strips = [pack(top) for top in tops]
    else:
        with ThreadPoolExecutor(threads) as pool:
            strips = list(pool.map(pack, tops))
    checksum = 1
    for _, adler, length in strips:
        checksum = _join_adler(checksum, adler, length)
    body = b"".join([b"\x78\x01", *(data for data, _, _ in strips), struct.pack(">I", checksum)])
    kind = {3: 2, 4: 6}[channels]  # RGB or RGBA
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)  # 8 bits, not interlaced
    return b"".join(
        [SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", body), *_chunk(b"IEND", b"")]
    )


def _filter_up(paint: Painter, top: int, bottom: int, row: tuple[int, int]) -> np.ndarray:
    """Rows as PNG stores them, with their filter's number: (rows, 1 + W * channels) uint8."""
    above = max(0, top - 1)
    pixels = np.empty((bottom - above, *row), np.uint8)
    paint(above, bottom, pixels)
    rows = pixels.reshape(bottom - above, -1)
    lines = np.empty((bottom - top, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = _UP
    if top == 0:
        lines[0, 1:] = rows[0]  # what is above the first row counts as zero
        np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    else:
        np.subtract(rows[1:], rows[:-1], out=lines[:, 1:])
    return lines


def _join_adler(first: int, second: int, length: int) -> int:
    """Adler-32 of two pieces one after the other, from theirs and the second one's length."""
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)
    return (high % _ADLER_BASE) << 16 | low % _ADLER_BASE


def _chunk(kind: bytes, body: bytes) -> tuple[bytes, ...]:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)
