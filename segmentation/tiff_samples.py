"""The numbers that a TIFF stores, row by row, as libtiff unpacks them and nobody interprets them.

Pillow's own table of TIFF modes leaves out half of what a file can be, so only its decompression is
used: each group of strips or tiles is handed to it as a gray picture of bytes. Byte order,
predictors and packed bits are undone here (TIFF 6.0, sections 7, 14 and 15; predictor 3: Adobe
Photoshop TIFF Technical Note 3).
"""

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import TiffImagePlugin

from segmentation import tiff_tags as tag
from segmentation.errors import ImageError
from segmentation.tiff_facts import FLOAT, NONE, UINT, Facts

_GROUP_BYTES = 4 << 20
_MOST_TILE_BYTES = 256 << 20
_KINDS = {UINT: "u", 2: "i", FLOAT: "f"}


class _Layout(NamedTuple):
    """How the chunks (strips or tiles) of one plane lie."""

    rows: int  # of a chunk
    columns: int  # of a chunk, in pixels
    across: int  # chunks beside each other
    down: int
    samples: int  # a pixel
    offsets: np.ndarray  # of all planes
    counts: np.ndarray


def sample_blocks(subject: str, data: bytes, facts: Facts) -> Iterator[tuple[int, np.ndarray]]:
    """The samples from top to bottom, some megabytes at a time.

    Args:
        subject: How a message calls the file.
        data: The file's bytes.
        facts: Of its first picture.

    Yields:
        The first row's number, and (rows, W, samples) of the file's own type; depths that no type
        has come as uint8 or uint16.

    Raises:
        ImageError: The file is cut short, or its strips or tiles cannot be.
        OSError: libtiff cannot unpack one.
    """
    layout = _layout(subject, data, facts)
    planes = [_plane_blocks(data, facts, layout, plane) for plane in _planes(facts)]
    for blocks in zip(*planes, strict=True):
        top = blocks[0][0]
        yield (
            top,
            np.concatenate([block for _, block in blocks], -1) if planes[1:] else blocks[0][1],
        )


def check_extent(subject: str, data: bytes, facts: Facts) -> None:
    """Raise what `sample_blocks` would of a file that ends before its pixels do."""
    _layout(subject, data, facts)


def _planes(facts: Facts) -> range:
    return range(facts.samples if facts.planar else 1)


