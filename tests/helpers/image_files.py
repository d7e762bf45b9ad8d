"""Image files for tests: by Pillow, with a false size in the header, and TIFFs of any layout.

The TIFFs are written byte by byte, after TIFF 6.0 and libtiff's BigTIFF.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

FORMS = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "WEBP": {"lossless": True},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
    "AVIF": {"quality": 90},
}
SHORT, LONG, LONG8 = 3, 4, 16
_BYTES = {1: 1, 2: 1, SHORT: 2, LONG: 4, LONG8: 8}
_CODES = {1: "B", 2: "B", SHORT: "H", LONG: "I", LONG8: "Q"}
_SHORTS = {254, 258, 259, 262, 266, 274, 277, 281, 284, 317, 320, 332, 338, 339}


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    """Return an image as a file of one of `FORMS`."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """Return a small PNG whose header claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def claiming(form: str, width: int, height: int) -> bytes:
    """Return a small file of one of `FORMS` whose header claims a size."""
    if form == "PNG":
        return png_claiming(width, height)
    data = bytearray(encode(Image.new("RGB", (8, 8)), form, **FORMS[form]))
    if form == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    elif form == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif form == "JPEG":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    elif form == "WEBP":  # VP8L: 14 bits each, minus one
        data[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    elif form == "TIFF":
        for tag, value in ((256, width), (257, height)):
            at = data.index(struct.pack("<HHI", tag, 4, 1))
            data[at + 8 : at + 12] = struct.pack("<I", value)
    return bytes(data)


def tiff(
    pixels: np.ndarray,
    *,
    photometric: int | None = None,
    order: str = "<",
    big: bool = False,
    planar: bool = False,
    rows: int | None = None,
    tile: tuple[int, int] | None = None,
    compression: int = 1,
    predictor: int = 1,
    bits: int | None = None,
    next_at: int = 0,
    **fields,
) -> bytes:
    """A TIFF of (H, W) or (H, W, samples) numbers.

    Args:
        pixels: of the type that is stored; with `bits`, whole numbers to be packed.
        photometric: 1 for one sample, 2 for more, where it is not given.
        order: "<" or ">".
        big: a BigTIFF.
        planar: each sample on its own.
        rows: of a strip; all of them where it is not given.
        tile: (height, width), instead of strips.
        compression: 1, 8 (Deflate) or 32773 (PackBits); or another, with the bytes as they are.
        predictor: 1, 2 or 3.
        bits: of a sample, packed.
        next_at: where a second directory is said to be.
        fields: `t338=[2]` and so on; None leaves a field out.
    """
    height, width = pixels.shape[:2]
    cube = pixels.reshape(height, width, -1)
    samples = cube.shape[2]
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    planes = [cube[..., n : n + 1] for n in range(samples)] if planar else [cube]
    chunks = [
        _packed(_coded(part, order, predictor, bits), compression)
        for plane in planes
        for part in _parts(plane, rows or height, tile)
    ]
    entries = {
        256: [width],
        257: [height],
        258: [bits or 8 * pixels.dtype.itemsize] * samples,
        259: [compression],
        262: [photometric if photometric is not None else 1 if samples == 1 else 2],
        277: [samples],
        284: [2 if planar else 1],
        317: [predictor],
        339: [kind] * samples,
    }
    entries |= {322: [tile[1]], 323: [tile[0]]} if tile else {278: [rows or height]}
    entries |= {int(name[1:]): values for name, values in fields.items()}
    entries = {tag: values for tag, values in entries.items() if values is not None}
    return directory(entries, chunks, order=order, big=big, tiled=bool(tile), next_at=next_at)


def directory(
    entries: dict[int, list[int] | bytes],
    chunks: list[bytes],
    *,
    order: str = "<",
    big: bool = False,
    tiled: bool = False,
    next_at: int = 0,
) -> bytes:
    """A file of one directory, its values behind it, and then its strips or tiles."""
    offsets, counts = (324, 325) if tiled else (273, 279)
    entries = entries | {offsets: [0] * len(chunks), counts: [len(chunk) for chunk in chunks]}
    head = 16 if big else 8
    word, entry, inline = ("Q", "HHQ", 8) if big else ("I", "HHI", 4)
    first = head + (8 if big else 2)
    values_at = first + len(entries) * (20 if big else 12) + inline

    def kind_of(tag: int, values: list[int] | bytes) -> int:
        return 2 if isinstance(values, bytes) else SHORT if tag in _SHORTS else LONG

    sizes = {tag: _BYTES[kind_of(tag, v)] * len(v) for tag, v in entries.items()}
    places, at = {}, values_at
    for tag, size in sorted(sizes.items()):
        if size > inline:
            places[tag], at = at, at + size
    starts = np.cumsum([at, *map(len, chunks)])[: len(chunks)].tolist()
    entries[offsets] = starts
    body, values = b"", b""
    for tag, numbers in sorted(entries.items()):
        kind = kind_of(tag, numbers)
        raw = struct.pack(f"{order}{len(numbers)}{_CODES[kind]}", *numbers)
        body += struct.pack(order + entry, tag, kind, len(numbers))
        body += (
            struct.pack(order + word, places[tag]) if tag in places else raw.ljust(inline, b"\0")
        )
        values += raw if tag in places else b""
    mark = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    start = mark + (struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8))
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    return start + count + body + struct.pack(order + word, next_at) + values + b"".join(chunks)


def _parts(plane: np.ndarray, rows: int, tile: tuple[int, int] | None) -> list[np.ndarray]:
    height, width = plane.shape[:2]
    if tile is None:
        return [plane[top : top + rows] for top in range(0, height, rows)]
    down, across = -height % tile[0], -width % tile[1]
    padded = np.pad(plane, ((0, down), (0, across), (0, 0)))
    return [
        padded[top : top + tile[0], left : left + tile[1]]
        for top in range(0, height, tile[0])
        for left in range(0, width, tile[1])
    ]


def _coded(part: np.ndarray, order: str, predictor: int, bits: int | None) -> bytes:
    if bits:
        ones = part[..., None] >> np.arange(bits - 1, -1, -1) & 1
        return np.packbits(ones.reshape(len(part), -1).astype(np.uint8), axis=-1).tobytes()
    if predictor == 2:
        whole = part.view(f"u{part.dtype.itemsize}")
        part = np.concatenate([whole[:, :1], np.diff(whole, axis=1)], 1)
    if predictor == 3:
        size = part.dtype.itemsize
        high_first = part.astype(f">f{size}").view(np.uint8).reshape(len(part), -1, size)
        lanes = high_first.swapaxes(1, 2).reshape(len(part), -1, part.shape[2])
        return np.concatenate([lanes[:, :1], np.diff(lanes, axis=1)], 1).tobytes()
    return part.astype(part.dtype.newbyteorder(order)).tobytes()


def _packed(data: bytes, compression: int) -> bytes:
    if compression == 8:
        return zlib.compress(data)
    if compression == 32773:  # literal runs alone
        runs = (data[at : at + 128] for at in range(0, len(data), 128))
        return b"".join(bytes([len(run) - 1]) + run for run in runs)
    return data
