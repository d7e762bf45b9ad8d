"""Hints: the teacher's features as targets, beside its probabilities.

Probabilities of 21 classes say little about a wall or a tree; the features they come from do. So
the student's deepest features, through one 1 x 1 convolution that is thrown away afterwards, are
to tell the teacher's (FitNets, Romero et al., arXiv 1412.6550). FitNets teach the hint first and
the task after it; here both are learnt together and the hint fades.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule

HINT_STRIDE = 16
"""Pixels of a view for each hint: the stride of our encoders' deepest features."""

LEVELS_PER_DEVIATION, ZERO_LEVEL = 32, 128
"""A standardised feature is kept as a byte, 1/32 deviation a level, +-4 deviations around 128."""

SCALE_PHOTOS, CHUNK = 128, 256
"""Photos that give the features' means and deviations; photos that are standardised at once."""


def tap_teacher(network: nn.Module, layer: str) -> Callable[[Tensor], tuple[Any, Tensor]]:
    """A teacher that also gives the output of one of its layers.

    Args:
        network: A module, or a loaded `.pt2`, whose layers are the nodes of its graph.
        layer: Name of a submodule, or of a node.

    Returns:
        Takes a batch (N, 3, H, W); gives what the network gives, and features (N, C, h, w).

    Raises:
        ValueError: No such layer.
    """
    kept: list[Tensor] = []
    graphs = [module for module in network.modules() if isinstance(module, GraphModule)]
    if graphs:
        _watch_node(graphs[0], layer, kept)
    else:
        layers = dict(network.named_modules())
        if layer not in layers:
            raise ValueError(f"the teacher has no layer {layer!r}: {_named(list(layers)[1:])}")
        layers[layer].register_forward_hook(lambda *call: kept.append(_deepest(call[-1])))

    def look(batch: Tensor) -> tuple[Any, Tensor]:
        kept.clear()
        out = network(batch)
        # a program of a fixed batch runs group by group and fills up the last one
        return out, torch.cat(kept)[: len(batch)]

    return look


def _watch_node(program: GraphModule, layer: str, kept: list[Tensor]) -> None:
    """Run a program's nodes one by one from now on, and keep what one of them gives."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "call_function"}
    if layer not in nodes:
        raise ValueError(f"the teacher has no node {layer!r}: {_named(list(nodes))}")

    class Keeper(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            value = super().run_node(n)
            if n.name == layer:
                kept.append(value)
            return value

    program.forward = Keeper(program).run


def _named(names: list[str]) -> str:
    """The last names of a list, for a message."""
    return "the last ones are " + ", ".join(names[-12:])


def _deepest(value: Any) -> Tensor:
    """The deepest features of a backbone's or an encoder's output."""
    if isinstance(value, dict):
        return value["out"]
    return value[-1] if isinstance(value, (tuple, list)) else value


def to_bytes(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Standardise features (N, C, h, w) by channel and keep them as uint8."""
    standard = (features - mean[:, None, None]) / deviation[:, None, None]
    levels = standard * LEVELS_PER_DEVIATION + ZERO_LEVEL
    return levels.round().clamp(0, 255).to(torch.uint8)


def standardise(features: np.ndarray, rows: np.ndarray, device: torch.device) -> Tensor:
    """Bytes of the photos' features, each channel with mean 0 and deviation 1 over the photos.

    Args:
        features: (R, F, h, w), as the teachers' files keep them.
        rows: Which row is whose, (N,) integers.
        device: Where the bytes go, (N, F, h, w) uint8.
    """
    some = torch.from_numpy(features[rows[:: max(1, len(rows) // SCALE_PHOTOS)]]).to(device).float()
    values = some.transpose(0, 1).flatten(1)  # (F, photos * h * w)
    mean, deviation = values.mean(1), values.std(1).clamp(min=1e-6)
    told = torch.empty(len(rows), *features.shape[1:], dtype=torch.uint8, device=device)
    for start in range(0, len(rows), CHUNK):
        chunk = torch.from_numpy(features[rows[start : start + CHUNK]]).to(device).float()
        told[start : start + CHUNK] = to_bytes(chunk, mean, deviation)
    return told


def sample_hints(hints: Tensor, grid: Tensor) -> Tensor:
    """Cut the views' windows out of the teachers' features.

    Args:
        hints: (N, C, h, w) uint8 from edge to edge of the photos, from `to_bytes`.
        grid: (N, H, W, 2) in [-1, 1], where the student's features lie in the photo.

    Returns:
        Standardised features (N, C, H, W) float32.
    """
    standard = (hints.float() - ZERO_LEVEL) / LEVELS_PER_DEVIATION
    return F.grid_sample(
        standard, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


class Hint(nn.Module):
    """Watches a student's encoder, and tells the teacher's features from what it gives.

    Args:
        network: The student; has an `encoder` (ours) or a `backbone` (torchvision's).
        channels: Channels of the teacher's features.

    Raises:
        ValueError: The student has neither.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        encoder = getattr(network, "encoder", None) or getattr(network, "backbone", None)
        if encoder is None:
            raise ValueError(
                f"{type(network).__name__} has no encoder or backbone to give a hint to: "
                "leave out --hint"
            )
        self._features: Tensor | None = None
        encoder.register_forward_hook(self._keep)
        training, example = network.training, next(network.parameters())
        with torch.no_grad():
            network.eval()(example.new_zeros(1, 3, 64, 64))
        network.train(training)
        self.projection = nn.Conv2d(self._features.shape[1], channels, 1)
        self._features = None

    def _keep(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self._features = _deepest(output)

    def forward(self, hints: Tensor, counted: Tensor) -> Tensor:
        """Mean squared error of the last batch's features.

        Args:
            hints: What they are to tell, (N, C, h, w).
            counted: Which cells lie in the photos, (N, 1, h, w) bool.
        """
        if self._features is None:
            raise RuntimeError("the student runs before its hint is judged")
        guess = self.projection(self._features.float())
        self.forget()
        if guess.shape[-2:] != hints.shape[-2:]:
            guess = F.interpolate(guess, hints.shape[-2:], mode="bilinear", align_corners=False)
        errors = (guess - hints).square() * counted  # (N, C, h, w)
        return errors.sum() / (counted.sum() * guess.shape[1]).clamp(min=1)

    def forget(self) -> None:
        """Let go of the last batch's features."""
        self._features = None
