"""The article's DeepLabV3+, layer for layer, in PyTorch.

`DeepLabV3Plus` is an encoder that computes two feature maps (stride 4 and stride 16), and a head
that turns them into logits: atrous spatial pyramid pooling, a decoder with a skip,
squeeze-and-excite.

Sources: DeepLabV3 (Chen et al. 2017, arXiv 1706.05587), DeepLabV3+ (Chen et al. 2018, arXiv
1802.02611), squeeze-and-excitation (Hu et al. 2017, arXiv 1709.01507).

The layers in the article's Keras code, in the order in which it creates them (K is a kernel's
side):

| PyTorch (`separable=False`)   | Keras                                                   |
|-------------------------------|---------------------------------------------------------|
| `aspp.pooling.1`, `.2`        | Conv2D(256, K=1) after AveragePooling2D, with its norm  |
| `aspp.convs.0.0`, `.0.1`      | Conv2D(256, K=1), norm                                  |
| `aspp.convs.1.0`, `.1.1`      | Conv2D(256, K=3, dilation_rate=6), norm                 |
| `aspp.convs.2.0`, `.2.1`      | Conv2D(256, K=3, dilation_rate=12), norm                |
| `aspp.convs.3.0`, `.3.1`      | Conv2D(256, K=3, dilation_rate=18), norm                |
| `aspp.project.0`, `.1`        | Conv2D(256, K=1) after Concatenate, norm                |
| `low_level_project.0`, `.1`   | Conv2D(48, K=1) on `conv2_block2_out`, norm             |
| `decoder.0.reduce`, `.expand` | Dense(304 // 8, relu), Dense(304, sigmoid)              |
| `decoder.1.0`, `.1`           | Conv2D(256, K=3), norm                                  |
| `decoder.2.0`, `.1`           | Conv2D(256, K=3), norm                                  |
| `decoder.3.reduce`, `.expand` | Dense(256 // 8, relu), Dense(256, sigmoid)              |
| `classifier`                  | Conv2D(num_classes, K=1), the only one with a bias      |

"norm" is BatchNormalization; a ReLU follows each. The pairs of Dense are squeeze-and-excite.

Keras stores kernels as (height, width, in, out): `keras.transpose(3, 2, 0, 1)` is the weight in
PyTorch. A Dense kernel is (in, out): its transpose is the weight. Concatenations have the article's
order: image pooling, 1 x 1, then the rates (torchvision's ASPP puts the pooling last); ASPP first,
then the skip.

One step is in another order: the article upsamples 256 channels by 4 and then classifies; this code
applies the 1 x 1 classifier first. Bilinear weights add up to one, so the two commute (up to float
rounding), and the upsampling handles `num_classes` channels instead of 256. With weights copied in
the order of the table, the logits of Keras 3.15 (torch backend) and of this head differ by 4e-7 at
most.
"""

from collections.abc import Sequence

import torch
import torchvision.models
from torch import Tensor, nn

from segmentation.networks.encoder import Encoder
from segmentation.networks.layers import (
    SqueezeExcite,
    conv_norm_relu,
    initialise,
    resize_bilinear,
)

LOW_LEVEL_PROJECTION = 48
"""Channels of the skip after its 1 x 1 convolution (arXiv 1802.02611, table 1)."""

