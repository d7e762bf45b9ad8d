"""Compute a pixel's receptive field: theoretical from the layers, effective from gradients.

The theoretical receptive field tracks every operation of a forward pass. For each row and column of
each feature map it records the first and last row and column of the input that reach it. The
effective receptive field (arXiv 1701.04128) is the gradient of the pixel's logit with respect to
the input: how much each input pixel changes the logit.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from segmentation.errors import ExplainError
from segmentation.explain.receptive_field_tracker import InputRange, ReceptiveFieldTracker

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Sample:
    """The logits' cells that bilinear upsampling reads for one pixel, and their weights.

    Attributes:
        rows, columns: two neighbouring indices each; equal at an edge.
        weights: (2, 2), indexed by row and column, with sum 1.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    weights: tuple[tuple[float, float], tuple[float, float]]


def sample_at(pixel: tuple[int, int], grid: tuple[int, int], photo_size: tuple[int, int]) -> Sample:
    """Return the cells that bilinear upsampling (half-pixel centres) reads for a pixel.

    Args:
        pixel: (y, x) in the photo.
        grid: (h, w) of the logits.
        photo_size: (H, W) of the photo.

    Raises:
        ExplainError: the pixel is outside the photo.
    """
    (top, bottom, below), (left, right, beside) = (
        _neighbours(at, cells, pixels)
        for at, cells, pixels in zip(pixel, grid, photo_size, strict=True)
    )
    weights = (
        ((1 - below) * (1 - beside), (1 - below) * beside),
        (below * (1 - beside), below * beside),
    )
    return Sample((top, bottom), (left, right), weights)


def _neighbours(at: int, cells: int, pixels: int) -> tuple[int, int, float]:
    if not 0 <= at < pixels:
        raise ExplainError(f"position {at} lies outside the photo, which has {pixels}")
    position = max(0.0, (at + 0.5) * cells / pixels - 0.5)
    first = min(int(position), cells - 1)
    return first, min(first + 1, cells - 1), min(position - first, 1.0)


def effective_receptive_field(
    network: nn.Module,
    batch: Tensor,
    pixel: tuple[int, int],
    photo_size: tuple[int, int],
    index: int,
) -> np.ndarray:
    """Return how much each input pixel changes the logit of one class at one pixel.

    Args:
        network: maps a batch to {"out": logits}.
        batch: the preprocessed photo, (1, 3, h, w).
        pixel: (y, x) in the photo.
        photo_size: (H, W) of the photo.
        index: class of the logit.

    Returns:
        (h, w) float32: the absolute gradient summed over the colour channels and normalised to
        sum 1. All zero if no pixel changes the logit.

    Raises:
        ExplainError: the network provides no gradient, or the pixel is outside the photo.
    """
    inputs = batch.detach().clone().requires_grad_(True)
    try:
        with torch.enable_grad():
            logits = network(inputs)["out"][0]  # (C, h', w')
            sample = sample_at(pixel, logits.shape[-2:], photo_size)
            value = sum(
                weight * logits[index, row, column]
                for row, row_weights in zip(sample.rows, sample.weights, strict=True)
                for column, weight in zip(sample.columns, row_weights, strict=True)
            )
            (gradient,) = torch.autograd.grad(value, inputs)
    except RuntimeError as error:
        raise ExplainError(
            "this model provides no gradient, so the influence of each pixel cannot be computed "
            f"({str(error).splitlines()[0][:120]})"
        ) from error
    field = gradient[0].abs().sum(dim=0).double().cpu()  # (h, w)
    total = field.sum()
    return (field / total if total > 0 else field).float().numpy()


def theoretical_receptive_field(
    network: nn.Module,
    batch: Tensor,
    pixel: tuple[int, int],
    photo_size: tuple[int, int],
    *,
    pooling: bool = True,
) -> Box | None:
    """Return the box of all input pixels from which a path leads to the logits of one pixel.

    Tracks kernel, stride, padding and dilation of every operation on every path.

    Args:
        network: maps a batch to {"out": logits}.
        batch: (1, 3, h, w); only its size matters.
        pixel: (y, x) in the photo.
        photo_size: (H, W) of the photo.
        pooling: False ignores paths through a mean over a full feature map (image pooling,
            squeeze-and-excite), which read every pixel, and leaves the convolutions' field.

    Returns:
        (top, left, bottom, right) in pixels of the batch, half-open and clipped to it; None if no
        path remains.

    Raises:
        ExplainError: the logits cannot be tracked, or the pixel is outside the photo.
    """
    tracker = ReceptiveFieldTracker(pooling=pooling)
    inputs = batch.detach().clone()
    with torch.no_grad(), tracker:
        tracker.follow(inputs, InputRange.of_input(inputs.shape[-2], inputs.shape[-1]))
        logits = network(inputs)["out"]
    ranges = tracker.ranges_of(logits)
    sample = sample_at(pixel, logits.shape[-2:], photo_size)
    weights = np.array(sample.weights)
    bounds = []
    for spans, cells, axis in ((ranges.rows, sample.rows, 1), (ranges.columns, sample.columns, 0)):
        used = np.array(cells)[weights.sum(axis=axis) > 0]  # a neighbour of weight 0 is not read
        first, last = spans[used, 0].min(), spans[used, 1].max()
        if first > last:
            return None
        bounds.append((int(first), int(last) + 1))
    (top, bottom), (left, right) = bounds
    return top, left, bottom, right


def energy_box(field: np.ndarray, share: float = 0.9) -> Box:
    """Return the box that contains this share of the field along each axis, with equal tails.

    Args:
        field: (h, w) of non-negative values.
        share: share of the field's sum along each axis, in (0, 1].

    Returns:
        (top, left, bottom, right), half-open; the full field if its sum is 0.
    """
    bounds = []
    for axis in (1, 0):
        cumulative = np.cumsum(field.sum(axis=axis, dtype=np.float64))
        if cumulative[-1] <= 0:
            return 0, 0, field.shape[0], field.shape[1]
        tail = (1 - share) / 2
        first = int(np.searchsorted(cumulative / cumulative[-1], tail, side="right"))
        last = int(np.searchsorted(cumulative / cumulative[-1], 1 - tail, side="left"))
        bounds.append((first, min(last, len(cumulative) - 1) + 1))
    (top, bottom), (left, right) = bounds
    return top, left, bottom, right


def scale_box(box: Box, size: tuple[int, int], onto: tuple[int, int]) -> Box:
    """Convert a box from an image of `size` (h, w) to the same image at the size `onto`."""
    top, left, bottom, right = box
    (h, w), (height, width) = size, onto
    return (
        round(top * height / h),
        round(left * width / w),
        round(bottom * height / h),
        round(right * width / w),
    )
