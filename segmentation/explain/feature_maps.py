"""Record the feature maps of each stage, and reduce them to channels or colours for display."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.segmentation._utils import _SimpleSegmentationModel
from torchvision.models.segmentation.lraspp import LRASPP

from segmentation.errors import ExplainError
from segmentation.explain.ablation import family_with_article, nominal_stride
from segmentation.networks.deeplabv3plus import DeepLabV3Plus
from segmentation.networks.unet import UNet

PCA_SEED = 0
PCA_STEPS = 8  # of subspace iteration; three components of a photo's features converge in four
CONTRAST = (0.01, 0.99)  # the quantiles mapped to 0 and 1


@dataclass(frozen=True, eq=False)
class Stage:
    """A module of a network whose output is shown.

    Attributes:
        name: short name for the user: "layer1", "ASPP", "decoder".
        part: "encoder" or "decoder".
        module: computes the stage's feature map.
    """

    name: str
    part: str
    module: nn.Module


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Output of a stage for one photo.

    Attributes:
        name, part: as of the stage.
        features: (c, h, w) float32 on the CPU.
        stride: pixels of the network's input per cell along each axis.
    """

    name: str
    part: str
    features: Tensor
    stride: int


def stages_of(network: nn.Module) -> list[Stage]:
    """Return the stages of a network to show, in the order of execution.

    Raises:
        ExplainError: the network's stages are not accessible.
    """
    if isinstance(network, DeepLabV3Plus):
        head = network.head
        return [
            *_encoder_stages(network.encoder),
            Stage("ASPP", "decoder", head.aspp),
            Stage("skip, projected", "decoder", head.low_level_project),
            Stage("decoder", "decoder", head.decoder),
        ]
    if isinstance(network, LRASPP):
        return [
            *_encoder_stages(network.backbone),
            Stage("head", "decoder", network.classifier.cbr),
        ]
    if isinstance(network, _SimpleSegmentationModel):
        inner = list(network.classifier.children())
        name = "ASPP" if type(inner[0]).__name__ == "ASPP" else "head"
        first = inner[0] if name == "ASPP" else inner[-2]
        return [*_encoder_stages(network.backbone), Stage(name, "decoder", first)]
    if isinstance(network, UNet):
        down = [
            Stage(f"down {i}", "encoder", block) for i, block in enumerate(network.contracting, 1)
        ]
        up = [Stage(f"up {i}", "decoder", block) for i, block in enumerate(network.expanding, 1)]
        return [*down, *up]
    raise ExplainError(
        f"the stages of this model, {family_with_article(network)}, are not accessible"
    )


def _encoder_stages(encoder: nn.Module) -> list[Stage]:
    """Return the last block at each resolution.

    For a ResNet this is the end of each layer, for a MobileNet the last block before each halving,
    and the last of all.
    """
    children = dict(encoder.named_children())
    if "layer1" in children:
        return [
            Stage(name, "encoder", _last(module))
            for name, module in children.items()
            if name.startswith("layer")
        ]
    blocks = list(children["features"].children() if "features" in children else encoder.children())
    names = [f"block {i}" for i in range(len(blocks))]
    before = [i - 1 for i, block in enumerate(blocks) if i and _halves(block)]
    last = sorted({*before, len(blocks) - 1})
    return [Stage(names[i], "encoder", blocks[i]) for i in last]


def _last(module: nn.Module) -> nn.Module:
    """Return a stage's last block: some encoders call the blocks but not the stage itself."""
    return list(module.children())[-1] if isinstance(module, nn.Sequential) else module


def _halves(block: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d) and max(m.stride) > 1 for m in block.modules())


@contextmanager
def recorded(stages: list[Stage]) -> Iterator[dict[str, Tensor]]:
    """Yield a dict that collects a copy of each stage's output (N, c, h, w), by name."""
    outputs: dict[str, Tensor] = {}

    def record(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        # a copy, because a later in-place operation may overwrite the output
        return lambda _module, _inputs, out: outputs.update(
            {name: out.detach().float().cpu().clone()}
        )

    handles = []
    try:
        for stage in stages:
            handles.append(stage.module.register_forward_hook(record(stage.name)))
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def feature_maps(network: nn.Module, batch: Tensor) -> list[FeatureMap]:
    """Run the network on a photo and return the feature map of each stage.

    Args:
        network: see `stages_of`.
        batch: (1, 3, h, w).

    Raises:
        ExplainError: as for `stages_of`.
    """
    stages = stages_of(network)
    with torch.inference_mode(), recorded(stages) as outputs:
        network(batch)
    height = batch.shape[2]
    maps = []
    for stage in stages:
        features = outputs[stage.name][0]  # (c, h, w)
        stride = nominal_stride(height, features.shape[1])
        maps.append(FeatureMap(stage.name, stage.part, features, stride))
    return maps


def strongest_channels(features: Tensor, count: int = 6) -> list[tuple[int, np.ndarray]]:
    """Return the channels with the highest energy (mean square), strongest first.

    Args:
        features: (c, h, w).
        count: maximum number of channels.

    Returns:
        Pairs of the channel's index and its absolute values, (h, w) float32, divided by their
        maximum.
    """
    energy = features.float().pow(2).mean(dim=(1, 2))  # (c,)
    order = torch.argsort(energy, descending=True, stable=True)[:count].tolist()
    channels = []
    for channel in order:
        values = features[channel].float().abs()
        channels.append((channel, (values / values.max().clamp(min=1e-12)).numpy()))
    return channels


def pca_rgb(features: Tensor) -> tuple[np.ndarray, float]:
    """Map all channels to colours: the first three principal components as red, green and blue.

    Subspace iteration starts from a fixed seed, so that equal features give equal images. The sign
    of each component makes its largest weight positive.

    Args:
        features: (c, h, w).

    Returns:
        image: (h, w, 3) float32 in [0, 1]; missing components (c < 3) are 0.
        share: share of the features' variance in the three components, in [0, 1].
    """
    channels, height, width = features.shape
    cells = features.float().flatten(1).T  # (h * w, c)
    cells = cells - cells.mean(dim=0)
    total = cells.pow(2).sum().item()
    count = min(3, channels)
    generator = torch.Generator().manual_seed(PCA_SEED)
    basis = torch.randn(channels, min(channels, count + 3), generator=generator)
    for _ in range(PCA_STEPS):
        basis = torch.linalg.qr(cells.T @ (cells @ basis)).Q  # (c, count + 3)
    _, _, rotation = torch.linalg.svd(cells @ basis, full_matrices=False)
    weights = (basis @ rotation.T)[:, :count]  # (c, count)
    largest = weights.abs().argmax(dim=0)
    weights = weights * weights[largest, torch.arange(count)].sign()
    values = cells @ weights  # (h * w, count)
    share = values.pow(2).sum().item() / total if total > 0 else 0.0
    image = np.zeros((height * width, 3), np.float32)
    low, high = (np.quantile(values.numpy(), q, axis=0) for q in CONTRAST)
    image[:, :count] = ((values.numpy() - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
    return image.reshape(height, width, 3), min(1.0, share)
