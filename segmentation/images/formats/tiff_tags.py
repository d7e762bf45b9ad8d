"""Parse the fields of TIFF directories.

Fields and their meanings: TIFF 6.0; BigTIFF as in libtiff.
"""

import struct
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
SUBFILE, FILL_ORDER, MAKE, STRIPS, ORIENTATION, SAMPLES = 254, 266, 271, 273, 274, 277
ROWS, STRIP_BYTES, MAX_VALUE, PLANAR, PREDICTOR, COLOR_MAP = 278, 279, 281, 284, 317, 320
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, SUB_DIRECTORIES, INKS = 322, 323, 324, 325, 330, 332
EXTRAS, FORMAT, DEPTH, PROFILE, NODATA, DNG = 338, 339, 32997, 34675, 42113, 50706

_KNOWN = {value for name, value in globals().items() if name.isupper() and name[0] != "_"}
_OPTIONAL = {MAKE, MAX_VALUE, PROFILE, NODATA, DNG, SUB_DIRECTORIES}
_MAX_ENTRIES = 4096
_BIG = (b"+\0", b"\0+")  # the version number 43 of BigTIFF
_DTYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 13: "u4"}
_DTYPES |= {16: "u8", 17: "i8", 18: "u8"}


class Directory(NamedTuple):
    """One image file directory (IFD).

    Attributes:
        tags: Values of the known fields, which lie within the file.
        order: Byte order, "<" or ">" as in `struct`.
        next_at: Offset of the next directory; 0 for none.
        cut: Whether a field that the pixels need lies beyond the file's end.
    """

    tags: dict[int, np.ndarray]
    order: str
    next_at: int
    cut: bool

    def number(self, tag: int, default: int) -> int:
        """Return a field's first value."""
        values = self.tags.get(tag)
        return default if values is None or not len(values) else int(values[0])

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return all of a field's values."""
        values = self.tags.get(tag)
        return () if values is None else tuple(values.tolist())

    def raw(self, tag: int) -> bytes:
        """Return a field's bytes."""
        values = self.tags.get(tag)
        return b"" if values is None else values.tobytes()


def first_directory(data: bytes) -> Directory:
    """Parse the directory of the first image.

    Raises:
        struct.error: It lies beyond the file's end.
    """
    order = "<" if data[:2] == b"II" else ">"
    word, at = ("Q", 8) if data[2:4] in _BIG else ("I", 4)
    return read_directory(data, struct.unpack_from(order + word, data, at)[0])


def tiff_size(_: str, data: bytes) -> tuple[int, int] | None:
    """Return the stored (width, height) of the first image; None if the fields are missing."""
    try:
        directory = first_directory(data)
    except struct.error:
        return None
    known = {WIDTH, HEIGHT} <= directory.tags.keys()
    return (directory.number(WIDTH, 0), directory.number(HEIGHT, 0)) if known else None


def read_directory(data: bytes, at: int) -> Directory:
    """Parse the directory at an offset in the file.

    Raises:
        struct.error: It lies beyond the file's end.
    """
    order = "<" if data[:2] == b"II" else ">"
    head, entry, word = ("Q", "HHQ", "Q") if data[2:4] in _BIG else ("H", "HHI", "I")
    (count,) = struct.unpack_from(order + head, data, at)
    at += struct.calcsize(order + head)
    tags: dict[int, np.ndarray] = {}
    inline, cut = struct.calcsize(word), False
    for _ in range(min(count, _MAX_ENTRIES)):
        tag, kind, number = struct.unpack_from(order + entry, data, at)
        at += struct.calcsize(order + entry)
        dtype = _DTYPES.get(kind)
        if tag in _KNOWN and dtype and tag not in tags:
            size = int(dtype[1]) * number
            start = at if size <= inline else struct.unpack_from(order + word, data, at)[0]
            if start + size <= len(data):
                tags[tag] = np.frombuffer(data, order + dtype, number, start)
            else:
                cut |= tag not in _OPTIONAL
        at += inline
    next_at = struct.unpack_from(order + word, data, at)[0] if at + inline <= len(data) else 0
    return Directory(tags, order, next_at, cut)
