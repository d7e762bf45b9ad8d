"""The winner's softmax at every pixel of a much enlarged map, without most of the exponentials.

Softmax does not change when the same number is taken from all logits of a pixel. Taken off here is
the bilinear interpolation of each source pixel's largest logit: the rest is bilinear too, nowhere
above zero, and zero wherever one class wins at all four corners.

In a tile most classes add next to nothing to the sum. They are put together: the logarithm of their
sum (log-sum-exp) is computed at the source pixels and interpolated as one more plane. Along a line
the second derivative of log-sum-exp is the variance of the classes' slopes, at most `r**2 / 4` for
slopes in a range `r`, so that linear interpolation over one step is off by at most `r**2 / 32`, a
relative error of the part that they add. Only classes for which this bound stays below
`TAIL_ERROR` of the whole sum are treated so.
"""

from typing import NamedTuple

import numpy as np

from segmentation.upsampling import Spans, Taps, make_spans, mix, refine, refine_taps

TILE_COLUMNS = 64  # steps of a tile
PIECE_VALUES = 1 << 19  # exponentials at a time: 2 MB, as smaller calls stop other threads
STEP_PIXELS = 6  # the photo's pixels in a step
TAIL_ERROR = 2e-7
LEAST = 1e-30  # next to one it is nothing, and it has a logarithm
MOST_STEP = 60.0  # exp of it is finite, and more than any tail makes up for


class Columns(NamedTuple):
    """How the photo's columns lie between the source's: `x` is right of one by `weight[step, it]`.

    Both sources are refined until some pixels are left in each step: the smaller the steps, the
    more classes can be put together.
    """

    parts: int  # steps made of each of the source's
    spans: Spans  # the photo's columns in each step
    step: np.ndarray  # (W,) int64, which of a step's columns
    weight: np.ndarray  # (K, steps) float32 in [0, 1]; the last repeated where there are fewer


def arrange_columns(columns: Taps, source: int) -> Columns:
    """Arrange the columns so that one row of weights serves all source columns at once.

    Args:
        columns: taps of all W columns.
        source: columns of the source, w.
    """
    parts = _parts(len(columns.left), source)
    finer = refine_taps(columns, source, parts)
    spans = make_spans(finer, (source - 1) * parts + 1)
    step = np.arange(len(columns.left)) - spans.start[finer.left]
    steps = np.minimum(np.arange(spans.count.max())[:, None], np.maximum(spans.count - 1, 0))
    place = np.minimum(spans.start + steps, len(columns.left) - 1)
    return Columns(parts, spans, step, finer.weight[place])


def _parts(target: int, source: int) -> int:
    return max(1, round(target / (source * STEP_PIXELS)))


def fill_confidence(
    source: np.ndarray, rows: Taps, columns: Columns, part: slice, out: np.ndarray
) -> None:
    """Fill some rows of the confidence map.

    Args:
        source: (C, h, w) float32.
        rows: taps of all H rows.
        columns: see `arrange_columns`.
        part: the rows to fill.
        out: (H, W) float32.
    """
    first, last = rows.left[part.start], rows.right[part.stop - 1]
    parts = _parts(len(rows.left), source.shape[1])
    grid = source[:, first : last + 1] - source[:, first : last + 1].max(axis=0)  # (C, m, w)
    local = Taps(rows.left[part] - first, rows.right[part] - first, rows.weight[part])
    local = refine_taps(local, grid.shape[1], parts)
    grid = refine(refine(grid, columns.parts, axis=2), parts, axis=1)
    grid = np.concatenate([grid, grid[..., -1:]], axis=2)  # right of the last column, the same
    starts = np.arange(0, grid.shape[2] - 1, TILE_COLUMNS)
    tail, sure = _sort_classes(grid, starts)
    for index, left in enumerate(starts):
        tile = slice(left, min(left + TILE_COLUMNS, grid.shape[2] - 1))
        planes = _planes(grid[:, :, left : tile.stop + 1], tail[:, index], sure[index])
        _fill_tile(planes, sure[index] >= 0, local, columns, tile, out[part])


