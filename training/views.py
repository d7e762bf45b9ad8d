"""Batches of views with their targets, each a function of the seed and the step alone."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.augment import (
    Augmentation,
    draw_windows,
    jitter_colours,
    paste_rectangles,
    sample_labels,
    sample_pixels,
    view_grid,
)
from training.data import Photos
from training.hints import HINT_STRIDE, sample_hints
from training.losses import mix_targets
from training.setup import IMAGENET_MEAN, IMAGENET_STD
from training.teacher import Teacher, sample_maps


class Batch(NamedTuple):
    """Views of one step and what is to be learnt from them.

    Attributes:
        pixels: Normalised views (N, 3, size, size) float32.
        targets: Class probabilities (N, C, size / stride, size / stride) float32.
        hints: The teacher's standardised features (N, F, size / 16, size / 16) float32, or None.
    """

    pixels: Tensor
    targets: Tensor
    hints: Tensor | None = None


@dataclass
class Views:
    """Draws batches.

    Attributes:
        photos: Decoded photos, on the device that augments.
        weights: How often each photo is drawn, (N,) float64.
        num_classes: Number of classes.
        augmentation: How far a view is from its photo.
        truth: Share of the ground truth where a teacher has an opinion too.
        seed: First of the two numbers that decide a batch; the step is the other.
        maps: The teacher's opinion of whole photos, (N, C, h, w) uint8, or None.
        maps_aligned: Whether the maps' corners lie on the photos' corners.
        hints: The teacher's features of whole photos, (N, C, h, w) uint8, or None.
        hints_aligned: The same for the hints.
        teacher: Asked about each view instead, at twice the view's size, or None.
    """

    photos: Photos
    weights: Tensor
    num_classes: int
    augmentation: Augmentation
    truth: float
    seed: int
    maps: np.ndarray | None = None
    maps_aligned: bool = False
    hints: np.ndarray | None = None
    hints_aligned: bool = False
    teacher: Teacher | None = None

    def batch(self, step: int, count: int, size: int, stride: int) -> Batch:
        """Draw the batch of a step.

        Args:
            step: Number of the step: the same step gives the same batch.
            count: Views in the batch.
            size: Side of a view in pixels.
            stride: Pixels of the view for each target.

        Returns:
            Views, targets and hints.
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        device = self.photos.canvases.device
        index = chosen.to(device)
        theta = draw_windows(self.photos.aspects.cpu()[chosen], self.augmentation, generator)
        theta = theta.to(device)
        canvases = self.photos.canvases[index]
        pixels = sample_pixels(canvases, view_grid(theta, size))
        pixels = jitter_colours(pixels, self.augmentation, generator)
        coarse = view_grid(theta, size // stride)
        labels = sample_labels(self.photos.masks[index], coarse)
        targets = mix_targets(
            labels, self._opinions(chosen, canvases, theta, coarse), self.num_classes, self.truth
        )
        layers = [pixels, targets]
        if self.hints is not None:
            layers.append(self._features(chosen, view_grid(theta, size)))
        if self.augmentation.cutmix:
            layers = paste_rectangles(layers, self.augmentation.cutmix, generator)
        mean, std = (
            torch.tensor(v, device=device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD)
        )
        return Batch((layers[0] - mean) / std, *layers[1:])

    def _features(self, chosen: Tensor, grid: Tensor) -> Tensor:
        """The teacher's features of the views, where the student's lie: on each 16th pixel."""
        hints = torch.from_numpy(self.hints[chosen.numpy()]).to(grid.device)
        cells = grid[:, ::HINT_STRIDE, ::HINT_STRIDE]
        return sample_hints(hints, cells, aligned=self.hints_aligned)

    def _opinions(
        self, chosen: Tensor, canvases: Tensor, theta: Tensor, coarse: Tensor
    ) -> Tensor | None:
        """What the teacher gives to the views, (N, C, h, w), or None without a teacher."""
        if self.maps is not None:
            maps = torch.from_numpy(self.maps[chosen.numpy()]).to(coarse.device)
            return sample_maps(maps, coarse, aligned=self.maps_aligned)
        if self.teacher is not None:
            seen = sample_pixels(canvases, view_grid(theta, self.teacher.size))
            opinions = self.teacher.probabilities(seen)
            return torch.nn.functional.interpolate(
                opinions, size=coarse.shape[1:3], mode="bilinear", align_corners=False
            )
        return None


def classes_shown(photos: Photos, maps: np.ndarray | None, num_classes: int) -> Tensor:
    """Which classes each photo shows on at least a hundredth of its area.

    Args:
        photos: Ground truth, where there is one.
        maps: The teacher's opinion (N, C, h, w) uint8, for photos without ground truth.
        num_classes: Number of classes.

    Returns:
        (N, num_classes) bool on the CPU.
    """
    shown = torch.zeros(len(photos), num_classes, dtype=torch.bool)
    masks, labelled = photos.masks.cpu(), photos.labelled.tolist()
    for i, known in enumerate(labelled):
        if known:
            labels = masks[i].flatten().long()
        elif maps is not None:
            labels = torch.from_numpy(maps[i].argmax(0)).flatten()
        else:
            continue
        counts = torch.bincount(labels[labels < num_classes], minlength=num_classes)
        shown[i] = counts > 0.01 * len(labels)
    return shown


def drawing_weights(
    shown: Tensor, labelled: Tensor, boosts: dict[int, float], unlabelled_weight: float
) -> Tensor:
    """How often each photo is drawn, (N,) float64, before normalising.

    Args:
        shown: Which classes each photo shows, (N, C) bool.
        labelled: Which photos have ground truth, (N,) bool.
        boosts: Class index to factor: a photo that shows classes takes the largest of their
            factors.
        unlabelled_weight: Factor of photos without ground truth.
    """
    weights = torch.ones(len(shown), dtype=torch.float64)
    for index, factor in boosts.items():
        weights[shown[:, index]] = weights[shown[:, index]].clamp(min=factor)
    weights[~labelled.cpu()] *= unlabelled_weight
    return weights
