"""Classes and runners-up of a much enlarged map, computed only where they can change.

Between four neighbouring logits every upsampled value is a convex combination of the four. So where
one class wins at all four corners it wins everywhere inside the cell, and where one class is second
at all four as well it is the runner-up inside. On photos some per cent of the cells are left; in
them only the classes that could reach the first two places are upsampled, with the very arithmetic
of every other path.

Rounding keeps the order of two values but may make them equal, and then the lower index would win.
Nothing is concluded, therefore, from gaps as small as rounding errors.
"""

from typing import NamedTuple

import numpy as np

from segmentation.ranking import put, top_two
from segmentation.upsampling import Spans, Taps, make_spans, mix

PIECE_VALUES = 1 << 18  # floats upsampled at a time: 1 MB
SIDE_BY_SIDE = 64  # cells at a time where there are as many: numpy is slow on short axes
LEAST_AGREED = 0.5  # share of the cells
FEW = (4, 8)  # most cells have two to four classes that matter


class _Cells(NamedTuple):
    """Some cells: where they are, and the candidates' logits at their corners."""

    row: np.ndarray  # (n,) upper source row
    column: np.ndarray  # (n,) left source column
    classes: np.ndarray  # (K, n) uint8, rising
    corners: np.ndarray  # (4, K, n): upper left, upper right, lower left, lower right


def rounding_bound(source: np.ndarray) -> float:
    """A gap between two logits that rounding cannot close.

    An upsampled value passes six roundings of at most `2**-24` of the largest logit each; two
    values that move towards each other, and a factor of two to spare, make `2**-19`.
    """
    return float(np.abs(source).max()) * 2.0**-19


def label_rows(
    source: np.ndarray,
    rows: Taps,
    columns: Taps,
    spans: Spans,
    part: slice,
    bound: float,
    out: tuple[np.ndarray, np.ndarray],
) -> bool:
    """Fill some rows of class map and runner-up, unless too many cells have to be computed.

    Args:
        source: (C, h, w) float32.
        rows: taps of all H rows.
        columns: taps of all W columns.
        spans: of the columns.
        part: the rows to fill.
        bound: see `rounding_bound`.
        out: (H, W) uint8 class map and runner-up.

    Returns:
        Whether it was done. Where most cells are undecided, upsampling everything is faster.
    """
    first, last = rows.left[part.start], rows.left[part.stop - 1]
    grid = source[:, first : last + 2]  # the rows between which the photo's rows lie
    winner, second, agreed = _agreement(grid, last - first + 1, bound)
    if np.count_nonzero(agreed) < LEAST_AGREED * agreed.size:
        return False
    at = rows.left[part] - first
    for plane, target in ((winner, out[0]), (second, out[1])):
        lines = np.take(plane, columns.left, axis=1)  # (m, W)
        np.take(lines, at, axis=0, out=target[part], mode="clip")
    local = Taps(at, rows.right[part] - first, rows.weight[part])
    target = out[0][part], out[1][part]
    row_spans = make_spans(local, len(agreed))
    for cells in _undecided(grid, ~agreed, bound):
        _decide_cells(cells, local, row_spans, columns, spans, target)
    return True