def _layout(subject: str, data: bytes, facts: Facts) -> _Layout:
    directory, samples = facts.directory, 1 if facts.planar else facts.samples
    tiled = tag.TILES in directory.tags
    if tiled:
        columns, rows = directory.one(tag.TILE_WIDTH, 0), directory.one(tag.TILE_HEIGHT, 0)
        offsets, counts = directory.tags[tag.TILES], directory.tags.get(tag.TILE_BYTES)
    else:
        columns, rows = facts.width, min(directory.one(tag.ROWS, facts.height), facts.height)
        offsets, counts = directory.tags.get(tag.STRIPS), directory.tags.get(tag.STRIP_BYTES)
    if not rows or not columns or offsets is None:
        raise ImageError(f"{subject} is a damaged TIFF: it has no strips or tiles.")
    row_bytes = _row_bytes(facts, columns, samples)
    if tiled and rows * row_bytes > _MOST_TILE_BYTES:
        raise ImageError(f"{subject} is a TIFF with tiles of {columns:,} x {rows:,} pixels.")
    across, down = -(-facts.width // columns), -(-facts.height // rows)
    needed = across * down * len(_planes(facts))
    plain = facts.compression in NONE
    if counts is None and (plain or needed == 1):
        counts = np.full(len(offsets), rows * row_bytes if plain else len(data) - int(offsets[0]))
    if counts is None or len(offsets) < needed or len(counts) < needed:
        raise ImageError(f"{subject} is a damaged TIFF: strips or tiles are missing in its list.")
    offsets, counts = offsets[:needed].astype(np.int64), counts[:needed].astype(np.int64)
    if plain:  # libtiff, too, knows better than the numbers that some writers give
        last = facts.height - (down - 1) * rows
        counts = np.full(needed, rows * row_bytes)
        if not tiled:
            counts[down - 1 :: down] = last * row_bytes
    if (counts <= 0).any() or (offsets <= 0).any():
        raise ImageError(f"{subject} is a TIFF some of whose strips or tiles are left out.")
    if (offsets + counts > len(data)).any():
        raise ImageError(f"{subject} is cut short: it ends before its pixels do. Copy it again.")
    return _Layout(rows, columns, across, down, samples, offsets, counts)


def _row_bytes(facts: Facts, columns: int, samples: int) -> int:
    return (columns * samples * facts.bits + 7) // 8


def _plane_blocks(
    data: bytes, facts: Facts, layout: _Layout, plane: int
) -> Iterator[tuple[int, np.ndarray]]:
    """One plane: rows of whole chunks, and of a chunk's part where it is large and not packed."""
    row_bytes = _row_bytes(facts, layout.columns, layout.samples)
    first = plane * layout.across * layout.down
    whole = max(1, _GROUP_BYTES // (layout.rows * row_bytes * layout.across))
    for line in range(0, layout.down, whole):
        lines = min(whole, layout.down - line)
        chunks = slice(first + line * layout.across, first + (line + lines) * layout.across)
        top = line * layout.rows
        rows = min(lines * layout.rows, facts.height - top)
        raw = _unpacked(data, facts, layout, chunks, rows)  # (rows, across, row_bytes)
        step = max(1, _GROUP_BYTES // (row_bytes * layout.across))
        for at in range(0, rows, step):
            part = raw[at : at + step]
            pixels = _samples(part, facts, layout)  # (rows, across, columns, samples)
            flat = pixels.reshape(len(part), layout.across * layout.columns, layout.samples)
            yield top + at, flat[:, : facts.width]


def _unpacked(data: bytes, facts: Facts, layout: _Layout, chunks: slice, rows: int) -> np.ndarray:
    """(rows, across, bytes of a chunk's row) uint8: what these chunks hold, unpacked."""
    row_bytes = _row_bytes(facts, layout.columns, layout.samples)
    offsets, counts = layout.offsets[chunks], layout.counts[chunks]
    tiled = tag.TILES in facts.directory.tags
    if facts.compression in NONE:
        parts = [
            np.frombuffer(data, np.uint8, count, at).reshape(-1, row_bytes)
            for at, count in zip(offsets.tolist(), counts.tolist(), strict=True)
        ]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)  # chunk by chunk
        lines = len(offsets) // layout.across
        if tiled:
            shape = (lines, layout.across, layout.rows, row_bytes)
            whole = whole.reshape(shape).swapaxes(1, 2)
        whole = whole.reshape(-1, layout.across, row_bytes)
    else:
        size = (row_bytes * layout.across, (len(offsets) // layout.across) * layout.rows)
        size = size if tiled else (row_bytes, rows)
        tile = (row_bytes, layout.rows) if tiled else None
        strips = [
            data[at : at + n] for at, n in zip(offsets.tolist(), counts.tolist(), strict=True)
        ]
        whole = _through_libtiff(strips, facts.compression, size, layout.rows, tile)
        whole = whole.reshape(-1, layout.across, row_bytes)
    whole = whole[:rows]
    return _reversed_bits(whole) if facts.directory.one(tag.FILL_ORDER, 1) == 2 else whole


def _through_libtiff(
    parts: list[bytes],
    compression: int,
    size: tuple[int, int],
    rows: int,
    tile: tuple[int, int] | None,
) -> np.ndarray:
    """A gray TIFF of bytes, (width, height), built of packed strips or tiles, and decoded."""
    count = len(parts)
    fields: list[tuple[int, int, list[int]]] = [
        (tag.WIDTH, 4, [size[0]]),
        (tag.HEIGHT, 4, [size[1]]),
        (tag.BITS, 3, [8]),
        (tag.COMPRESSION, 3, [compression]),
        (tag.PHOTOMETRIC, 3, [1]),
        (tag.SAMPLES, 3, [1]),
    ]
    if tile:
        fields += [(tag.TILE_WIDTH, 4, [tile[0]]), (tag.TILE_HEIGHT, 4, [tile[1]])]
    else:
        fields += [(tag.ROWS, 4, [rows])]
    places = (tag.TILES, tag.TILE_BYTES) if tile else (tag.STRIPS, tag.STRIP_BYTES)
    lists_at = 8 + 2 + 12 * (len(fields) + 2) + 4
    starts = np.cumsum([lists_at + 8 * count, *map(len, parts)])[:count].tolist()
    lists = struct.pack(f"<{2 * count}I", *starts, *map(len, parts))
    fields += [(places[0], 4, starts), (places[1], 4, list(map(len, parts)))]
    body = struct.pack("<H", len(fields))
    for number, kind, values in sorted(fields):
        at = lists_at + (4 * count if number == places[1] else 0)
        value = values[0] if len(values) == 1 else at
        body += struct.pack("<HHII", number, kind, len(values), value)
    file = b"".join([b"II*\0\x08\0\0\0", body, bytes(4), lists, *parts])
    with TiffImagePlugin.TiffImageFile(io.BytesIO(file)) as image:
        image.load()
        return np.asarray(image)


def _samples(raw: np.ndarray, facts: Facts, layout: _Layout) -> np.ndarray:
    """Bytes (rows, across, bytes) as numbers (rows, across, columns, samples)."""
    shape = (*raw.shape[:2], layout.columns, layout.samples)
    predictor = facts.directory.one(tag.PREDICTOR, 1)
    if facts.compression in (*NONE, 32773):
        predictor = 1
    if facts.bits not in (8, 16, 32, 64):
        return _unpacked_bits(raw, facts.bits, layout.columns * layout.samples).reshape(shape)
    size = facts.bits // 8
    if predictor == 3:
        steps = raw.reshape(*raw.shape[:2], -1, layout.samples)
        summed = np.cumsum(steps, 2, np.uint8).reshape(*raw.shape[:2], size, -1)
        turned = np.ascontiguousarray(summed.swapaxes(2, 3))  # bytes of a number, highest first
        return turned.view(f">f{size}").reshape(shape)
    dtype = np.dtype(f"{facts.directory.order}{_KINDS[facts.format]}{size}")
    numbers = np.ascontiguousarray(raw).view(dtype).reshape(shape)
    if predictor == 2:
        unsigned = numbers.view(f"{facts.directory.order}u{size}")
        numbers = np.cumsum(unsigned, 2, f"u{size}").view(f"{_KINDS[facts.format]}{size}")
    return numbers


def _unpacked_bits(raw: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Numbers of any few bits, highest first, that a row packs without gaps."""
    ones = np.unpackbits(raw, axis=-1)[..., : count * bits].reshape(*raw.shape[:2], count, bits)
    numbers = np.zeros(ones.shape[:-1], np.uint8 if bits <= 8 else np.uint16)
    for bit in range(bits):
        numbers = (numbers << 1) | ones[..., bit]
    return numbers


def _reversed_bits(raw: np.ndarray) -> np.ndarray:
    return np.packbits(np.unpackbits(raw, bitorder="little").reshape(-1, 8)).reshape(raw.shape)
