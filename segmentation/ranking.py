"""The largest and the second largest of several planes, lowest index first where equal."""

import numpy as np


def top_two(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Winner and runner-up of each pixel.

    Args:
        values: (C, ...) float32, C from 2 to 256, all finite; afterwards -inf at each winner.

    Returns:
        winner: (...) uint8, the lowest index with the largest value.
        best: (...) float32, that value.
        runner_up: (...) uint8, the same among the others.
        second: (...) float32, its value.
    """
    best = values.max(axis=0)
    winner = first_equal(values, best)
    put(values, winner, -np.inf)
    second = values.max(axis=0)
    return winner, best, first_equal(values, second), second


def first_equal(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The lowest index whose value is `best`: (C, ...) and (...) -> (...) uint8.

    Bytes and no indices: an order faster than argmax along the first axis.
    """
    equal = np.equal(values, best).view(np.uint8)
    codes = 255 - np.arange(len(values), dtype=np.uint8)  # the lower the index, the greater
    equal *= codes.reshape(-1, *[1] * best.ndim)
    return np.subtract(np.uint8(255), equal.max(axis=0))


def put(values: np.ndarray, index: np.ndarray, value: float) -> None:
    """Set `values[index[p], p] = value` for every pixel p; `values` must be contiguous."""
    place = index.ravel().astype(np.int64) * index.size + np.arange(index.size)
    np.reshape(values, -1, copy=False)[place] = value