def _agreement(
    grid: np.ndarray, count: int, bound: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first two classes at each source pixel, and the cells whose corners agree on them.

    Args:
        grid: (C, m, w) logits.
        count: rows of cells: m - 1, or m where the last row is the photo's edge.
        bound: a gap that is larger than rounding errors.

    Returns:
        winner (count, w) uint8, second (count, w) uint8, agreed (count, w) bool.
    """
    values = np.array(grid, order="C")
    winner, best, second, next_best = top_two(values)
    put(values, second, -np.inf)
    clear = (best - next_best > bound) & (next_best - values.max(axis=0) > bound)
    agreed = _corners(clear, count).all(axis=0)
    for plane in (winner, second):
        corners = _corners(plane, count)
        agreed &= (corners[1:] == corners[0]).all(axis=0)
    return winner[:count], second[:count], agreed


def _corners(plane: np.ndarray, count: int) -> np.ndarray:
    """Values at the four corners of each cell, the last ones repeated: (m, w) -> (4, count, w)."""
    across = np.concatenate([plane[:, 1:], plane[:, -1:]], axis=1)
    below = slice(1, count + 1) if len(plane) > count else [*range(1, count), count - 1]
    return np.stack([plane[:count], across[:count], plane[below], across[below]])


def _undecided(grid: np.ndarray, open_: np.ndarray, bound: float) -> list[_Cells]:
    """The cells to compute, in groups by how many classes could come first or second in them.

    Args:
        grid: (C, m, w) logits.
        open_: (count, w) bool, the cells.
        bound: a gap that is larger than rounding errors.
    """
    row, column = np.nonzero(open_)
    classes, height, width = grid.shape
    below, across = np.minimum(row + 1, height - 1), np.minimum(column + 1, width - 1)
    corners = np.stack([grid[:, y, x] for y in (row, below) for x in (column, across)])  # (4, C, n)
    most, least = corners.max(axis=0), corners.min(axis=0)  # (C, n)
    # Two classes are nowhere in the cell below this; who cannot reach it is out.
    floor = np.partition(least, classes - 2, axis=0)[classes - 2]
    needed = (most >= floor - bound).sum(axis=0)
    order = np.argsort(-most, axis=0)
    groups, done = [], 0
    for size in (*(few for few in FEW if few < classes), classes):
        of_size = np.flatnonzero((needed > done) & (needed <= size))
        done = size
        if of_size.size:
            chosen = np.sort(order[:size, of_size], axis=0)  # (K, n)
            groups.append(
                _Cells(
                    row[of_size],
                    column[of_size],
                    chosen.astype(np.uint8),
                    np.stack([corner[chosen, of_size] for corner in corners]),
                )
            )
    return groups


def _decide_cells(
    cells: _Cells,
    rows: Taps,
    row_spans: Spans,
    columns: Taps,
    spans: Spans,
    out: tuple[np.ndarray, np.ndarray],
) -> None:
    """Upsample the candidates inside some cells and write who comes first and second."""
    tall, wide = row_spans.count[cells.row].max(), spans.count[cells.column].max()
    across = max(1, min(wide, PIECE_VALUES // (len(cells.classes) * tall * SIDE_BY_SIDE)))
    together = max(1, PIECE_VALUES // (len(cells.classes) * tall * across))
    for begin in range(0, len(cells.row), together):
        some = slice(begin, begin + together)
        piece = _Cells(
            cells.row[some],
            cells.column[some],
            cells.classes[:, some],
            cells.corners[:, :, some],
        )
        y, y_inside = _positions(row_spans, piece.row, 0, tall)
        for offset in range(0, wide, across):
            x, x_inside = _positions(spans, piece.column, offset, min(across, wide - offset))
            upper, lower = (
                mix(piece.corners[i][:, None], piece.corners[i + 1][:, None], columns.weight[x])
                for i in (0, 2)
            )  # (K, across, n)
            values = mix(upper[:, :, None], lower[:, :, None], rows.weight[y])
            winner, _, second, _ = top_two(values)  # (across, tall, n)
            inside = x_inside[:, None] & y_inside
            place = (y * out[0].shape[1] + x[:, None])[inside]
            cell = np.broadcast_to(np.arange(len(piece.row)), inside.shape)[inside]
            for plane, index in zip(out, (winner, second), strict=True):
                np.reshape(plane, -1, copy=False)[place] = piece.classes[index[inside], cell]


def _positions(
    spans: Spans, source: np.ndarray, offset: int, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Targets `offset` to `offset + number - 1` of each span: (number, n), and which exist."""
    steps = offset + np.arange(number)[:, None]
    count = spans.count[source]
    inside = steps < count
    return spans.start[source] + np.minimum(steps, np.maximum(count - 1, 0)), inside
