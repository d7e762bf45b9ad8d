"""Encoders made of the first layers of classification networks, with two taps."""

from collections import OrderedDict

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """The first layers of a classification network, up to the high-level tap.

    A tap names a stage ("layer3": its end) or a block of it ("layer3.5": the sixth). Layers after
    the high-level tap are dropped. Names in the state dict are those of the network itself.

    Args:
        network: A network whose children run one after the other (torchvision's ResNet,
            MobileNetV3).
        low_level: Tap with stride 4.
        high_level: Tap with stride 16.
    """

    def __init__(self, network: nn.Module, *, low_level: str, high_level: str) -> None:
        super().__init__()
        self.taps = (low_level, high_level)
        last_stage, _, last_block = high_level.partition(".")
        for name, stage in network.named_children():
            if name == last_stage and last_block:
                stage = _cut(stage, last_block, high_level)
            self.add_module(name, stage)
            if name == last_stage:
                break
        known = {name for name, _ in self._steps()}
        for tap in self.taps:
            if tap not in known:
                raise ValueError(f"no tap {tap!r} in {type(network).__name__}: {sorted(known)}")
        with torch.no_grad():
            maps = self.eval()(torch.zeros(1, 3, 32, 32))
        self.train()
        self.low_level_channels, self.high_level_channels = (m.shape[1] for m in maps)

    def _steps(self) -> list[tuple[str, nn.Module | None]]:
        """Return name and module of each step; the end of a stage is a name without a module."""
        steps: list[tuple[str, nn.Module | None]] = []
        for name, stage in self.named_children():
            if isinstance(stage, nn.Sequential):
                steps += [(f"{name}.{i}", block) for i, block in stage.named_children()]
                steps.append((name, None))
            else:
                steps.append((name, stage))
        return steps

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the low-level and high-level features of a batch (N, 3, H, W)."""
        maps = {}
        features = batch
        for name, module in self._steps():
            if module is not None:
                features = module(features)
            maps[name] = features
        low_level, high_level = self.taps
        return maps[low_level], maps[high_level]


def _cut(stage: nn.Module, last: str, tap: str) -> nn.Sequential:
    """Return the blocks of a stage up to `last`."""
    blocks = OrderedDict(stage.named_children())
    if last not in blocks:
        raise ValueError(f"no tap {tap!r}: the stage has {len(blocks)} blocks, counted from 0")
    names = list(blocks)
    return nn.Sequential(OrderedDict((n, blocks[n]) for n in names[: names.index(last) + 1]))
