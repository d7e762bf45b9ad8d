"""Read a TIFF's samples row by row, unpacked by libtiff and not interpreted.

Pillow's table of TIFF modes lacks half of what a file can be, so only its decompression is used: it
gets each group of strips or tiles as a gray image of bytes. This module undoes byte order,
predictors and packed bits (TIFF 6.0, sections 7, 14 and 15; predictor 3: Adobe Photoshop TIFF
Technical Note 3).
"""

import io
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, TiffImagePlugin

from segmentation.errors import ImageError
from segmentation.images.formats import tiff_tags as tag
from segmentation.images.formats.tiff_support import FLOAT, NONE, UINT, Facts

_GROUP_BYTES = 4 << 20
_KINDS = {UINT: "u", 2: "i", FLOAT: "f"}


class Layout(NamedTuple):
    """The grid of chunks (strips or tiles) of one plane."""

    rows: int  # of a chunk
    columns: int  # of a chunk, in pixels
    across: int  # chunks in a row
    down: int  # rows of chunks
    samples: int  # per pixel
    offsets: np.ndarray  # of all planes
    counts: np.ndarray


def sample_blocks(subject: str, data: bytes, facts: Facts) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the samples from top to bottom, some megabytes at a time.

    Args:
        subject: The file's name in messages.
        data: The file's bytes.
        facts: The layout of its first image.

    Yields:
        The first row's number, and (rows, W, samples) of the file's own type; uint8 or uint16 for
        bit depths without a type.

    Raises:
        ImageError: The file is cut short, or its strips or tiles are impossible.
        OSError: libtiff cannot unpack one.
    """
    layout = chunk_layout(subject, data, facts)
    planes = [_plane_blocks(data, facts, layout, plane) for plane in _planes(facts)]
    for blocks in zip(*planes, strict=True):
        tops, parts = zip(*blocks, strict=True)
        yield tops[0], np.concatenate(parts, -1) if parts[1:] else parts[0]


def _planes(facts: Facts) -> range:
    return range(facts.samples if facts.planar else 1)


def chunk_layout(subject: str, data: bytes, facts: Facts) -> Layout:
    """Return the grid of strips or tiles.

    Raises:
        ImageError: The file is cut short, or its strips or tiles are impossible.
    """
    directory, samples = facts.directory, 1 if facts.planar else facts.samples
    tiled = tag.TILES in directory.tags
    if tiled:
        columns, rows = directory.number(tag.TILE_WIDTH, 0), directory.number(tag.TILE_HEIGHT, 0)
        offsets, counts = directory.tags[tag.TILES], directory.tags.get(tag.TILE_BYTES)
    else:
        columns, rows = facts.width, min(directory.number(tag.ROWS, facts.height), facts.height)
        offsets, counts = directory.tags.get(tag.STRIPS), directory.tags.get(tag.STRIP_BYTES)
    if not rows or not columns or offsets is None or not len(offsets):
        raise ImageError(f"{subject} is a damaged TIFF: it has no strips or tiles.")
    row_bytes = _row_bytes(facts, columns, samples)
    across, down = -(-facts.width // columns), -(-facts.height // rows)
    needed = across * down * len(_planes(facts))
    plain = facts.compression in NONE
    if counts is None and (plain or needed == 1):
        counts = np.full(len(offsets), rows * row_bytes if plain else len(data) - int(offsets[0]))
    if counts is None or len(offsets) < needed or len(counts) < needed:
        raise ImageError(f"{subject} is a damaged TIFF: strips or tiles are missing in its list.")
    offsets, counts = offsets[:needed].astype(np.int64), counts[:needed].astype(np.int64)
    if plain:  # computed, as libtiff does: some writers store wrong ones
        last = facts.height - (down - 1) * rows
        counts = np.full(needed, rows * row_bytes)
        if not tiled:
            counts[down - 1 :: down] = last * row_bytes
    if (counts <= 0).any() or (offsets <= 0).any():
        raise ImageError(f"{subject} is a TIFF some of whose strips or tiles are left out.")
    if (offsets + counts > len(data)).any():
        raise ImageError(f"{subject} is cut short: it ends before its pixels do. Copy it again.")
    return Layout(rows, columns, across, down, samples, offsets, counts)


def _row_bytes(facts: Facts, columns: int, samples: int) -> int:
    return (columns * samples * facts.bits + 7) // 8


def _plane_blocks(
    data: bytes, facts: Facts, layout: Layout, plane: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield one plane: rows of whole chunks, or of parts of large uncompressed chunks."""
    row_bytes = _row_bytes(facts, layout.columns, layout.samples)
    first = plane * layout.across * layout.down
    group = max(1, _GROUP_BYTES // (layout.rows * row_bytes * layout.across))
    for start in range(0, layout.down, group):
        count = min(group, layout.down - start)
        chunks = slice(first + start * layout.across, first + (start + count) * layout.across)
        top = start * layout.rows
        rows = min(count * layout.rows, facts.height - top)
        rows_of = _unpacked(data, facts, layout, chunks, rows)
        step = max(1, _GROUP_BYTES // (row_bytes * layout.across))
        for at in range(0, rows, step):
            part = rows_of(at, min(at + step, rows))  # (rows, across, row_bytes)
            pixels = _samples(part, facts, layout)  # (rows, across, columns, samples)
            flat = pixels.reshape(len(part), layout.across * layout.columns, layout.samples)
            yield top + at, flat[:, : facts.width]


def _unpacked(
    data: bytes, facts: Facts, layout: Layout, chunks: slice, rows: int
) -> Callable[[int, int], np.ndarray]:
    """Return a function from a first and a last row to the bytes of these chunks.

    Its result is (rows, across, bytes of a chunk's row) uint8.
    """
    row_bytes = _row_bytes(facts, layout.columns, layout.samples)
    offsets, counts = layout.offsets[chunks].tolist(), layout.counts[chunks].tolist()
    tiled, down = tag.TILES in facts.directory.tags, len(offsets) // layout.across
    is_reversed = facts.directory.number(tag.FILL_ORDER, 1) == 2
    if facts.compression not in NONE:
        size = (row_bytes * layout.across, down * layout.rows) if tiled else (row_bytes, rows)
        tile = (row_bytes, layout.rows) if tiled else None
        parts = [data[at : at + count] for at, count in zip(offsets, counts, strict=True)]
        image = _through_libtiff(parts, facts.compression, size, layout.rows, tile)

        def rows_of(first: int, last: int) -> np.ndarray:
            bands = np.asarray(image.crop((0, first, image.width, last)))
            return bands.reshape(last - first, layout.across, row_bytes)

        return rows_of
    stored = [
        np.frombuffer(data, np.uint8, count, at).reshape(-1, row_bytes)
        for at, count in zip(offsets, counts, strict=True)
    ]
    pixels = stored[0] if len(stored) == 1 else np.concatenate(stored)  # chunk by chunk
    if tiled:
        pixels = pixels.reshape(down, layout.across, layout.rows, row_bytes).swapaxes(1, 2)
    pixels = pixels.reshape(-1, layout.across, row_bytes)
    reorder = _reversed_bits if is_reversed else lambda part: part
    return lambda first, last: reorder(pixels[first:last])


def _through_libtiff(
    parts: list[bytes],
    compression: int,
    size: tuple[int, int],
    rows: int,
    tile: tuple[int, int] | None,
) -> Image.Image:
    """Decode packed strips or tiles through a TIFF of gray bytes of (width, height) `size`.

    Where the width allows it, four bytes make a pixel, as Pillow limits the number of pixels.
    """
    depth = 1 if (size[0] | (tile or size)[0]) % 4 else 4
    lengths = list(map(len, parts))
    starts = np.cumsum([8, *lengths])[:-1].tolist()  # behind the file's header
    fields = {
        tag.WIDTH: [size[0] // depth],
        tag.HEIGHT: [size[1]],
        tag.BITS: [8] * depth,
        tag.COMPRESSION: [compression],
        tag.PHOTOMETRIC: [1 if depth == 1 else 5],
        tag.SAMPLES: [depth],
    }
    if tile:
        fields |= {tag.TILE_WIDTH: [tile[0] // depth], tag.TILE_HEIGHT: [tile[1]]}
        fields |= {tag.TILES: starts, tag.TILE_BYTES: lengths}
    else:
        fields |= {tag.ROWS: [rows], tag.STRIPS: starts, tag.STRIP_BYTES: lengths}
    directory_at = 8 + sum(lengths)
    lists_at = directory_at + 2 + 12 * len(fields) + 4
    entries, lists = struct.pack("<H", len(fields)), b""
    for number, values in sorted(fields.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        entries += struct.pack("<HHI", number, 4, len(values))  # 4: 32-bit numbers
        if len(values) == 1:
            entries += packed
        else:
            entries += struct.pack("<I", lists_at + len(lists))
            lists += packed
    header = struct.pack("<4sI", b"II*\0", directory_at)
    file = b"".join([header, *parts, entries, bytes(4), lists])
    with TiffImagePlugin.TiffImageFile(io.BytesIO(file)) as image:
        image.load()
        return image


def _samples(raw: np.ndarray, facts: Facts, layout: Layout) -> np.ndarray:
    """Convert bytes (rows, across, bytes) to numbers (rows, across, columns, samples)."""
    shape = (*raw.shape[:2], layout.columns, layout.samples)
    predictor = facts.directory.number(tag.PREDICTOR, 1)
    if facts.compression in (*NONE, 32773):
        predictor = 1
    if facts.bits not in (8, 16, 32, 64):
        return _unpacked_bits(raw, facts.bits, layout.columns * layout.samples).reshape(shape)
    size = facts.bits // 8
    if predictor == 3:
        steps = raw.reshape(*raw.shape[:2], -1, layout.samples)
        summed = np.cumsum(steps, 2, np.uint8).reshape(*raw.shape[:2], size, -1)
        numbers = np.ascontiguousarray(summed.swapaxes(2, 3))  # their bytes, highest first
        return numbers.view(f">f{size}").reshape(shape)
    dtype = np.dtype(f"{facts.directory.order}{_KINDS[facts.format]}{size}")
    numbers = np.ascontiguousarray(raw).view(dtype).reshape(shape)
    if predictor == 2:
        unsigned = numbers.view(f"{facts.directory.order}u{size}")
        numbers = np.cumsum(unsigned, 2, f"u{size}").view(f"{_KINDS[facts.format]}{size}")
    return numbers


def _unpacked_bits(raw: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Unpack numbers of 1 to 16 bits, highest bit first, from rows without gaps."""
    ones = np.unpackbits(raw, axis=-1)[..., : count * bits].reshape(*raw.shape[:2], count, bits)
    numbers = np.zeros(ones.shape[:-1], np.uint8 if bits <= 8 else np.uint16)
    for bit in range(bits):
        numbers = (numbers << 1) | ones[..., bit]
    return numbers


def _reversed_bits(raw: np.ndarray) -> np.ndarray:
    return np.packbits(np.unpackbits(raw, bitorder="little").reshape(-1, 8)).reshape(raw.shape)
