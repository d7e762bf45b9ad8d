"""From the network's logits to a decision for every pixel of the photo, in bounded memory.

The logits are upsampled first and decided after (never the other way round), with the maths of
`torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`, a strip of rows at a time:
for a 12-megapixel photo and 21 classes the whole would be one gigabyte of floats.
"""

import numpy as np
import torch

STRIP_VALUES = 1 << 18  # floats in one upsampled strip: 1 MB, about a core's share of the cache


def decide(
    logits: torch.Tensor, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upsample logits to the photo and decide each pixel.

    Args:
        logits: (C, h, w) float, C from 2 to 256, at any resolution.
        size: (H, W) of the photo.

    Returns:
        class_map: (H, W) uint8, the winning class.
        confidence: (H, W) float32 in (0, 1], the winner's softmax over all C classes.
        runner_up: (H, W) uint8, the class with the second largest logit.
    """
    height, width = size
    logits = logits.float().cpu()
    class_map = np.empty((height, width), np.uint8)
    confidence = np.empty((height, width), np.float32)
    runner_up = np.empty((height, width), np.uint8)
    rows = max(1, STRIP_VALUES // (logits.shape[0] * width))
    columns = _taps(logits.shape[2], width)
    with torch.inference_mode():
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            strip = _upsample_rows(logits, columns, top, bottom, height)  # (C, n, W)
            first, second, share = _top_two(strip)  # each (n, W)
            class_map[top:bottom] = first.numpy()
            runner_up[top:bottom] = second.numpy()
            confidence[top:bottom] = share.numpy()
    return class_map, confidence, runner_up


def pixel_logits(logits: torch.Tensor, size: tuple[int, int], y: int, x: int) -> torch.Tensor:
    """The upsampled logits of one pixel, with the very arithmetic of `decide`.

    Args:
        logits: (C, h, w) float32.
        size: (H, W) of the photo.
        y: row in [0, H).
        x: column in [0, W).

    Returns:
        (C,) float32; its largest entry is the class that `decide` gave the pixel.
    """
    height, width = size
    columns = tuple(tap[x : x + 1] for tap in _taps(logits.shape[2], width))
    with torch.inference_mode():
        return _upsample_rows(logits.float().cpu(), columns, y, y + 1, height)[:, 0, 0]


def _taps(source: int, target: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each of `target` positions: left and right neighbour in `source`, and the right's weight.

    Half-pixel centres, clamped at the edges: `align_corners=False`.
    """
    scale = np.float32(source) / np.float32(target)
    position = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    position = np.maximum(position, np.float32(0))
    left = np.minimum(position.astype(np.int64), source - 1)
    right = np.minimum(left + 1, source - 1)
    weight = np.minimum(position - left.astype(np.float32), np.float32(1))
    return torch.from_numpy(left), torch.from_numpy(right), torch.from_numpy(weight)


def _upsample_rows(
    logits: torch.Tensor,
    columns: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    top: int,
    bottom: int,
    height: int,
) -> torch.Tensor:
    """Rows `top` to `bottom` of the upsampled logits: (C, h, w) -> (C, bottom - top, W).

    Sideways on the few source rows first, then down. Products and sums are separate steps, so that
    a pixel's value does not depend on the strip it came in.
    """
    above, below, weight = (tap[top:bottom] for tap in _taps(logits.shape[1], height))
    first, last = int(above[0]), int(below[-1])
    source = logits[:, first : last + 1]  # (C, m, w)
    left, right, share = columns
    wide = source.index_select(2, left).mul_(1 - share)  # (C, m, W)
    wide.add_(source.index_select(2, right).mul_(share))
    weight = weight[:, None]  # (n, 1)
    tall = wide.index_select(1, above - first).mul_(1 - weight)  # (C, n, W)
    return tall.add_(wide.index_select(1, below - first).mul_(weight))


def _top_two(strip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Winner, runner-up and the winner's softmax: (C, n, W) -> three of (n, W)."""
    best, first = strip.max(0)
    total = strip.sub(best).exp_().sum(0)  # (n, W), at least 1
    strip.scatter_(0, first[None], float("-inf"))
    second = strip.argmax(0)
    return first.to(torch.uint8), second.to(torch.uint8), total.reciprocal_()
