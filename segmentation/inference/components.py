"""Find the connected regions of a class map with runs and union-find, in numpy."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Component:
    """A connected set of pixels of one class.

    Attributes:
        index: the class.
        box: (top, left, bottom, right), half-open.
        pixels: number of pixels.
        crop: (bottom - top, right - left) bool, the mask inside the box.
    """

    index: int
    box: tuple[int, int, int, int]
    pixels: int
    crop: np.ndarray


def label_components(
    class_map: np.ndarray, *, skip: int | None = None, min_pixels: int = 1
) -> list[Component]:
    """Find the connected components of equal class (4-connectivity).

    Args:
        class_map: (H, W) uint8.
        skip: a class to leave out, or None.
        min_pixels: smallest component to return.

    Returns:
        Components, largest first; those of equal size from top to bottom, then left to right.
    """
    starts, lengths, ids = _runs(class_map)
    roots = _union(len(starts), *_touching(class_map, ids))
    width = class_map.shape[1]
    flat = class_map.ravel()
    pixels = np.bincount(roots, lengths, minlength=len(starts)).astype(np.int64)
    selected = pixels >= min_pixels
    selected[roots != np.arange(len(roots))] = False
    if skip is not None:
        selected &= flat[starts] != skip
    order = np.flatnonzero(selected)
    order = order[np.argsort(-pixels[order], kind="stable")]
    rank = np.full(len(starts), -1, np.int64)
    rank[order] = np.arange(len(order))
    member = rank[roots]  # index of each run's component in the result, or -1
    runs = np.flatnonzero(member >= 0)
    runs = runs[np.argsort(member[runs], kind="stable")]
    bounds = np.searchsorted(member[runs], np.arange(len(order) + 1))
    components = []
    for i, root in enumerate(order):
        own = runs[bounds[i] : bounds[i + 1]]
        box, crop = _draw(starts[own], lengths[own], width)
        components.append(Component(int(flat[starts[root]]), box, int(pixels[root]), crop))
    return components


def _runs(class_map: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return runs of equal class along rows: flat start, length, and each pixel's run (H, W)."""
    new = np.ones(class_map.shape, bool)
    np.not_equal(class_map[:, 1:], class_map[:, :-1], out=new[:, 1:])
    starts = np.flatnonzero(new)
    lengths = np.diff(starts, append=class_map.size)
    ids = np.cumsum(new, dtype=np.int32).reshape(class_map.shape)
    ids -= 1
    return starts, lengths, ids


def _touching(class_map: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of runs of equal class that touch vertically: upper and lower indices."""
    same = class_map[1:] == class_map[:-1]  # (H - 1, W)
    # a pair of runs touches along many pixels: take the first of each stretch
    repeat = same[:, 1:] & same[:, :-1]
    repeat &= (ids[1:, 1:] == ids[1:, :-1]) & (ids[:-1, 1:] == ids[:-1, :-1])
    same[:, 1:] &= ~repeat
    return ids[:-1][same], ids[1:][same]


def _union(count: int, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return the smallest run in each run's component, by hooking roots and halving paths."""
    parent = np.arange(count, dtype=np.int32)
    while len(upper):
        a, b = parent[upper], parent[lower]
        differ = a != b
        upper, lower, a, b = upper[differ], lower[differ], a[differ], b[differ]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            shorter = parent[parent]
            if np.array_equal(shorter, parent):
                break
            parent = shorter
    return parent


def _draw(
    starts: np.ndarray, lengths: np.ndarray, width: int
) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """Return the box of a set of runs and the mask inside it."""
    rows, lefts = np.divmod(starts, width)
    rights = lefts + lengths
    top, left = int(rows.min()), int(lefts.min())
    bottom, right = int(rows.max()) + 1, int(rights.max())
    # +1 at the start of a run, -1 past its end: the cumulative sum is the mask
    edges = np.zeros((bottom - top, right - left + 1), np.int8)
    edges[rows - top, lefts - left] = 1
    edges[rows - top, rights - left] -= 1
    return (top, left, bottom, right), np.cumsum(edges, axis=1, dtype=np.int8)[:, :-1] > 0
