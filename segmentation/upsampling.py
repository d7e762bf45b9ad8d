"""Bilinear upsampling in plain numpy, one arithmetic for whole photos and for single pixels.

The maths is that of `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`.
Products and sums are rounded one by one and always in the same order (first sideways, then
downwards), so that every path through this package gives a pixel the same bits.
"""

from typing import NamedTuple

import numpy as np


class Taps(NamedTuple):
    """Where each target position looks in the source: two neighbours and the second's weight."""

    left: np.ndarray  # (target,) int64, never falling
    right: np.ndarray  # (target,) int64
    weight: np.ndarray  # (target,) float32 in [0, 1]


class Spans(NamedTuple):
    """The photo's positions that each source position is the left (or upper) neighbour of."""

    start: np.ndarray  # (source,) int64
    count: np.ndarray  # (source,) int64


def make_taps(source: int, target: int) -> Taps:
    """Half-pixel centres, clamped at the edges: what `align_corners=False` means."""
    scale = np.float32(source) / np.float32(target)
    position = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    position = np.maximum(position, np.float32(0))
    left = np.minimum(position.astype(np.int64), source - 1)
    right = np.minimum(left + 1, source - 1)
    return Taps(left, right, np.minimum(position - left.astype(np.float32), np.float32(1)))


def make_spans(taps: Taps, source: int) -> Spans:
    """Invert taps: for each source position the run of targets whose `left` it is."""
    start = np.searchsorted(taps.left, np.arange(source))
    return Spans(start, np.diff(start, append=len(taps.left)))


def refine_taps(taps: Taps, source: int, parts: int) -> Taps:
    """The same positions between the points of a source with `parts` steps in place of each one."""
    inner = np.minimum((taps.weight * parts).astype(np.int64), parts - 1)
    inner[taps.left == source - 1] = 0
    left = taps.left * parts + inner
    weight = taps.weight * np.float32(parts) - inner.astype(np.float32)
    return Taps(left, np.minimum(left + 1, (source - 1) * parts), np.minimum(weight, np.float32(1)))


def refine(source: np.ndarray, parts: int, axis: int) -> np.ndarray:
    """Values at `parts` steps in place of each one: m to (m - 1) * parts + 1 along an axis."""
    if parts == 1:
        return source
    count = (source.shape[axis] - 1) * parts + 1
    left, inner = np.divmod(np.arange(count), parts)
    shape = [-1 if a == axis else 1 for a in range(source.ndim)]
    weight = (inner / np.float32(parts)).astype(np.float32).reshape(shape)
    right = np.minimum(left + 1, source.shape[axis] - 1)
    return mix(np.take(source, left, axis=axis), np.take(source, right, axis=axis), weight)


def mix(left: np.ndarray, right: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`left * (1 - weight) + right * weight`, the one formula behind every upsampled value."""
    mixed = np.multiply(left, 1 - weight, order="C")
    mixed += right * weight  # products and the sum are rounded apart
    return mixed


def stretch_sideways(source: np.ndarray, columns: Taps) -> np.ndarray:
    """Some source rows at the photo's width: (C, m, w) -> (C, m, W)."""
    wide = np.take(source, columns.left, axis=2)
    wide *= 1 - columns.weight
    other = np.take(source, columns.right, axis=2)
    other *= columns.weight
    wide += other
    return wide


def mix_rows(wide: np.ndarray, rows: Taps, first: int) -> np.ndarray:
    """The photo's rows from the stretched source rows: (C, m, W) -> (C, n, W).

    Args:
        wide: source rows `first` to `first + m - 1`.
        rows: the taps of the n rows wanted.
        first: the source row that `wide` begins with.
    """
    tall = np.take(wide, rows.left - first, axis=1)
    tall *= (1 - rows.weight)[:, None]
    other = np.take(wide, rows.right - first, axis=1)
    other *= rows.weight[:, None]
    tall += other
    return tall
