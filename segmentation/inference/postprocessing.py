"""Decide every pixel of a photo from the network's logits, in bounded memory.

The logits are upsampled before the classes are decided, with the arithmetic of
`torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`, a few rows at a time: for
12 megapixels and 21 classes, all upsampled logits would take one gigabyte. Products and sums are
rounded one by one and always in the same order (columns, then rows), so that `pixel_logits` gives
a pixel the same bits as `decide`.

The work is plain numpy on strips that fit in a core's cache, one thread per core. Torch's argmax
over 21 classes is many times slower, and its threads cost more than they save on such small strips.

A pixel's prediction set has every class whose probability reaches a threshold. The threshold is
measured on validation photos (`training/calibration.py`), so that 95 % of the sets contain the true
class (least ambiguous sets: Sadinle, Lei, Wasserman, arXiv 1609.00451). If no class reaches it, the
set has the two most likely classes, so that such a pixel counts as unsure too.
"""

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

STRIP_VALUES = 1 << 18  # floats decided at a time: 1 MB
BLOCK_STRIPS = 8  # strips that share logits upsampled to the photo's width
MAX_THREADS = 8
FALLBACK_CLASSES = 2
"""Size of a pixel's prediction set if no class reaches the threshold."""

Decision = tuple[np.ndarray, np.ndarray, np.ndarray]
DecisionWithSets = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class InterpolationIndices(NamedTuple):
    """The two source neighbours of each target position, and the weight of the second."""

    left: np.ndarray  # (target,) int64, non-decreasing
    right: np.ndarray  # (target,) int64
    weight: np.ndarray  # (target,) float32 in [0, 1]

    def part(self, positions: slice) -> "InterpolationIndices":
        """Return the indices of some of the target positions."""
        return InterpolationIndices(*(array[positions] for array in self))


def decide(logits: torch.Tensor, size: tuple[int, int]) -> Decision:
    """Upsample logits to the photo and decide each pixel.

    Args:
        logits: (C, h, w) finite floats, C from 2 to 256, at any resolution.
        size: (H, W) of the photo.

    Returns:
        class_map: (H, W) uint8, the winning class; the lowest index where several are equal.
        confidence: (H, W) float32 in (0, 1], the winner's softmax over all C classes, to about
            2e-6.
        runner_up: (H, W) uint8, the class with the second largest logit.
    """
    class_map, confidence, runner_up, _ = _decide_all(logits, size)
    return class_map, confidence, runner_up


def decide_with_sets(
    logits: torch.Tensor, size: tuple[int, int], threshold: float
) -> DecisionWithSets:
    """Decide each pixel as `decide` does, and count the classes in its prediction set.

    Args:
        logits: as for `decide`.
        size: (H, W) of the photo.
        threshold: minimum probability of a class in a pixel's set, in (0, 1).

    Returns:
        class_map, confidence, runner_up: as from `decide`.
        sizes: (H, W) uint8, the size of each pixel's set; see `set_sizes`.
    """
    return _decide_all(logits, size, threshold)


def pixel_logits(logits: torch.Tensor, size: tuple[int, int], y: int, x: int) -> np.ndarray:
    """Return the upsampled logits of one pixel, with the same bits as in `decide`.

    Args:
        logits: (C, h, w) floats.
        size: (H, W) of the photo.
        y: row in [0, H).
        x: column in [0, W).

    Returns:
        (C,) float32; the index of the largest is the class that `decide` gives the pixel.
    """
    source = _to_numpy(logits)
    rows = interpolation_indices(source.shape[1], size[0]).part(slice(y, y + 1))
    columns = interpolation_indices(source.shape[2], size[1]).part(slice(x, x + 1))
    wide = _upsample_columns(source[:, rows.left[0] : rows.right[0] + 1], columns)  # (C, 1..2, 1)
    return _upsample_rows(wide, rows, rows.left[0])[:, 0, 0]


def interpolation_indices(source: int, target: int) -> InterpolationIndices:
    """Return the indices for half-pixel centres clamped at the edges (`align_corners=False`)."""
    scale = np.float32(source) / np.float32(target)
    position = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    position = np.maximum(position, np.float32(0))
    left = np.minimum(position.astype(np.int64), source - 1)
    right = np.minimum(left + 1, source - 1)
    weight = np.minimum(position - left.astype(np.float32), np.float32(1))
    return InterpolationIndices(left, right, weight)