ARTICLE_TAPS = {"low_level": "layer1.1", "high_level": "layer3.5"}
"""The article's `conv2_block2_out` and `conv4_block6_out`, in torchvision's names for a ResNet."""


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: image pooling, 1 x 1 and 3 x 3 convolutions at several rates.

    Args:
        in_channels: Channels of the features.
        out_channels: Channels of each branch and of the result.
        atrous_rates: Rates of the 3 x 3 branches.
        separable: Use atrous separable convolutions for the 3 x 3 branches.

    Shape: features (N, in_channels, h, w) -> (N, out_channels, h, w).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        *,
        atrous_rates: Sequence[int] = (6, 12, 18),
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.pooling = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), *conv_norm_relu(in_channels, out_channels, 1)
        )
        branches = [conv_norm_relu(in_channels, out_channels, 1)]
        branches += [
            conv_norm_relu(in_channels, out_channels, 3, rate=rate, separable=separable)
            for rate in atrous_rates
        ]
        self.convs = nn.ModuleList(branches)
        self.project = conv_norm_relu((len(branches) + 1) * out_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Pool features (N, in_channels, h, w) into (N, out_channels, h, w)."""
        # Upsampling a 1 x 1 map bilinearly repeats it.
        height, width = features.shape[-2:]
        pooled = self.pooling(features).expand(-1, -1, height, width)
        branches = [pooled, *(conv(features) for conv in self.convs)]
        return self.project(torch.cat(branches, dim=1))


class DeepLabV3PlusHead(nn.Module):
    """The article's ASPP and decoder.

    Args:
        low_level_channels: Channels of the stride-4 features.
        high_level_channels: Channels of the stride-16 features.
        num_classes: The number of classes.
        channels: Channels of the ASPP and the decoder.
        atrous_rates: Rates of the ASPP's 3 x 3 branches.
        separable: Atrous separable convolutions in ASPP and decoder.
    """

    def __init__(
        self,
        low_level_channels: int,
        high_level_channels: int,
        *,
        num_classes: int,
        channels: int = 256,
        atrous_rates: Sequence[int] = (6, 12, 18),
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.aspp = ASPP(
            high_level_channels, channels, atrous_rates=atrous_rates, separable=separable
        )
        self.low_level_project = conv_norm_relu(low_level_channels, LOW_LEVEL_PROJECTION, 1)
        joined = channels + LOW_LEVEL_PROJECTION
        self.decoder = nn.Sequential(
            SqueezeExcite(joined),
            conv_norm_relu(joined, channels, 3, separable=separable),
            conv_norm_relu(channels, channels, 3, separable=separable),
            SqueezeExcite(channels),
        )
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        initialise(self)

    def forward(
        self, low_level: Tensor, high_level: Tensor, *, size: Sequence[int] | None = None
    ) -> Tensor:
        """Turn two feature maps into logits.

        Args:
            low_level: Features (N, low_level_channels, h, w), stride 4 in the whole network.
            high_level: Features (N, high_level_channels, about h / 4, about w / 4), stride 16.
            size: (height, width) of the logits; by default four times that of `low_level`.

        Returns:
            Logits (N, num_classes, *size).
        """
        height, width = low_level.shape[-2:]
        logits = self.coarse_logits(low_level, high_level)
        return resize_bilinear(logits, (4 * height, 4 * width) if size is None else size)

    def coarse_logits(self, low_level: Tensor, high_level: Tensor) -> Tensor:
        """Return logits at the size of `low_level`: (N, num_classes, h, w)."""
        context = resize_bilinear(self.aspp(high_level), low_level.shape[-2:])
        joined = torch.cat([context, self.low_level_project(low_level)], dim=1)
        return self.classifier(self.decoder(joined))


class DeepLabV3Plus(nn.Module):
    """An encoder and the article's head.

    Args:
        encoder: Computes (low_level, high_level) features; its attributes are their channels.
        num_classes: The number of classes.
        channels: Channels of the head.
        separable: Atrous separable convolutions in the head.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        num_classes: int,
        channels: int = 256,
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = DeepLabV3PlusHead(
            encoder.low_level_channels,
            encoder.high_level_channels,
            num_classes=num_classes,
            channels=channels,
            separable=separable,
        )

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        """Turn a normalised batch (N, 3, H, W) into {"out": logits (N, num_classes, H, W)}."""
        low_level, high_level = self.encoder(batch)
        return {"out": self.head(low_level, high_level, size=batch.shape[-2:])}

    def coarse_logits(self, batch: Tensor) -> Tensor:
        """Return logits (N, num_classes, about H / 4, about W / 4), before the last upsampling.

        Training compares these: the last upsampling has no parameters.
        """
        return self.head.coarse_logits(*self.encoder(batch))


def deeplabv3plus_resnet101(
    num_classes: int = 21, *, low_level: str = "layer1", high_level: str = "layer3"
) -> DeepLabV3Plus:
    """Build the article's network with random weights.

    The article's code taps `conv4_block6_out`: in a ResNet-50 the end of the third stage, in a
    ResNet-101 the sixth of its 23 blocks. The default is the paper's: the ends of the first and
    third stages. The article's own taps are `deeplabv3plus_resnet101(**ARTICLE_TAPS)`. Both have
    256 and 1024 channels.

    Torchvision's ResNet strides in a block's 3 x 3 convolution, Keras's in its first 1 x 1, so an
    encoder's weights cannot be copied from one to the other; the head's can.
    """
    network = torchvision.models.resnet101(weights=None)
    return DeepLabV3Plus(
        Encoder(network, low_level=low_level, high_level=high_level), num_classes=num_classes
    )


def deeplabv3plus_resnet18(num_classes: int = 21) -> DeepLabV3Plus:
    """Build a small network for CPUs, 3.1 million parameters: ResNet-18, separable head."""
    network = torchvision.models.resnet18(weights=None)
    encoder = Encoder(network, low_level="layer1", high_level="layer3")
    return DeepLabV3Plus(encoder, num_classes=num_classes, channels=128, separable=True)


def deeplabv3plus_mobilenet_v3_large(num_classes: int = 21) -> DeepLabV3Plus:
    """Build a small network for phones: MobileNetV3-Large up to stride 16, separable head."""
    network = torchvision.models.mobilenet_v3_large(weights=None)
    encoder = Encoder(network, low_level="features.3", high_level="features.12")
    return DeepLabV3Plus(encoder, num_classes=num_classes, channels=128, separable=True)
