"""Find the branches of atrous spatial pyramid pooling (ASPP) and their taps, and ablate branches.

An ASPP applies parallel branches to one feature map: a 1 x 1 convolution, 3 x 3 convolutions whose
nine taps are `rate` cells apart, and the mean over the full map (arXiv 1706.05587, figure 5). A
cell is as large as the output stride in pixels of the input, so rate 12 at stride 8 reads 96 pixels
away.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torchvision.models.segmentation import deeplabv3

from segmentation.errors import ExplainError
from segmentation.explain.ablation import changed_outputs, family, family_with_article
from segmentation.networks.deeplabv3plus import ASPP


@dataclass(frozen=True, eq=False)
class Branch:
    """A branch of an ASPP.

    Attributes:
        name: "1 × 1", "rate 12" or "image pooling".
        kernel: side of the kernel in taps; 0 for the mean over the full map.
        rate: distance of neighbouring taps in cells; 0 for the mean over the full map.
        module: computes the branch.
    """

    name: str
    kernel: int
    rate: int
    module: nn.Module


@dataclass(frozen=True, eq=False)
class Aspp:
    """The ASPP of a network.

    Attributes:
        module: the ASPP.
        branches: 1 x 1 first, then by increasing rate, image pooling last.
    """

    module: nn.Module
    branches: tuple[Branch, ...]

    @property
    def rates(self) -> tuple[int, ...]:
        """The atrous rates of the branches larger than 1 x 1."""
        return tuple(branch.rate for branch in self.branches if branch.kernel > 1)


@dataclass(frozen=True, eq=False)
class Taps:
    """The positions in a photo that a branch reads for one pixel.

    Attributes:
        branch: the branch's name.
        points: (n, 2) float64, (y, x) of each tap in pixels of the photo; the top left pixel covers
            0 to 1. Empty for image pooling.
        inside: (n,) bool, whether a tap is inside the feature map; others read zero padding.
        whole: whether the branch reads the full map (image pooling).
    """

    branch: str
    points: np.ndarray
    inside: np.ndarray
    whole: bool = False


def aspp_of(network: nn.Module) -> Aspp:
    """Find the ASPP of torchvision's DeepLabV3 or of this package's DeepLabV3+.

    Raises:
        ExplainError: the network has no ASPP.
    """
    for module in network.modules():
        if isinstance(module, deeplabv3.ASPP):
            return Aspp(module, tuple(_branch(part) for part in module.convs))
        if isinstance(module, ASPP):
            return Aspp(module, tuple(_branch(part) for part in [*module.convs, module.pooling]))
    if family(network) == "exported program":
        raise ExplainError("an exported program runs as one piece: its branches are not accessible")
    raise ExplainError(f"{family_with_article(network)} has no atrous spatial pyramid pooling")


def _branch(module: nn.Module) -> Branch:
    if isinstance(module, deeplabv3.ASPPPooling) or any(
        isinstance(part, nn.AdaptiveAvgPool2d) for part in module.modules()
    ):
        return Branch("image pooling", 0, 0, module)
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    widest = max(convolutions, key=lambda part: (part.dilation[0], part.kernel_size[0]))
    kernel, rate = widest.kernel_size[0], widest.dilation[0]
    return Branch("1 × 1" if kernel == 1 else f"rate {rate}", kernel, rate, module)


@contextmanager
def ablated(network: nn.Module, off: Collection[str]) -> Iterator[Aspp]:
    """Make the named branches of the network's ASPP return zeros inside the `with` block.

    Args:
        network: a network with an ASPP.
        off: names of the branches; may be empty.

    Raises:
        ExplainError: the network has no ASPP, or the ASPP no such branch.
    """
    aspp = aspp_of(network)
    names = [branch.name for branch in aspp.branches]
    for name in off:
        if name not in names:
            raise ExplainError(f"there is no branch {name!r}: this ASPP has {', '.join(names)}")
    ablated_modules = [branch.module for branch in aspp.branches if branch.name in off]
    with changed_outputs(ablated_modules, torch.zeros_like):
        yield aspp


def cell_of(
    pixel: tuple[int, int], grid: tuple[int, int], photo_size: tuple[int, int]
) -> tuple[int, int]:
    """Return the cell (row, column) of a feature map that contains a photo's pixel.

    Args:
        pixel: (y, x) in the photo.
        grid: (h, w) of the feature map.
        photo_size: (H, W) of the photo.
    """
    (y, x), (h, w), (height, width) = pixel, grid, photo_size
    return min(h - 1, (2 * y + 1) * h // (2 * height)), min(w - 1, (2 * x + 1) * w // (2 * width))


def sampling_taps(
    aspp: Aspp, pixel: tuple[int, int], grid: tuple[int, int], photo_size: tuple[int, int]
) -> list[Taps]:
    """Return the positions in the photo that each branch reads for a pixel.

    The feature map's cells divide the photo evenly, as the upsampling to the photo assumes. A tap
    is the centre of a cell, so neighbouring taps of a 3 x 3 kernel are rate x stride apart.

    Args:
        aspp: from `aspp_of`.
        pixel: (y, x) in the photo.
        grid: (h, w) of the feature map that the ASPP samples.
        photo_size: (H, W) of the photo.
    """
    cell = cell_of(pixel, grid, photo_size)
    taps = []
    for branch in aspp.branches:
        if not branch.kernel:
            taps.append(Taps(branch.name, np.zeros((0, 2)), np.zeros(0, bool), whole=True))
            continue
        steps = (np.arange(branch.kernel) - branch.kernel // 2) * branch.rate
        rows, columns = np.meshgrid(cell[0] + steps, cell[1] + steps, indexing="ij")
        cells = np.stack([rows.ravel(), columns.ravel()], axis=1)  # (n, 2)
        inside = ((cells >= 0) & (cells < grid)).all(axis=1)
        points = (cells + 0.5) * (np.array(photo_size) / np.array(grid))
        taps.append(Taps(branch.name, points, inside))
    return taps
