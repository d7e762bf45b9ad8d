"""Random views of photos: resized crops, flips and colour, a batch at a time and on any device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """How far a view may be from its photo.

    Attributes:
        area: Least and largest share of the photo's area that a crop covers.
        stretch: Largest factor by which a crop's proportions are changed.
        brightness: Largest relative change; so are contrast and saturation.
        contrast: See brightness.
        saturation: See brightness.
        grey: Share of views without any colour.
        cutmix: Share of views into which a rectangle of another one is pasted.
    """

    area: tuple[float, float] = (0.3, 1.0)
    stretch: float = 1.2
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    grey: float = 0.05
    cutmix: float = 0.0


def draw_windows(aspects: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw a window and a flip for each photo.

    Args:
        aspects: True width / height of the photos, (N,) on the CPU.
        augmentation: How large the windows are.
        generator: Source of the random numbers.

    Returns:
        Affine matrices (N, 2, 3) from the view's coordinates to the canvas's, both in [-1, 1].
    """
    count = len(aspects)

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    least, largest = augmentation.area
    area = uniform(math.sqrt(least), math.sqrt(largest)).square()
    stretch = uniform(-math.log(augmentation.stretch), math.log(augmentation.stretch)).exp()
    # A square view of a photo of `aspect` covers width : height = 1 : aspect of its canvas; a view
    # that would be higher or wider than the photo is squeezed a little instead.
    width = (area * stretch / aspects).sqrt()
    height = (area * aspects / stretch).sqrt()
    width, height = width.clamp(max=1), height.clamp(max=1)
    x = uniform(-1, 1) * (1 - width)
    y = uniform(-1, 1) * (1 - height)
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = width * flip, x
    theta[:, 1, 1], theta[:, 1, 2] = height, y
    return theta


def view_grid(theta: Tensor, size: int) -> Tensor:
    """Where a view's pixels lie on the canvas: (N, size, size, 2) in [-1, 1]."""
    return F.affine_grid(theta, [len(theta), 1, size, size], align_corners=False)


def sample_pixels(canvases: Tensor, grid: Tensor) -> Tensor:
    """Cut views out of canvases (N, 3, side, side) uint8: (N, 3, H, W) float32 in [0, 1]."""
    return F.grid_sample(
        canvases.float() / 255, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def sample_labels(masks: Tensor, grid: Tensor) -> Tensor:
    """Cut views out of masks (N, side, side) uint8: class indices (N, H, W) int64."""
    values = F.grid_sample(
        masks[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    return values[:, 0].long()


def jitter_colours(
    pixels: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> Tensor:
    """Change brightness, contrast and saturation of views (N, 3, H, W) in [0, 1]."""
    count = len(pixels)

    def factors(spread: float) -> Tensor:
        drawn = torch.empty(count, 1, 1, 1).uniform_(1 - spread, 1 + spread, generator=generator)
        return drawn.to(pixels.device)

    saturation = factors(augmentation.saturation)
    grey = torch.empty(count, 1, 1, 1).uniform_(0, 1, generator=generator) < augmentation.grey
    saturation = torch.where(grey.to(pixels.device), 0.0, saturation)
    luma = torch.tensor([0.299, 0.587, 0.114], device=pixels.device)[:, None, None]  # ITU-R BT.601
    shade = (pixels * luma).sum(1, keepdim=True)
    pixels = shade + (pixels - shade) * saturation
    mean = shade.mean((2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * factors(augmentation.contrast)
    return (pixels * factors(augmentation.brightness)).clamp(0, 1)


def paste_rectangles(
    layers: Sequence[Tensor], share: float, generator: torch.Generator
) -> list[Tensor]:
    """Paste into a share of the views a rectangle of the next view, targets alike.

    CutMix (Yun et al., arXiv 1905.04899), for segmentation as in French et al. (arXiv 1906.01916):
    what lies around an object stops telling what it is. Rectangles cover 10 to 50 % of a view and
    lie on the coarsest layer's grid, so that no target is of two views.

    Args:
        layers: Square views (N, 3, H, H) and their targets (N, C, h, h); every side is a multiple
            of the smallest.
        share: How many of the views get a rectangle, in [0, 1].
        generator: Source of the random numbers.
    """
    count, cells = len(layers[0]), min(layer.shape[-1] for layer in layers)
    chosen = torch.rand(count, generator=generator) < share
    area = torch.empty(count).uniform_(0.1, 0.5, generator=generator)
    stretch = torch.empty(count).uniform_(-0.7, 0.7, generator=generator).exp()
    sides = torch.stack([(area * stretch).sqrt(), (area / stretch).sqrt()]).clamp(max=1)
    spans = (sides * cells).round().long()  # (2, N): rows and columns, in cells
    starts = (torch.rand(2, count, generator=generator) * (cells - spans + 1)).long()
    steps = torch.arange(cells)
    inside = (steps >= starts[..., None]) & (steps < (starts + spans)[..., None])  # (2, N, cells)
    pasted = (inside[0][:, :, None] & inside[1][:, None, :] & chosen[:, None, None])[:, None]
    pasted = pasted.to(layers[0].device)  # (N, 1, cells, cells)
    mixed = []
    for layer in layers:
        stride = layer.shape[-1] // cells
        wide = pasted.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
        mixed.append(torch.where(wide, layer.roll(1, 0), layer))
    return mixed