def _fill_tile(
    planes: np.ndarray, sure: bool, rows: Taps, columns: Columns, tile: slice, out: np.ndarray
) -> None:
    """Fill the columns of one tile; arguments as for `_shares` and `fill_confidence`."""
    start, count = columns.spans.start[tile], columns.spans.count[tile]
    if not count.any():
        return
    photo = slice(start[0], start[-1] + count[-1])
    weights = columns.weight[: count.max(), tile]
    owner = np.repeat(np.arange(len(count)), count)
    place = columns.step[photo] * len(count) + owner
    some = max(1, PIECE_VALUES // (len(planes) * weights.size + 1))
    for top in range(0, len(out), some):
        part = slice(top, top + some)
        shares = _shares(planes, sure, Taps(*(tap[part] for tap in rows)), weights)
        np.take(shares, place, axis=1, out=out[part, photo], mode="clip")


def _sort_classes(grid: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which classes only matter together, and which one wins everywhere, for each tile.

    Args:
        grid: (C, m, w + 1) logits less each pixel's largest.
        starts: (T,) the tiles' first columns.

    Returns:
        tail (C, T) bool; sure (T,) int64, the winner's index or -1 where several win.
    """
    top = _tile_max(grid.max(axis=1), starts)
    across = _tile_max(np.abs(np.diff(grid, axis=2)).max(axis=1), starts)
    down = _tile_max(np.abs(np.diff(grid, axis=1)).max(axis=1, initial=0.0), starts)
    always = (top == 0) & (_tile_max(-grid.min(axis=1), starts) == 0)
    sure = np.where(always.any(axis=0), always.argmax(axis=0), -1)
    tiles = np.arange(len(starts))
    top[sure[sure >= 0], tiles[sure >= 0]] = 1.0  # last in the order, and never in the tail
    order = np.argsort(top, axis=0)
    top, across, down = (np.take_along_axis(a, order, axis=0) for a in (top, across, down))
    # Slopes within +-g have a range of 2 g, hence (2 g)**2 / 32 = g**2 / 8 in each direction.
    slack = np.maximum.accumulate(across**2 + down**2, axis=0) / 8
    error = np.cumsum(np.exp(top), axis=0) * slack
    # The largest logit may lie below the interpolated one, by half a step at most.
    steps = np.minimum((across.max(axis=0) + down.max(axis=0)) / 2, MOST_STEP)
    error *= np.where(sure >= 0, 1, np.exp(steps))
    tail = np.empty(error.shape, bool)
    np.put_along_axis(tail, order, (error < TAIL_ERROR) & (top <= 0), axis=0)
    return tail, sure


def _tile_max(columns: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(C, w or w + 1) -> (C, T); the column at which the next tile begins counts for both."""
    ends = columns[:, np.minimum(starts + TILE_COLUMNS, columns.shape[1] - 1)]
    return np.maximum(np.maximum.reduceat(columns, starts, axis=1), ends)


def _planes(grid: np.ndarray, tail: np.ndarray, sure: int) -> np.ndarray:
    """The planes whose exponentials make up the sum in a tile: (C, m, n + 1) -> (P, m, n + 1).

    One for each class that matters, but for the winner where there is only one, as it adds one to
    the sum; and one for all others together.
    """
    kept = ~tail
    if sure >= 0:
        kept[sure] = False
    if not tail.any():
        return grid[kept]
    rest = np.exp(grid[tail]).sum(axis=0, keepdims=True)
    np.log(np.maximum(rest, np.float32(LEAST)), out=rest)
    return np.concatenate([grid[kept], rest])


def _shares(planes: np.ndarray, sure: bool, rows: Taps, weights: np.ndarray) -> np.ndarray:
    """The largest share of the sum of exponentials at each pixel of some rows of a tile.

    Args:
        planes: (P, m, n + 1) float32.
        sure: whether a plane of zeros, the winner everywhere, is left out of them.
        rows: taps of the R rows in `planes`.
        weights: (K, n) float32 of the photo's columns.

    Returns:
        (R, K * n) float32.
    """
    above, below = (np.take(planes, side, axis=1) for side in (rows.left, rows.right))
    tall = mix(above, below, rows.weight[:, None])
    # Rows and columns as one axis: numpy is slow on many short ones.
    height, (steps, width) = len(rows.left), weights.shape
    slopes = np.diff(tall, axis=2).reshape(len(tall), 1, -1)
    values = slopes * np.tile(weights, height)  # (P, K, R * n)
    values += tall[:, :, :-1].reshape(len(tall), 1, -1)
    if not sure:
        values -= values.max(axis=0)
    np.exp(values, out=values)
    total = values.sum(axis=0)
    if sure:
        total += 1
    np.reciprocal(total, out=total)
    return total.reshape(steps, height, width).swapaxes(0, 1).reshape(height, -1)
