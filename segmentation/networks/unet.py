"""U-Net as published in 2015, with padded convolutions.

Ronneberger, Fischer & Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation"
(arXiv 1505.04597): a contracting path of double 3 x 3 convolutions and 2 x 2 max pooling, 64 to
1024 channels, and an expanding path of 2 x 2 up-convolutions that joins the contracting path's
features of each size.

The article's convolutions have no padding, so that its output is smaller than its input. These are
padded, so that sizes match. The pooling halves four times, so photos are extended to multiples of
16 by repeating the last row and column, and the logits are cut to the photo's size. As in the
article there is no batch norm by default.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def double_conv(in_channels: int, out_channels: int, *, batch_norm: bool) -> nn.Sequential:
    """Build two 3 x 3 convolutions that keep the size, each with a ReLU."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers.append(nn.Conv2d(channels, out_channels, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(out_channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """The 2015 network, 31 million parameters with its own channels.

    Args:
        num_classes: The number of classes.
        channels: Channels at each size, from the finest to the coarsest.
        batch_norm: Put a batch norm after each convolution; the article has none.
    """

    def __init__(
        self,
        num_classes: int = 21,
        *,
        channels: Sequence[int] = (64, 128, 256, 512, 1024),
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [3, *channels]
        self.contracting = nn.ModuleList(
            double_conv(before, after, batch_norm=batch_norm)
            for before, after in itertools.pairwise(widths)
        )
        pairs = list(itertools.pairwise(channels))[::-1]  # (finer, coarser)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarser, finer, 2, stride=2) for finer, coarser in pairs
        )
        self.expanding = nn.ModuleList(
            double_conv(2 * finer, finer, batch_norm=batch_norm) for finer, _ in pairs
        )
        self.classifier = nn.Conv2d(channels[0], num_classes, 1)
        self._initialise()

    def _initialise(self) -> None:
        """Draw Gaussian weights of deviation sqrt(2 / incoming nodes): the article, section 3."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        """Turn a normalised batch (N, 3, H, W) into {"out": logits (N, num_classes, H, W)}."""
        height, width = batch.shape[-2:]
        step = 2 ** len(self.up)
        padded = ((length + step - 1) // step * step for length in (height, width))
        features = _take(batch, *padded)
        skips: list[Tensor] = []
        for block in self.contracting:
            if skips:
                features = F.max_pool2d(features, 2)
            features = block(features)
            skips.append(features)
        skips.pop()
        for up, block in zip(self.up, self.expanding, strict=True):
            features = block(torch.cat([skips.pop(), up(features)], dim=1))
        return {"out": _take(self.classifier(features), height, width)}


def _take(features: Tensor, height: int, width: int) -> Tensor:
    """Cut features (N, C, h, w), or repeat their last row and column, to (N, C, height, width).

    Indexing is used since slices and padding would tie an exported program to the example's sizes.
    """
    rows, columns = (
        torch.arange(length, device=features.device).clamp(max=present - 1)
        for length, present in zip((height, width), features.shape[-2:], strict=True)
    )
    return features.index_select(2, rows).index_select(3, columns)
