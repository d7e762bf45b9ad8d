"""The label map as a lossless PNG, from which the browser computes everything it shows.

The PNG is packed on every core: each strip of rows is a deflate stream of its own that ends on a
byte (`Z_FULL_FLUSH`), and the strips are joined into one zlib stream (RFC 1950, 1951; pigz does the
same). Rows resemble those above them, so each has the filter Up (PNG specification, section 9.2).
"""

import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from segmentation.errors import PaletteError
from segmentation.images.indexed_png import open_png_values

STRIP_BYTES = 1 << 20
MAX_THREADS = 8
_FAST_ABOVE_PIXELS = 24_000_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2
_ADLER_BASE = 65521  # the largest prime below 2**16 (RFC 1950, section 8.2)
_COLOR_TYPES = {3: 2, 4: 6}  # channels to RGB, RGBA


def encode_label_map(
    class_map: np.ndarray,
    confidence: np.ndarray,
    runner_up: np.ndarray,
    set_sizes: np.ndarray | None = None,
) -> bytes:
    """Pack a result into a PNG: red = class, green = confidence, blue = runner-up.

    With set sizes it has a fourth channel: alpha = 256 - size, 255 (opaque) for a single class.

    The file carries no gAMA, sRGB, iCCP or cHRM chunk, so that a browser's canvas returns the
    numbers unchanged.

    Args:
        class_map: (H, W) uint8 class indices.
        confidence: (H, W) float, 0 to 1; stored as `rint(255 * confidence)`.
        runner_up: (H, W) uint8 class indices.
        set_sizes: (H, W) uint8, how many classes each pixel may be, from 1 up; None where that is
            not known.

    Returns:
        The bytes of an 8-bit RGB or RGBA PNG of W x H pixels.

    Raises:
        PaletteError: Shapes or dtypes that do not fit together, or confidence outside 0 to 1.
    """
    shape = class_map.shape
    if class_map.ndim != 2 or class_map.size == 0:
        raise PaletteError(f"A class map is (H, W) and not empty; this one is {shape}.")
    planes = {"class_map": class_map, "runner_up": runner_up, "set_sizes": set_sizes}
    for name, array in planes.items():
        if array is not None and (array.dtype != np.uint8 or array.shape != shape):
            raise PaletteError(f"{name} must be {shape} uint8, not {array.shape} {array.dtype}.")
    if not np.issubdtype(confidence.dtype, np.floating) or confidence.shape != shape:
        raise PaletteError(
            f"confidence must be {shape} float, not {confidence.shape} {confidence.dtype}."
        )
    low, high = float(confidence.min()), float(confidence.max())
    # Written so that NaN is refused too. Softmax in float32 may end a hair above 1.
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise PaletteError(f"confidence goes from {low} to {high}; it must lie in 0 to 1.")
    alpha = [] if set_sizes is None else [0 - set_sizes]  # modulo 256
    # Measured on maps of photos at 12 megapixels: level 4 takes 0.1 s longer than level 1, and two
    # thirds of its bytes: 0.5 MB that a phone need not fetch.
    level = 1 if class_map.size > _FAST_ABOVE_PIXELS else 4
    channels = [class_map, confidence, runner_up, *alpha]
    return write_png(channels, level=level, threads=os.cpu_count() or 1)


def decode_label_map(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unpack what `encode_label_map` packed.

    Args:
        data: The PNG's bytes.

    Returns:
        class_map (H, W) uint8; confidence (H, W) float32 in steps of 1 / 255; runner_up (H, W)
        uint8. A channel of set sizes is left out.

    Raises:
        ImageError: Not a readable 8-bit RGB or RGBA PNG.
    """
    packed = open_png_values(data, "RGB", "RGBA")  # (H, W, 3 or 4)
    class_map, confidence, runner_up = (packed[..., channel].copy() for channel in range(3))
    return class_map, confidence.astype(np.float32) / 255, runner_up


def write_png(channels: Sequence[np.ndarray], *, level: int, threads: int = 1) -> bytes:
    """Pack channels into an 8-bit PNG of the chunks IHDR, IDAT and IEND.

    Args:
        channels: Three for RGB, four for RGBA, each (H, W): uint8, or floats in 0 to 1, which are
            stored as `rint(255 * value)`.
        level: Of zlib, 1 (fast) to 9 (small).
        threads: Strips packed at a time, `MAX_THREADS` at most.
    """
    height, width = channels[0].shape
    row_bytes = len(channels) * width
    strip_rows = max(1, STRIP_BYTES // (row_bytes + 1))
    tops = range(0, height, strip_rows)

    def pack(top: int) -> tuple[bytes, int, int]:
        """Return a strip's deflate stream, its Adler-32 and its length before compression."""
        above, bottom = max(0, top - 1), min(top + strip_rows, height)
        pixels = np.empty((bottom - above, width, len(channels)), np.uint8)
        for index, channel in enumerate(channels):
            values = channel[above:bottom]
            if values.dtype != np.uint8:
                values = values * np.float32(255)
                values = np.rint(values, out=values).clip(0, 255, out=values)
            pixels[..., index] = values
        rows = pixels.reshape(bottom - above, row_bytes)
        filtered = np.empty((bottom - top, 1 + row_bytes), np.uint8)
        filtered[:, 0] = _UP
        np.subtract(rows[1:], rows[:-1], out=filtered[above + 1 - top :, 1:])
        if top == 0:
            filtered[0, 1:] = rows[0]  # the row above the first one counts as zero
        packer = zlib.compressobj(level, zlib.DEFLATED, -15, 8)  # -15: no header, no checksum
        data = packer.compress(filtered)
        data += packer.flush(zlib.Z_FINISH if bottom == height else zlib.Z_FULL_FLUSH)
        return data, zlib.adler32(filtered), filtered.nbytes

    with ThreadPoolExecutor(min(MAX_THREADS, threads, len(tops))) as pool:
        strips = list(pool.map(pack, tops))
    low, high = 1, 0  # the halves of Adler-32, joined from those of the strips
    for _, adler, length in strips:
        high = (high + (adler >> 16) + length * (low - 1)) % _ADLER_BASE
        low = (low + (adler & 0xFFFF) - 1) % _ADLER_BASE
    checksum = struct.pack(">HH", high, low)
    # 8 bits a value, not interlaced
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[len(channels)], 0, 0, 0)
    parts = [_SIGNATURE]
    for kind, body in (
        (b"IHDR", header),
        (b"IDAT", b"".join([b"\x78\x01", *(data for data, _, _ in strips), checksum])),
        (b"IEND", b""),
    ):
        check = zlib.crc32(body, zlib.crc32(kind))
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", check)]
    return b"".join(parts)
