"""Hints: the teacher's features as targets, in addition to its probabilities.

Probabilities of 21 classes contain little about a wall or a tree; the features before them contain
more. So one 1 x 1 convolution, which is discarded after the training, predicts the teacher's
features from the student's deepest ones (FitNets, Romero et al., arXiv 1412.6550). FitNets learn
the hint first and the task afterwards; this module learns both together, and the hint fades.
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
"""A standardised feature is stored as a byte: 128 is 0, and a level is 1/32 deviation."""

SCALE_PHOTOS, CHUNK = 128, 256
"""Photos for the features' means and deviations, and photos that are standardised at once."""


def with_features(network: nn.Module, layer: str) -> Callable[[Tensor], tuple[Any, Tensor]]:
    """Return a function that runs a teacher and also returns the output of one of its layers.

    Args:
        network: A module, or a loaded `.pt2`, whose layers are the nodes of its graph.
        layer: Name of a submodule, or of a node.

    Returns:
        Maps a batch (N, 3, H, W) to the network's output and features (N, C, h, w).

    Raises:
        ValueError: No such layer.
    """
    outputs: list[Tensor] = []
    graphs = [module for module in network.modules() if isinstance(module, GraphModule)]
    if graphs:
        _record_node(graphs[0], layer, outputs)
    else:
        layers = dict(network.named_modules())
        if layer not in layers:
            raise ValueError(f"the teacher has no layer {layer!r}: {_last_names(list(layers)[1:])}")
        layers[layer].register_forward_hook(lambda *call: outputs.append(_deepest(call[-1])))

    def run(batch: Tensor) -> tuple[Any, Tensor]:
        outputs.clear()
        out = network(batch)
        # a program with a fixed batch runs group by group and pads the last one
        return out, torch.cat(outputs)[: len(batch)]

    return run


def _record_node(program: GraphModule, layer: str, outputs: list[Tensor]) -> None:
    """Make a program run node by node, and append the output of one of them to `outputs`."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "call_function"}
    if layer not in nodes:
        raise ValueError(f"the teacher has no node {layer!r}: {_last_names(list(nodes))}")

    class Recorder(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            value = super().run_node(n)
            if n.name == layer:
                outputs.append(value)
            return value

    program.forward = Recorder(program).run


def _last_names(names: list[str]) -> str:
    """Return the last names of a list, for a message."""
    return "the last ones are " + ", ".join(names[-12:])


def _deepest(value: Any) -> Tensor:
    """Return the deepest features of a backbone's or an encoder's output."""
    if isinstance(value, dict):
        return value["out"]
    return value[-1] if isinstance(value, (tuple, list)) else value


def to_bytes(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Standardise features (N, C, h, w) by channel and return them as uint8."""
    standard = (features - mean[:, None, None]) / deviation[:, None, None]
    levels = standard * LEVELS_PER_DEVIATION + ZERO_LEVEL
    return levels.round().clamp(0, 255).to(torch.uint8)


def standardise(features: np.ndarray, rows: np.ndarray, device: torch.device) -> Tensor:
    """Standardise the photos' features: each channel with mean 0 and deviation 1 over the photos.

    Args:
        features: (R, F, h, w), from the teachers' files.
        rows: Each photo's row, (N,) integers.
        device: For the result, (N, F, h, w) uint8.
    """
    some = torch.from_numpy(features[rows[:: max(1, len(rows) // SCALE_PHOTOS)]]).to(device).float()
    values = some.transpose(0, 1).flatten(1)  # (F, photos * h * w)
    mean, deviation = values.mean(1), values.std(1).clamp(min=1e-6)
    standard = torch.empty(len(rows), *features.shape[1:], dtype=torch.uint8, device=device)
    for start in range(0, len(rows), CHUNK):
        chunk = torch.from_numpy(features[rows[start : start + CHUNK]]).to(device).float()
        standard[start : start + CHUNK] = to_bytes(chunk, mean, deviation)
    return standard


def sample_hints(hints: Tensor, grid: Tensor) -> Tensor:
    """Cut the views' windows out of the teachers' features.

    Args:
        hints: (N, C, h, w) uint8 from edge to edge of the photos, from `to_bytes`.
        grid: (N, H, W, 2) in [-1, 1], the places of the student's features in the photo.

    Returns:
        Standardised features (N, C, H, W) float32.
    """
    standard = (hints.float() - ZERO_LEVEL) / LEVELS_PER_DEVIATION
    return F.grid_sample(
        standard, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


class Hint(nn.Module):
    """Predicts the teacher's features from the output of a student's encoder.

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
        encoder.register_forward_hook(self._record)
        training, example = network.training, next(network.parameters())
        with torch.no_grad():
            network.eval()(example.new_zeros(1, 3, 64, 64))
        network.train(training)
        self.projection = nn.Conv2d(self._features.shape[1], channels, 1)
        self._features = None

    def _record(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self._features = _deepest(output)

    def forward(self, hints: Tensor, counted: Tensor) -> Tensor:
        """Return the mean squared error of the last batch's predicted features.

        Args:
            hints: The teacher's features, (N, C, h, w).
            counted: Which cells are in the photos, (N, 1, h, w) bool.
        """
        if self._features is None:
            raise RuntimeError("the student must run before its hint's error is computed")
        predicted = self.projection(self._features.float())
        self.clear()
        if predicted.shape[-2:] != hints.shape[-2:]:
            size = hints.shape[-2:]
            predicted = F.interpolate(predicted, size, mode="bilinear", align_corners=False)
        errors = (predicted - hints).square() * counted  # (N, C, h, w)
        return errors.sum() / (counted.sum() * predicted.shape[1]).clamp(min=1)

    def clear(self) -> None:
        """Release the last batch's features."""
        self._features = None
