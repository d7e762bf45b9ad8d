"""Random views of photos: windows, flips, colour and pasted rectangles, on any device.

Random numbers come from a CPU generator, so that a step's views are the same on every device. They
are copied to the device asynchronously.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes from a photo to a view.

    Attributes:
        zoom: Smallest and largest zoom. At 1 a view's side is the photo's shorter side, at 2 half
            of it; below 1 a view extends beyond the photo.
        plain: Share of views at a zoom of 1.
        stretch: Largest factor between the aspect ratios of a window and of its view.
        rotation: Largest rotation in degrees.
        rotated: Share of views that are rotated.
        brightness: Largest relative change, as for contrast and saturation.
        contrast: See brightness.
        saturation: See brightness.
        grey: Share of views without colour.
        cutmix: Share of views into which a rectangle of another one is pasted.
    """

    zoom: tuple[float, float] = (0.8, 2.0)
    plain: float = 0.35
    stretch: float = 1.2
    rotation: float = 10.0
    rotated: float = 0.4
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    grey: float = 0.05
    cutmix: float = 0.0


def draw_windows(shapes: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw a window, a rotation and a flip for each photo.

    A window has the view's aspect ratio in pixels of the photo, except for `stretch`. If it is
    larger than the photo, the photo is at a random place in it.

    Args:
        shapes: Heights and widths of the photos, (N, 2) on the CPU.
        augmentation: Ranges of the windows.
        generator: Source of the random numbers.

    Returns:
        Affine matrices (N, 2, 3) from the view's coordinates to the photo's, both in [-1, 1] from
        edge to edge, x first.
    """
    count = len(shapes)

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    zoom = uniform(*(math.log(bound) for bound in augmentation.zoom)).exp()
    zoom = torch.where(uniform(0, 1) < augmentation.plain, 1.0, zoom)
    side = shapes.amin(1) / zoom
    stretch = uniform(-1, 1).mul(math.log(augmentation.stretch) / 2).exp()
    high, wide = side / stretch, side * stretch  # of the window, in pixels of the photo
    full_high, full_wide = shapes.unbind(1)
    angle = uniform(-1, 1) * math.radians(augmentation.rotation)
    angle = torch.where(uniform(0, 1) < augmentation.rotated, angle, 0.0)
    cos, sin = angle.cos(), angle.sin()
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    x = uniform(-1, 1) * (1 - wide / full_wide)
    y = uniform(-1, 1) * (1 - high / full_high)
    return torch.stack(
        [
            torch.stack([flip * cos * wide / full_wide, -sin * high / full_wide, x], 1),
            torch.stack([flip * sin * wide / full_high, cos * high / full_high, y], 1),
        ],
        1,
    )


def view_grid(theta: Tensor, size: int) -> Tensor:
    """Return the cells' places in their photos: (N, size, size, 2) in [-1, 1], x first.

    It uses sums and products, because some GPUs round matrix products to ten bits.
    """
    centres = (torch.arange(size, device=theta.device) + 0.5) * (2 / size) - 1
    x, y = centres[None, None, :], centres[None, :, None]
    axes = [
        row[:, 0, None, None] * x + row[:, 1, None, None] * y + row[:, 2, None, None]
        for row in theta.unbind(1)
    ]
    return torch.stack(axes, -1)


def inside(grid: Tensor) -> Tensor:
    """Return which cells of views are in the photo, (N, H, W) bool."""
    return (grid.abs() <= 1).all(-1)


def jitter_colours(
    pixels: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> Tensor:
    """Change brightness, contrast and saturation of views (N, 3, H, W) in [0, 1]."""
    count = len(pixels)

    def factors(spread: float) -> Tensor:
        drawn = torch.empty(count, 1, 1, 1).uniform_(1 - spread, 1 + spread, generator=generator)
        return drawn.to(pixels.device, non_blocking=True)

    saturation = factors(augmentation.saturation)
    grey = torch.empty(count, 1, 1, 1).uniform_(0, 1, generator=generator) < augmentation.grey
    saturation = torch.where(grey.to(pixels.device, non_blocking=True), 0.0, saturation)
    red, green, blue = pixels.split(1, 1)
    shade = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
    pixels = shade + (pixels - shade) * saturation
    mean = shade.mean((2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * factors(augmentation.contrast)
    return (pixels * factors(augmentation.brightness)).clamp(0, 1)


def paste_rectangles(
    layers: Sequence[Tensor], share: float, generator: torch.Generator
) -> list[Tensor]:
    """Paste a rectangle of the next view into a share of the views, and likewise for targets.

    CutMix (Yun et al., arXiv 1905.04899), for segmentation as in French et al. (arXiv 1906.01916):
    the surroundings of an object no longer reveal its class. Rectangles cover 10 to 50 % of a view
    and are aligned to the coarsest layer's grid, so that no target mixes two views.

    Args:
        layers: Square views (N, 3, H, H) and their targets (N, C, h, h); every side is a multiple
            of the smallest.
        share: Share of the views that get a rectangle, in [0, 1].
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
    within = (steps >= starts[..., None]) & (steps < (starts + spans)[..., None])  # (2, N, cells)
    # small enough to be copied asynchronously (up to 64 KB)
    within = (within & chosen[:, None]).to(layers[0].device, non_blocking=True)
    pasted = (within[0][:, :, None] & within[1][:, None, :])[:, None]  # (N, 1, cells, cells)
    mixed = []
    for layer in layers:
        stride = layer.shape[-1] // cells
        wide = pasted.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
        mixed.append(torch.where(wide, layer.roll(1, 0), layer))
    return mixed
