"""Layers and conventions of the article's head: convolutions, squeeze-and-excite, resizing."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH_NORM_EPSILON = 1e-3
"""Keras's default, which the article's head uses; the encoders keep torch's own, 1e-5."""

ALIGN_CORNERS = False
"""Keras's bilinear UpSampling2D samples at half-pixel centres: torch's align_corners=False."""


def resize_bilinear(features: Tensor, size: Sequence[int]) -> Tensor:
    """Resample features (N, C, h, w) to `size` (height, width) by `ALIGN_CORNERS`."""
    return F.interpolate(features, size=size, mode="bilinear", align_corners=ALIGN_CORNERS)


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise 3 x 3 convolution that keeps the size: one kernel for each channel.

    Args:
        channels: Channels in and out.
        rate: Atrous rate.
    """

    def __init__(self, channels: int, rate: int) -> None:
        options = {"padding": rate, "dilation": rate, "groups": channels, "bias": False}
        super().__init__(channels, channels, 3, **options)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve features (N, channels, h, w)."""
        if self.training and self.dilation[0] >= max(features.shape[-2:]):
            # On a map this small all taps but the centre's read padding. Training crops often are
            # so small, and this is ten times faster on CPUs. Only in training: an exported program
            # must not depend on the size.
            return features * self.weight[:, 0, 1, 1, None, None].to(features.dtype)
        return super().forward(features)


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    rate: int = 1,
    separable: bool = False,
) -> nn.Sequential:
    """Build a convolution without bias that keeps the size, batch norm and ReLU.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Side of the kernel, 1 or 3.
        rate: Atrous rate: the distance between the kernel's taps.
        separable: Split a 3 x 3 into a depthwise 3 x 3 at the rate and a 1 x 1 (arXiv 1802.02611,
            section 3.1).
    """
    if separable and kernel_size == 3:
        pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        layers: list[nn.Module] = [DepthwiseConv2d(in_channels, rate), pointwise]
    else:
        padding = rate * (kernel_size // 2)
        options = {"padding": padding, "dilation": rate, "bias": False}
        layers = [nn.Conv2d(in_channels, out_channels, kernel_size, **options)]
    norm = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPSILON)
    return nn.Sequential(*layers, norm, nn.ReLU(inplace=True))


class SqueezeExcite(nn.Module):
    """Weigh each channel by its mean: pool, Dense ReLU, Dense sigmoid, multiply.

    Args:
        channels: Channels in and out.
        reduction: The narrow layer has `channels // reduction` units; neither Dense has a bias.

    Shape: features (N, channels, h, w) -> the same.
    """

    def __init__(self, channels: int, *, reduction: int = 8) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // reduction, bias=False)
        self.expand = nn.Linear(channels // reduction, channels, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Scale the channels of features (N, channels, h, w)."""
        squeezed = features.mean(dim=(2, 3))  # (N, channels)
        scale = torch.sigmoid(self.expand(F.relu(self.reduce(squeezed))))
        return features * scale[:, :, None, None]


def initialise(head: nn.Module) -> None:
    """Apply He initialisation to layers before a ReLU, as in the encoders; torch's to the rest."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            mode = "fan_out" if module.groups == 1 else "fan_in"  # fan_out ignores the groups
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
        if isinstance(module, DepthwiseConv2d) and module.dilation[0] > 1:
            _keep_centre(module)


@torch.no_grad()
def _keep_centre(module: DepthwiseConv2d) -> None:
    """Set all taps of an atrous kernel but the centre's to 0.

    Small training crops never reach the outer taps of a high rate. Those would keep their random
    values and add noise to larger photos.
    """
    centre = torch.zeros_like(module.weight)
    centre[:, :, 1, 1] = 1.0
    module.weight.mul_(centre)
