"""The microscope for atrous spatial pyramid pooling: its branches, their taps, and each one off.

ASPP looks at one feature map in several ways at once: through a 1 x 1 convolution, through 3 x 3
convolutions whose nine taps lie `rate` cells apart, and as a whole through its mean (arXiv
1706.05587, figure 5). On the photo a cell is as large as the output stride, so rate 12 at stride 8
looks 96 pixels away.
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
    """One way in which an ASPP looks at its feature map.

    Attributes:
        name: "1 × 1", "rate 12" or "image pooling".
        kernel: side of the kernel in cells; 0 for the mean over the whole map.
        rate: cells from tap to tap; 0 for the mean over the whole map.
        module: computes the branch.
    """

    name: str
    kernel: int
    rate: int
    module: nn.Module


@dataclass(frozen=True, eq=False)
class Aspp:
    """An ASPP inside a network.

    Attributes:
        module: the whole pyramid.
        branches: in the order 1 x 1, rates upwards, image pooling.
    """

    module: nn.Module
    branches: tuple[Branch, ...]

    @property
    def rates(self) -> tuple[int, ...]:
        """The atrous rates of the branches larger than 1 x 1."""
        return tuple(branch.rate for branch in self.branches if branch.kernel > 1)


@dataclass(frozen=True, eq=False)
class Taps:
    """Where on the photo a branch looks to judge one pixel.

    Attributes:
        branch: the branch's name.
        points: (n, 2) float64, (y, x) of each tap in pixels of the photo, in the coordinates in
            which the top left pixel covers 0 to 1; empty for image pooling.
        inside: (n,) bool; a tap outside the feature map reads the padding, zeros.
        whole: the branch sees the whole map (image pooling).
    """

    branch: str
    points: np.ndarray
    inside: np.ndarray
    whole: bool = False


def aspp_of(network: nn.Module) -> Aspp:
    """Find a network's ASPP: torchvision's DeepLabV3 or our DeepLabV3+.

    Raises:
        ExplainError: the network has none.
    """
    for module in network.modules():
        if isinstance(module, deeplabv3.ASPP):
            return Aspp(module, tuple(_branch(part) for part in module.convs))
        if isinstance(module, ASPP):
            return Aspp(module, tuple(_branch(part) for part in [*module.convs, module.pooling]))
    if family(network) == "exported program":
        raise ExplainError(
            "an exported program runs as one piece: its branches cannot be told apart from outside"
        )
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
    """While the block runs, the named branches of the network's ASPP say zeros.

    Args:
        network: has an ASPP.
        off: names of branches; none of them leaves the network as it is.

    Raises:
        ExplainError: no ASPP, or no such branch.
    """
    aspp = aspp_of(network)
    names = [branch.name for branch in aspp.branches]
    for name in off:
        if name not in names:
            raise ExplainError(f"there is no branch {name!r}: this ASPP has {', '.join(names)}")
    silent = [branch.module for branch in aspp.branches if branch.name in off]
    with changed_outputs(silent, torch.zeros_like):
        yield aspp


def cell_of(
    pixel: tuple[int, int], grid: tuple[int, int], photo_size: tuple[int, int]
) -> tuple[int, int]:
    """The cell (row, column) of a feature map in which a photo's pixel lies.

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
    """Where each branch looks on the photo to judge a pixel.

    The feature map's cells divide the photo evenly, as the upsampling to the photo takes them to;
    a tap is the centre of a cell, so neighbours of a 3 x 3 kernel lie rate x stride apart.

    Args:
        aspp: from `aspp_of`.
        pixel: (y, x) in the photo.
        grid: (h, w) of the feature map that the ASPP samples.
        photo_size: (H, W) of the photo.
    """
    cell = cell_of(pixel, grid, photo_size)
    found = []
    for branch in aspp.branches:
        if not branch.kernel:
            found.append(Taps(branch.name, np.zeros((0, 2)), np.zeros(0, bool), whole=True))
            continue
        steps = (np.arange(branch.kernel) - branch.kernel // 2) * branch.rate
        rows, columns = np.meshgrid(cell[0] + steps, cell[1] + steps, indexing="ij")
        cells = np.stack([rows.ravel(), columns.ravel()], axis=1)  # (n, 2)
        inside = ((cells >= 0) & (cells < grid)).all(axis=1)
        points = (cells + 0.5) * (np.array(photo_size) / np.array(grid))
        found.append(Taps(branch.name, points, inside))
    return found
