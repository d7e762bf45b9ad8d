"""A result without a network: soft blobs of logits, so that sizes and classes can be chosen."""

import numpy as np
import torch

from segmentation.categories import VOC_CATEGORIES
from segmentation.inference.postprocessing import decide
from segmentation.inference.result import Segmentation

CELLS = 65  # a 520-pixel photo at stride 8
# (class, centre row, centre column, radius), in parts of the photo's height and width.
BLOBS = (
    (15, 0.55, 0.28, 0.24),
    (8, 0.6, 0.72, 0.18),
    (12, 0.25, 0.75, 0.12),
    (9, 0.9, 0.5, 0.14),
    (15, 0.18, 0.5, 0.06),
)


def made_up_logits(seed: int = 0) -> torch.Tensor:
    """Logits of 21 classes on a 65 x 65 grid: background, and a soft hill for each blob."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[0:CELLS, 0:CELLS].astype(np.float32) + 0.5) / CELLS
    logits = rng.normal(-2, 0.5, (21, CELLS, CELLS)).astype(np.float32)
    logits[0] += 4
    for index, row, column, radius in BLOBS:
        angle = np.arctan2(y - row, x - column)
        distance = np.hypot(y - row, x - column) / (radius * (1 + 0.15 * np.sin(5 * angle + seed)))
        logits[index] = np.maximum(logits[index], 14 - 10 * distance)
    return torch.from_numpy(logits)  # (21, 65, 65)


def made_up_photo(height: int, width: int, class_map: np.ndarray, seed: int = 0) -> np.ndarray:
    """A picture with gradients, texture and visible shapes: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    sky = np.stack([150 - 60 * y, 170 - 40 * y, 190 - 110 * y], -1)
    sky += 12 * np.sin(25 * x + 9 * np.sin(14 * y))[..., None]
    shade = np.array([[0, 0, 0], [45, -25, -45]], np.float32)
    picture = sky + shade[(class_map > 0).astype(int)]
    noise = rng.integers(-6, 7, (height, width, 1))
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def made_up_result(height: int, width: int, seed: int = 0) -> tuple[Segmentation, np.ndarray]:
    """A result and its photo.

    Args:
        height: rows of both.
        width: columns of both.
        seed: another seed gives other shapes and another texture.

    Returns:
        A `Segmentation` with 21 classes, and the photo (H, W, 3) uint8.
    """
    logits = made_up_logits(seed)
    class_map, confidence, runner_up = decide(logits, (height, width))
    result = Segmentation(
        class_map=class_map,
        confidence=confidence,
        runner_up=runner_up,
        logits=logits,
        categories=VOC_CATEGORIES,
        model="made-up",
        device="cpu",
        seconds=0.42,
    )
    return result, made_up_photo(height, width, class_map, seed)
