"""From the network's logits to a decision for every pixel of the photo, in bounded memory.

The logits are upsampled first and decided after (never the other way round), with the maths of
`torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`, a few rows at a time: for
12 megapixels and 21 classes the whole would be one gigabyte of floats. Where the photo has many
pixels for each logit, `cells` and `softmax` leave out what cannot change the answer.

The work is plain numpy on pieces that stay in a core's cache, one thread a core: torch's own argmax
over 21 classes is many times slower, and its threads cost more than such small pieces are worth.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from segmentation.cells import label_rows, rounding_bound
from segmentation.prediction_sets import set_sizes
from segmentation.ranking import put, top_two
from segmentation.softmax import arrange_columns, fill_confidence
from segmentation.upsampling import Taps, make_spans, make_taps, mix_rows, stretch_sideways

PIECE_VALUES = 1 << 18  # floats decided at a time: 1 MB
BLOCK_PIECES = 8  # pieces that share the logits stretched sideways
MAX_THREADS = 8
ENLARGED = 3  # times in both directions, from which the shortcuts pay
ENLARGED_PIXELS = 3_000_000  # and the photo's size from which they do
ENLARGED_ROWS = 192  # the photo's rows that share the work on their source rows

Decision = tuple[np.ndarray, np.ndarray, np.ndarray]
DecisionWithSets = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


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
    source = _values(logits)  # (C, h, w)
    out = empty_decision(size)
    rows, columns = make_taps(source.shape[1], size[0]), make_taps(source.shape[2], size[1])
    times = min(size[0] / source.shape[1], size[1] / source.shape[2])
    if times >= ENLARGED and size[0] * size[1] >= ENLARGED_PIXELS:
        _decide_enlarged(source, rows, columns, out)
    else:
        _decide_all(source, rows, columns, out)
    return out


def empty_decision(size: tuple[int, int]) -> Decision:
    """Room for what `decide` returns of a photo of (H, W) pixels, not filled."""
    return np.empty(size, np.uint8), np.empty(size, np.float32), np.empty(size, np.uint8)


def decide_with_sets(
    logits: torch.Tensor, size: tuple[int, int], threshold: float
) -> DecisionWithSets:
    """As `decide`, and how many classes each pixel may be.

    Args:
        logits: as for `decide`.
        size: (H, W) of the photo.
        threshold: probability from which a class is in a pixel's set, in (0, 1).

    Returns:
        class_map, confidence and runner_up as `decide` gives them, and (H, W) uint8, the size of
        each pixel's set; see `segmentation.prediction_sets`.
    """
    source = _values(logits)  # (C, h, w)
    out = empty_decision(size)
    rows, columns = make_taps(source.shape[1], size[0]), make_taps(source.shape[2], size[1])
    sets = _Sets(np.empty(size, np.uint8), threshold)
    _decide_all(source, rows, columns, out, sets)
    return *out, sets.sizes


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
    rows = Taps(*(tap[y : y + 1] for tap in make_taps(source.shape[1], size[0])))
    columns = Taps(*(tap[x : x + 1] for tap in make_taps(source.shape[2], size[1])))
    wide = stretch_sideways(source[:, rows.left[0] : rows.right[0] + 1], columns)  # (C, 1..2, 1)
    return mix_rows(wide, rows, rows.left[0])[:, 0, 0]


def _values(logits: torch.Tensor) -> np.ndarray:
    # Contiguous, as networks that work in channels_last hand their logits over so.
    return np.ascontiguousarray(logits.detach().float().cpu().numpy())


def _in_threads(work: Callable[[int], None], starts: range) -> None:
    threads = min(MAX_THREADS, torch.get_num_threads(), len(starts))
    if threads == 1:
        for top in starts:
            work(top)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, starts))


def _decide_enlarged(source: np.ndarray, rows: Taps, columns: Taps, out: Decision) -> None:
    """Fill all three maps where most pixels follow from the logits around them."""
    class_map, confidence, runner_up = out
    height, bound = len(class_map), rounding_bound(source)
    spans = make_spans(columns, source.shape[2])
    arranged = arrange_columns(columns, source.shape[2])
    piece = _piece(source, out)

    def work(top: int) -> None:
        part = slice(top, min(top + ENLARGED_ROWS, height))
        labels = class_map, runner_up
        if label_rows(source, rows, columns, spans, part, bound, labels):
            fill_confidence(source, rows, arranged, part, confidence)
        else:
            _decide_block(source, rows, columns, part, piece, out)

    _in_threads(work, range(0, height, ENLARGED_ROWS))


def _piece(source: np.ndarray, out: Decision) -> int:
    """The photo's rows whose logits make up a piece."""
    return max(1, PIECE_VALUES // (len(source) * out[0].shape[1]))


def _decide_all(
    source: np.ndarray, rows: Taps, columns: Taps, out: Decision, sets: "_Sets | None" = None
) -> None:
    """Fill all maps by upsampling every class to every pixel."""
    height = len(out[0])
    piece = _piece(source, out)
    block = piece * BLOCK_PIECES

    def work(top: int) -> None:
        part = slice(top, min(top + block, height))
        _decide_block(source, rows, columns, part, piece, out, sets)

    _in_threads(work, range(0, height, block))


class _Sets(NamedTuple):
    """The map of set sizes to fill, (H, W) uint8, and the probability that makes a member."""

    sizes: np.ndarray
    threshold: float


def _decide_block(
    source: np.ndarray,
    rows: Taps,
    columns: Taps,
    block: slice,
    piece: int,
    out: Decision,
    sets: _Sets | None = None,
) -> None:
    """Fill some rows of class map, confidence and runner-up, and of set sizes where wanted."""
    first, last = rows.left[block.start], rows.right[block.stop - 1]
    wide = stretch_sideways(source[:, first : last + 1], columns)  # (C, m, W)
    class_map, confidence, runner_up = out
    for start in range(block.start, block.stop, piece):
        part = slice(start, min(start + piece, block.stop))
        values = mix_rows(wide, Taps(*(tap[part] for tap in rows)), first)  # (C, n, W)
        class_map[part], best, runner_up[part], _ = top_two(values)
        values -= best
        put(values, class_map[part], 0)
        np.exp(values, out=values)
        total = values.sum(axis=0)
        np.reciprocal(total, out=confidence[part])
        if sets is not None:
            sets.sizes[part] = set_sizes(values, total, sets.threshold)
