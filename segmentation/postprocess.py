"""From the network's logits to a decision for every pixel of the photo, in bounded memory.

The logits are upsampled first and decided after (never the other way round), with the maths of
`torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`, a few rows at a time: for
12 megapixels and 21 classes the whole would be one gigabyte of floats. The work is plain numpy on
pieces that stay in a core's cache, one thread a core: torch's own argmax over 21 classes is
many times slower, and its threads cost more than such small pieces are worth.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

PIECE_VALUES = 1 << 18  # floats decided at a time: 1 MB
BLOCK_PIECES = 8  # pieces that share the logits stretched sideways
MAX_THREADS = 8


class Taps(NamedTuple):
    """Where each target position looks in the source: two neighbours and the second's weight."""

    left: np.ndarray  # (target,) int64
    right: np.ndarray  # (target,) int64
    weight: np.ndarray  # (target,) float32 in [0, 1]


def decide(
    logits: torch.Tensor, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upsample logits to the photo and decide each pixel.

    Args:
        logits: (C, h, w) finite floats, C from 2 to 256, at any resolution.
        size: (H, W) of the photo.

    Returns:
        class_map: (H, W) uint8, the winning class; the lowest index where several are equal.
        confidence: (H, W) float32 in (0, 1], the winner's softmax over all C classes.
        runner_up: (H, W) uint8, the class with the second largest logit.
    """
    height, width = size
    source = _values(logits)  # (C, h, w)
    out = np.empty(size, np.uint8), np.empty(size, np.float32), np.empty(size, np.uint8)
    rows, columns = _taps(source.shape[1], height), _taps(source.shape[2], width)
    piece = max(1, PIECE_VALUES // (len(source) * width))
    block = piece * BLOCK_PIECES

    def work(top: int) -> None:
        _decide_block(source, rows, columns, top, min(top + block, height), piece, out)

    starts = range(0, height, block)
    threads = min(MAX_THREADS, torch.get_num_threads(), len(starts))
    if threads == 1:
        for top in starts:
            work(top)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, starts))
    return out


def pixel_logits(logits: torch.Tensor, size: tuple[int, int], y: int, x: int) -> np.ndarray:
    """The upsampled logits of one pixel, with the very arithmetic of `decide`.

    Args:
        logits: (C, h, w) floats.
        size: (H, W) of the photo.
        y: row in [0, H).
        x: column in [0, W).

    Returns:
        (C,) float32; its largest entry is the class that `decide` gave the pixel.
    """
    source = _values(logits)
    rows = Taps(*(tap[y : y + 1] for tap in _taps(source.shape[1], size[0])))
    columns = Taps(*(tap[x : x + 1] for tap in _taps(source.shape[2], size[1])))
    wide = _stretch_sideways(source[:, rows.left[0] : rows.right[0] + 1], columns)  # (C, 1..2, 1)
    return _mix_rows(wide, rows, rows.left[0])[:, 0, 0]


def _values(logits: torch.Tensor) -> np.ndarray:
    return logits.detach().float().cpu().numpy()


def _taps(source: int, target: int) -> Taps:
    """Half-pixel centres, clamped at the edges: what `align_corners=False` means."""
    scale = np.float32(source) / np.float32(target)
    position = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    position = np.maximum(position, np.float32(0))
    left = np.minimum(position.astype(np.int64), source - 1)
    right = np.minimum(left + 1, source - 1)
    return Taps(left, right, np.minimum(position - left.astype(np.float32), np.float32(1)))


def _stretch_sideways(source: np.ndarray, columns: Taps) -> np.ndarray:
    """Some source rows at the photo's width: (C, m, w) -> (C, m, W)."""
    wide = np.take(source, columns.left, axis=2)
    wide *= 1 - columns.weight
    other = np.take(source, columns.right, axis=2)
    other *= columns.weight
    wide += other  # products and the sum are rounded apart, so every path gives the same bits
    return wide


def _mix_rows(wide: np.ndarray, rows: Taps, first: int) -> np.ndarray:
    """The photo's rows from the stretched source rows: (C, m, W) -> (C, n, W)."""
    tall = np.take(wide, rows.left - first, axis=1)
    tall *= (1 - rows.weight)[:, None]
    other = np.take(wide, rows.right - first, axis=1)
    other *= rows.weight[:, None]
    tall += other
    return tall


def _decide_block(
    source: np.ndarray,
    rows: Taps,
    columns: Taps,
    top: int,
    bottom: int,
    piece: int,
    out: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Fill rows `top` to `bottom` of class map, confidence and runner-up."""
    first, last = rows.left[top], rows.right[bottom - 1]
    wide = _stretch_sideways(source[:, first : last + 1], columns)  # (C, m, W)
    class_map, confidence, runner_up = out
    for start in range(top, bottom, piece):
        part = slice(start, min(start + piece, bottom))
        values = _mix_rows(wide, Taps(*(tap[part] for tap in rows)), first)  # (C, n, W)
        best = values.max(axis=0)  # (n, W)
        winner = _first_equal(values, best)
        class_map[part] = winner
        place = winner.ravel().astype(np.int64) * winner.size + np.arange(winner.size)
        values -= best
        values.ravel()[place] = -np.inf
        runner_up[part] = _first_equal(values, values.max(axis=0))
        values.ravel()[place] = 0
        np.exp(values, out=values)
        np.reciprocal(values.sum(axis=0), out=confidence[part])


def _first_equal(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The lowest class whose value is `best`: (C, n, W) and (n, W) -> (n, W) uint8.

    Bytes and no indices: an order faster than argmax along the first axis.
    """
    code = np.zeros(best.shape, np.uint8)
    for index, plane in enumerate(values):
        equal = np.equal(plane, best).view(np.uint8)
        equal *= np.uint8(255 - index)
        np.maximum(code, equal, out=code)
    return np.subtract(np.uint8(255), code)