def argmax_first(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return the lowest index whose value is `best`: (C, ...) and (...) -> (...) uint8.

    Computed with bytes instead of 64-bit indices: an order of magnitude faster than `argmax` along
    axis 0.
    """
    equal = np.equal(values, best).view(np.uint8)
    codes = 255 - np.arange(len(values), dtype=np.uint8)  # the lower the index, the greater
    equal *= codes.reshape(-1, *[1] * best.ndim)
    return np.subtract(np.uint8(255), equal.max(axis=0))


def _to_numpy(logits: torch.Tensor) -> np.ndarray:
    # contiguous, because networks that compute in channels_last return their logits in that order
    return np.ascontiguousarray(logits.detach().float().cpu().numpy())


def _decide_all(
    logits: torch.Tensor, size: tuple[int, int], threshold: float | None = None
) -> DecisionWithSets:
    """Compute all maps of a photo in blocks of rows, several blocks in parallel."""
    height, width = size
    source = _to_numpy(logits)  # (C, h, w)
    rows = interpolation_indices(source.shape[1], height)
    columns = interpolation_indices(source.shape[2], width)
    strip = max(1, STRIP_VALUES // (len(source) * width))  # rows of the photo
    block = strip * BLOCK_STRIPS
    types = (np.uint8, np.float32, np.uint8, np.uint8)
    maps = tuple(np.empty(size, dtype) for dtype in types)
    decide_block = functools.partial(_decide_block, source, rows, columns, strip, maps, threshold)
    parts = [slice(top, min(top + block, height)) for top in range(0, height, block)]
    threads = min(MAX_THREADS, torch.get_num_threads(), len(parts))
    if threads == 1:
        for part in parts:
            decide_block(part)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(decide_block, parts))
    return maps


def _decide_block(
    source: np.ndarray,
    rows: InterpolationIndices,
    columns: InterpolationIndices,
    strip: int,
    maps: DecisionWithSets,
    threshold: float | None,
    block: slice,
) -> None:
    """Fill a block of rows of the maps; set sizes are filled only with a threshold."""
    first, last = rows.left[block.start], rows.right[block.stop - 1]
    wide = _upsample_columns(source[:, first : last + 1], columns)  # (C, m, W)
    class_map, confidence, runner_up, sizes = maps
    for start in range(block.start, block.stop, strip):
        part = slice(start, min(start + strip, block.stop))
        values = _upsample_rows(wide, rows.part(part), first)  # (C, n, W)
        best = values.max(axis=0)
        class_map[part] = argmax_first(values, best)
        _set_at(values, class_map[part], -np.inf)
        runner_up[part] = argmax_first(values, values.max(axis=0))
        values -= best
        _set_at(values, class_map[part], 0)
        np.exp(values, out=values)
        total = values.sum(axis=0)
        np.reciprocal(total, out=confidence[part])
        if threshold is not None:
            sizes[part] = set_sizes(values, total, threshold)


def _upsample_columns(source: np.ndarray, columns: InterpolationIndices) -> np.ndarray:
    """Upsample source rows to the photo's width: (C, m, w) -> (C, m, W)."""
    wide = np.take(source, columns.left, axis=2)
    wide *= 1 - columns.weight
    right = np.take(source, columns.right, axis=2)
    right *= columns.weight
    wide += right
    return wide


def _upsample_rows(wide: np.ndarray, rows: InterpolationIndices, first: int) -> np.ndarray:
    """Upsample rows of the photo's width to its height: (C, m, W) -> (C, n, W).

    Args:
        wide: source rows `first` to `first + m - 1`.
        rows: indices of the n rows to compute.
        first: index of the first source row in `wide`.
    """
    tall = np.take(wide, rows.left - first, axis=1)
    tall *= (1 - rows.weight)[:, None]
    lower = np.take(wide, rows.right - first, axis=1)
    lower *= rows.weight[:, None]
    tall += lower
    return tall


def _set_at(values: np.ndarray, index: np.ndarray, value: float) -> None:
    """Set `values[index[p], p] = value` for every pixel p; `values` must be contiguous."""
    flat_index = index.ravel().astype(np.int64) * index.size + np.arange(index.size)
    np.reshape(values, -1, copy=False)[flat_index] = value


def prediction_set(probabilities: np.ndarray, threshold: float) -> tuple[int, ...]:
    """Return the class indices of one pixel's prediction set, most likely first.

    Args:
        probabilities: (C,) floats with sum 1.
        threshold: in (0, 1).
    """
    order = np.argsort(-probabilities, kind="stable")
    size = int(set_sizes(probabilities[:, None], np.float32(1), threshold)[0])
    return tuple(order[:size].tolist())


def set_sizes(weights: np.ndarray, total: np.ndarray, threshold: float) -> np.ndarray:
    """Count the classes in each pixel's prediction set.

    Args:
        weights: (C, ...) floats proportional to the probabilities, such as exponentials of logits.
        total: (...) their sum over C.
        threshold: in (0, 1), of the probabilities.

    Returns:
        (...) uint8, at least 1.
    """
    likely = weights >= np.asarray(total * np.float32(threshold))
    sizes = likely.sum(axis=0, dtype=np.uint8)
    sizes[sizes == 0] = FALLBACK_CLASSES
    return sizes
