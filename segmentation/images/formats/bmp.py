"""A BMP reader: general decoders get run lengths and bit masks wrong.

Pillow's raw decoder unpacks the rows. Fields: Microsoft's BITMAPFILEHEADER, BITMAPINFOHEADER and
BITMAPV5HEADER; OS/2's older headers have the same fields at these offsets, or fewer.
"""

import struct
from typing import NamedTuple

import numpy as np
from PIL import Image

from segmentation.errors import ImageError

_RGB, _RLE8, _RLE4, _MASKS, _JPEG, _PNG, _ALPHA_MASKS = range(7)
_DIB = 14  # offset of the second header, whose first field is its size
_MASKS_AT = _DIB + 40
_INDEXED = {1: "P;1", 2: "P;2", 4: "P;4", 8: "P"}
_BITS = (*_INDEXED, 16, 24, 32)
_DEFAULT_MASKS = {16: (0x7C00, 0x03E0, 0x001F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_STRIP_PIXELS = 1 << 18


class _Header(NamedTuple):
    width: int
    height: int
    top_down: bool
    bits: int
    compression: int
    colors: int  # in the palette; 0 for as many as the bits allow
    masks: tuple[int, ...]  # red, green, blue, alpha
    palette_at: int
    entry: int  # bytes of a palette entry


class BmpReader:
    """A BMP file with a parsed header.

    Args:
        subject: The file's name in messages.
        data: The file's bytes.

    Attributes:
        size: (width, height).

    Raises:
        ImageError: A kind of BMP that is not read, by name; or a header that is cut short.
    """

    def __init__(self, subject: str, data: bytes) -> None:
        self._subject, self._data = subject, data
        self._header = header = _read_header(subject, data)
        self.size = header.width, header.height
        (self._pixels_at,) = struct.unpack_from("<I", data, 10)
        if self._pixels_at < header.palette_at:  # some writers leave the offset out
            colors = (header.colors or 1 << header.bits) if header.bits <= 8 else header.colors
            self._pixels_at = header.palette_at + colors * header.entry

    def load(self) -> Image.Image:
        """Decode the image, to mode P, RGB or RGBA.

        Raises:
            ImageError: The file is cut short or damaged.
        """
        header = self._header
        if header.compression in (_RLE4, _RLE8):
            runs = self._data[self._pixels_at :]
            indices = unpack_runs(runs, self.size, header.compression == _RLE4, self._subject)
            image = Image.frombytes("P", self.size, bytes(indices), "raw", "P", 0, -1)
        elif header.bits in _INDEXED:
            image = self._rows("P", _INDEXED[header.bits])
        elif header.bits == 24:
            image = self._rows("RGB", "BGR")
        else:
            image = self._masked()
        if header.bits in _INDEXED:
            image.putpalette(self._palette())
        profile = self._profile()
        if profile:
            image.info["icc_profile"] = profile
        return image

    @property
    def _stride(self) -> int:
        return (self._header.width * self._header.bits + 31) // 32 * 4

    def _stored(self) -> memoryview | bytes:
        """Return the rows as stored; only the padding of the last one may be missing."""
        header, stored = self._header, memoryview(self._data)[self._pixels_at :]
        size = self._stride * header.height
        if len(stored) < size - self._stride + (header.width * header.bits + 7) // 8:
            raise ImageError(f"{self._subject} is cut short: rows are missing. Copy it again.")
        return stored[:size] if len(stored) >= size else bytes(stored).ljust(size, b"\0")

    def _rows(self, mode: str, raw_mode: str) -> Image.Image:
        step = 1 if self._header.top_down else -1
        return Image.frombytes(mode, self.size, self._stored(), "raw", raw_mode, self._stride, step)

    def _palette(self) -> bytes:
        """Return 256 colours; those that the file lacks are black, as in browsers."""
        header = self._header
        room = max(0, self._pixels_at - header.palette_at) // header.entry
        count = min(header.colors or 256, 1 << header.bits, room)
        entries = np.frombuffer(self._data, np.uint8, count * header.entry, header.palette_at)
        colors = np.zeros((256, 3), np.uint8)
        colors[:count] = entries.reshape(count, header.entry)[:, 2::-1]
        return colors.tobytes()

    def _masked(self) -> Image.Image:
        """Decode pixels of 16 or 32 bits, in which bit masks mark the channels."""
        header, stored = self._header, self._stored()
        values = np.frombuffer(stored, f"<u{header.bits // 8}").reshape(header.height, -1)
        if not header.top_down:
            values = values[::-1]
        masks = header.masks if header.masks[3] else header.masks[:3]
        image = Image.new("RGBA" if len(masks) == 4 else "RGB", self.size)
        rows, opaque = max(1, _STRIP_PIXELS // header.width), False
        for top in range(0, header.height, rows):
            strip = values[top : top + rows, : header.width]
            bands = np.stack([_scaled(strip, mask) for mask in masks], -1)  # (rows, width, 3 or 4)
            opaque |= len(masks) == 4 and bool(bands[..., 3].any())
            image.paste(Image.fromarray(bands), (0, top))
        # an alpha of 0 everywhere is not meant: other programs show the colours
        return image if opaque or len(masks) == 3 else image.convert("RGB")

    def _profile(self) -> bytes | None:
        """Return the embedded colour profile of a BITMAPV5HEADER."""
        if int.from_bytes(self._data[_DIB : _DIB + 4], "little") != 124:
            return None
        kind, at, size = struct.unpack_from("<56x4s48x4xII", self._data, _DIB)
        at += _DIB
        # "MBED" (PROFILE_EMBEDDED) in little-endian order
        return self._data[at : at + size] if kind == b"DEBM" and size else None


def unpack_runs(data: bytes, size: tuple[int, int], nibbles: bool, subject: str) -> bytearray:
    """Decompress run lengths (RLE4, RLE8) to palette indices.

    Args:
        data: Pairs of a count and a value, or escapes.
        size: (width, height) of the image.
        nibbles: Two indices a byte (RLE4) instead of one (RLE8).
        subject: The file's name in messages.

    Returns:
        One byte an index, row by row in the file's order; skipped pixels are 0.

    Raises:
        ImageError: The data ends before the image does, or continues beyond it.
    """
    width, height = size
    indices = bytearray(width * height)
    x = y = at = 0
    while at + 1 < len(data):
        count, value = data[at], data[at + 1]
        at += 2
        if count == 0 and value == 0:  # end of the row
            x, y = 0, y + 1
            continue
        if count == 0 and value == 1:  # end of the image
            return indices
        if count == 0 and value == 2:  # a jump
            x, y, at = x + data[at : at + 1][0], y + data[at + 1 : at + 2][0], at + 2
            continue
        if count:
            run = bytes((value >> 4, value & 15)) * 128 if nibbles else bytes((value,)) * count
            run = run[:count]
        else:  # uncompressed indices, padded to an even number of bytes
            used = (value + 1) // 2 if nibbles else value
            run = data[at : at + used]
            if len(run) < used:
                break
            at += used + used % 2
            if nibbles:
                run = bytes(half for pair in run for half in (pair >> 4, pair & 15))[:value]
        if y >= height:
            raise ImageError(f"{subject} is damaged: its run lengths go beyond its last row.")
        visible = run[: max(0, width - x)]  # writers may pad rows
        indices[y * width + x : y * width + x + len(visible)] = visible
        x += len(run)
    if y >= height or (y == height - 1 and x >= width):
        return indices
    raise ImageError(f"{subject} is cut short: its run lengths end too early. Copy it again.")


def _scaled(values: np.ndarray, mask: int) -> np.ndarray:
    """Return the bits of a mask scaled to 0 to 255: rint(255 * value / greatest)."""
    if not mask:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    greatest = mask >> shift
    part = (values & mask) >> shift
    if greatest != 255:
        part = (part.astype(np.uint64) * 255 + greatest // 2) // greatest
    return part.astype(np.uint8)


def _read_header(subject: str, data: bytes) -> _Header:
    size = int.from_bytes(data[_DIB : _DIB + 4], "little")
    if len(data) < _DIB + size:
        raise ImageError(f"{subject} is cut short: it ends within its header. Copy it again.")
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, _DIB + 4)
        header = _Header(width, height, False, bits, _RGB, 0, (), _DIB + size, 3)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", data, _DIB + 4)
        compression = struct.unpack_from("<I", data, _DIB + 16)[0] if size >= 20 else _RGB
        colors = struct.unpack_from("<I", data, _DIB + 32)[0] if size >= 36 else 0
        masks, end = _read_masks(data, size, bits, compression)
        shape = (width, abs(height), height < 0)
        header = _Header(*shape, bits, compression, colors, masks, end, 4)
    kind = _unread_kind(header, size)
    if kind:
        raise ImageError(
            f"{subject} is {kind}, which is not read here. "
            "Open it in an image editor and save it as PNG or as a 24-bit BMP."
        )
    if header.bits in _DEFAULT_MASKS and header.compression == _RGB:
        header = header._replace(masks=_DEFAULT_MASKS[header.bits])
    return header


def _read_masks(data: bytes, size: int, bits: int, compression: int) -> tuple[tuple[int, ...], int]:
    """Return the masks of red, green, blue and alpha, and the offset of the palette."""
    end = _DIB + size
    if compression not in (_MASKS, _ALPHA_MASKS) or bits not in _DEFAULT_MASKS:
        return (), end
    count = 4 if compression == _ALPHA_MASKS or size >= 56 else 3
    if size == 40:  # then they follow the header
        end += 4 * count
    return (*struct.unpack_from(f"<{count}I", data, _MASKS_AT), 0)[:4], end


def _unread_kind(header: _Header, size: int) -> str | None:
    """Return the kind of a BMP that is not read, with an article; None for one that is."""
    bits, compression = header.bits, header.compression
    if compression == _JPEG and bits != 24:
        return "a BMP with a JPEG inside (BI_JPEG compression)"
    if compression == _PNG:
        return "a BMP with a PNG inside (BI_PNG compression)"
    if bits not in _BITS:
        return f"a BMP of {bits}-bit pixels"
    depths = {_RGB: _BITS, _RLE8: (8,), _RLE4: (4,), _MASKS: (16, 32), _ALPHA_MASKS: (16, 32)}
    if bits not in depths.get(compression, ()):
        return f"a BMP of {bits}-bit pixels with compression {compression}"
    if compression in (_RLE4, _RLE8) and header.top_down:
        return "a BMP of run lengths from the top down"
    if compression in (_MASKS, _ALPHA_MASKS) and size not in (40, 52, 56, 108, 124):
        return f"a BMP with bit masks and a header of {size} bytes"
    for mask in header.masks:
        top = mask >> ((mask & -mask).bit_length() - 1) if mask else 0
        if top & (top + 1) or mask >> bits:
            return f"a BMP with the bit mask {mask:#x}"
    if sum(header.masks) != np.bitwise_or.reduce(np.array([0, *header.masks], np.int64)):
        return "a BMP whose bit masks overlap"
    return None
