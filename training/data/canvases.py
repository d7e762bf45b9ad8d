"""Photos with their aspect ratio, decoded once into one tensor on any device.

Every photo is in the top left corner of a canvas that is wider than high. A portrait photo is
stored with rows and columns exchanged, so that one tensor contains both kinds and a batch of views
is one resampling. The rest of the canvas is unused: views read no pixel beyond a photo's edge, and
cells there have no weight.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from training.data.dataset import IGNORE_INDEX, Sample, read_mask

LONGEST = 1.8
"""A canvas's width by its height. A longer photo (16 : 9 is 1.78) is scaled down, not cropped."""


@dataclass(frozen=True)
class Photos:
    """Decoded photos, one canvas each.

    Attributes:
        names: File names without ending, (N,).
        canvases: Pixels (N, 3, S, L) uint8; exchanged rows and columns where `transposed`.
        shapes: Height and width of each upright photo, in pixels of the canvas, (N, 2) float32,
            always on the CPU.
        masks: Class indices (M + 1, S, L) uint8, 255 where unknown; the first is unknown
            everywhere.
        rows: Index of each photo's mask, (N,) int64; 0 for photos without ground truth.
        transposed: Which photos are stored with rows and columns exchanged, (N,) bool on the CPU.
    """

    names: tuple[str, ...]
    canvases: Tensor
    shapes: Tensor
    masks: Tensor
    rows: Tensor
    transposed: Tensor

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labelled(self) -> Tensor:
        """Which photos have ground truth: (N,) bool."""
        return self.rows > 0

    def to(self, device: torch.device) -> "Photos":
        """Return the same photos on another device."""
        return replace(
            self,
            canvases=self.canvases.to(device),
            masks=self.masks.to(device),
            rows=self.rows.to(device),
        )


def decode(sample: Sample, short: int, long: int) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Decode a photo as large as possible: shorter side up to `short`, longer up to `long`.

    Returns:
        Pixels (h, w, 3) uint8, class indices (h, w) uint8 or None without ground truth, and whether
        the photo is higher than wide, so that its rows and columns must be exchanged.
    """
    with Image.open(sample.photo) as image:
        width, height = image.size
        scale = min(short / min(width, height), long / max(width, height))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image.draft("RGB", size)
        pixels = np.array(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
    if sample.mask is None:
        return pixels, None, height > width
    mask = Image.fromarray(read_mask(sample.mask)).resize(size, Image.Resampling.NEAREST)
    labels = np.array(mask)
    if sample.partial:
        labels[labels == 0] = IGNORE_INDEX
    return pixels, labels, height > width


def load_photos(
    samples: Sequence[Sample],
    short: int,
    *,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Photos:
    """Decode photos into canvases.

    Args:
        samples: From `find_samples`.
        short: Height of the canvases: the photos' shorter side, unless they are very long.
        workers: Threads that decode.
        progress: Called with (done, total) after each photo.
    """
    total, long = len(samples), round(LONGEST * short)
    canvases = torch.zeros(total, 3, short, long, dtype=torch.uint8)
    known = [i for i, sample in enumerate(samples) if sample.mask is not None]
    masks = torch.full((1 + len(known), short, long), IGNORE_INDEX, dtype=torch.uint8)
    rows = torch.zeros(total, dtype=torch.int64)
    rows[known] = torch.arange(1, 1 + len(known))
    shapes, transposed = torch.empty(total, 2), torch.zeros(total, dtype=torch.bool)
    with ThreadPoolExecutor(workers) as pool:
        decoded = pool.map(lambda sample: decode(sample, short, long), samples)
        for i, (pixels, labels, high) in enumerate(decoded):
            shapes[i], transposed[i] = torch.tensor(pixels.shape[:2]), high
            if high:
                pixels = pixels.swapaxes(0, 1)
                labels = None if labels is None else labels.T
            height, width = pixels.shape[:2]
            canvases[i, :, :height, :width] = torch.from_numpy(pixels).permute(2, 0, 1)
            if labels is not None:
                masks[rows[i], :height, :width] = torch.from_numpy(labels)
            if progress:
                progress(i + 1, total)
    return Photos(tuple(s.name for s in samples), canvases, shapes, masks, rows, transposed)


def exchange(grid: Tensor, transposed: Tensor) -> Tensor:
    """Return coordinates (N, H, W, 2) with x and y exchanged where `transposed` (N,) is true."""
    return torch.where(transposed[:, None, None, None], grid.flip(-1), grid)


def canvas_grid(grid: Tensor, extents: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Map places of photos to their canvases, for `torch.nn.functional.grid_sample`.

    Args:
        grid: (N, H, W, 2) in [-1, 1] from edge to edge of the stored photo, x first; places beyond
            the photo's outer pixels are clamped to them.
        extents: Height and width of each photo on its canvas, (N, 2).
        canvas: Height and width of the canvases.
    """
    sides = extents.flip(1)[:, None, None]  # (N, 1, 1, 2), width first
    pixels = ((grid + 1) / 2 * sides).clamp(min=0.5).minimum(sides - 0.5)
    return torch.stack([pixels[..., 0] * 2 / canvas[1], pixels[..., 1] * 2 / canvas[0]], -1) - 1


def sample_pixels(canvases: Tensor, grid: Tensor) -> Tensor:
    """Cut views out of canvases (N, 3, S, L) uint8: (N, 3, H, W) float32 in [0, 1]."""
    return F.grid_sample(
        canvases.float() / 255, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def sample_labels(masks: Tensor, grid: Tensor) -> Tensor:
    """Cut views out of masks (N, S, L) uint8: class indices (N, H, W) int64."""
    values = F.grid_sample(
        masks[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    return values[:, 0].long()
