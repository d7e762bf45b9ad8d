"""Batches of views with their targets; each depends on the seed and the step alone."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from training.common import IMAGENET_MEAN, IMAGENET_STD
from training.data.augment import (
    Augmentation,
    draw_windows,
    inside,
    jitter_colours,
    paste_rectangles,
    view_grid,
)
from training.data.canvases import Photos, canvas_grid, exchange, sample_labels, sample_pixels
from training.data.dataset import IGNORE_INDEX
from training.distillation.feature_hints import HINT_STRIDE, sample_hints
from training.optim.losses import mix_targets


class Batch(NamedTuple):
    """Views of one step and their targets.

    Attributes:
        pixels: Normalised views (N, 3, size, size) float32, zeros beyond the photos.
        targets: Class probabilities (N, C, size / stride, size / stride) float32, zeros beyond.
        hints: The teachers' standardised features (N, F, size / 16, size / 16) float32, or None.
        hinted: Which of their cells are in the photos, (N, 1, size / 16, size / 16) bool, or None.
    """

    pixels: Tensor
    targets: Tensor
    hints: Tensor | None = None
    hinted: Tensor | None = None


@dataclass
class Views:
    """Draws batches on the photos' device.

    Attributes:
        photos: Decoded photos.
        weights: How often each photo is drawn, (N,) float64 on the CPU.
        num_classes: Number of classes.
        augmentation: Ranges of the random changes.
        truth: Share of the ground truth in pixels that have a teacher's output too.
        seed: Decides a batch together with the step.
        maps: The teachers' probabilities x 255 of whole photos, (N, C, h, w) uint8, rows and
            columns exchanged like the photos', or None.
        hints: The teachers' features of whole photos, (N, F, h, w) uint8, the same, or None.
    """

    photos: Photos
    weights: Tensor
    num_classes: int
    augmentation: Augmentation
    truth: float
    seed: int
    maps: Tensor | None = None
    hints: Tensor | None = None
    scale: tuple[Tensor, Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        device = self.photos.canvases.device
        self.scale = tuple(
            torch.tensor(v, device=device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD)
        )

    def batch(
        self, step: int, count: int, size: int, stride: int, *, with_hints: bool = True
    ) -> Batch:
        """Draw the batch of a step.

        Args:
            step: Number of the step; the same step gives the same batch.
            count: Views in the batch.
            size: Side of a view in pixels.
            stride: Pixels of the view for each target.
            with_hints: Whether to return features too, if there are any.
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        shapes = self.photos.shapes[chosen]  # (N, 2), height and width of the upright photo
        theta = draw_windows(shapes, self.augmentation, generator)
        device = self.photos.canvases.device
        index, transposed, extents, theta = (
            values.to(device, non_blocking=True)
            for values in (chosen, self.photos.transposed[chosen], stored_extents(shapes), theta)
        )
        pixels = self._pixels(index, view_grid(theta, size), transposed, extents, generator)
        layers = [
            pixels,
            self._targets(index, view_grid(theta, size // stride), transposed, extents),
        ]
        if with_hints and self.hints is not None:
            grid = view_grid(theta, size)[:, ::HINT_STRIDE, ::HINT_STRIDE]
            layers.append(sample_hints(self.hints[index], exchange(grid, transposed)))
            layers.append(inside(grid)[:, None])
        if self.augmentation.cutmix:
            layers = paste_rectangles(layers, self.augmentation.cutmix, generator)
        return Batch(*layers)

    def _pixels(
        self,
        index: Tensor,
        grid: Tensor,
        transposed: Tensor,
        extents: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the views' normalised pixels, zeros beyond the photos."""
        canvases = self.photos.canvases[index]
        places = canvas_grid(exchange(grid, transposed), extents, tuple(canvases.shape[2:]))
        pixels = jitter_colours(sample_pixels(canvases, places), self.augmentation, generator)
        mean, deviation = self.scale
        return (pixels - mean) / deviation * inside(grid)[:, None]

    def _targets(self, index: Tensor, grid: Tensor, transposed: Tensor, extents: Tensor) -> Tensor:
        """Return the target of each cell, (N, C, h, w), zeros beyond the photos."""
        seen = inside(grid)
        masks = self.photos.masks[self.photos.rows[index]]
        stored = exchange(grid, transposed)
        labels = sample_labels(masks, canvas_grid(stored, extents, tuple(masks.shape[1:])))
        labels = labels.where(seen, IGNORE_INDEX)
        outputs = None
        if self.maps is not None:
            outputs = sample_maps(self.maps[index], stored) * seen[:, None]
        return mix_targets(labels, outputs, self.num_classes, self.truth)


def stored_extents(shapes: Tensor) -> Tensor:
    """Return height and width on the canvas of photos of `shapes` (N, 2), shorter side first."""
    return torch.stack([shapes.amin(1), shapes.amax(1)], 1)


def sample_maps(maps: Tensor, grid: Tensor) -> Tensor:
    """Cut the views' windows out of the teachers' maps.

    Args:
        maps: (N, C, h, w) uint8, from edge to edge of the photos.
        grid: (N, H, W, 2) in [-1, 1], the places of the views' cells in the photo.

    Returns:
        Probabilities (N, C, H, W) float32 that add up to one.
    """
    values = torch.nn.functional.grid_sample(
        maps.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return values / values.sum(1, keepdim=True).clamp(min=1e-6)
