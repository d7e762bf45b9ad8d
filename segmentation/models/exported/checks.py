"""Checks of an exported program's graph: determinism and final activation."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from segmentation.errors import ModelError

_SWITCHES = ("train", "training")
_MAX_STEPS = 100
_ACTIVATIONS = {
    **dict.fromkeys(("softmax", "_softmax", "_safe_softmax"), "softmax"),
    **dict.fromkeys(("sigmoid", "sigmoid_"), "sigmoid"),
    **dict.fromkeys(("convolution", "conv2d", "conv_transpose2d", "linear", "addmm"), "none"),
    **dict.fromkeys(("batch_norm", "log_softmax", "_log_softmax", "logit"), "none"),
}
# operations that keep the meaning of each value
_PASSES = re.compile(
    r"_?upsample_.*|grid_sampler.*|_?to(_copy)?|clone|contiguous|alias|detach_?|lift_fresh_copy"
    r"|view|_unsafe_view|reshape|permute|transpose|movedim|slice|crop|pad|constant_pad_nd|squeeze"
    r"|unsqueeze|flatten|unflatten|clamp|clamp_m(in|ax)|interpolate|type_as|dropout"
)
_REMEDY = "call network.eval() before torch.export.export, and export it again"


def check_deterministic(program: ExportedProgram) -> None:
    """Refuse a program that was exported in training mode or draws random numbers.

    Raises:
        ModelError: names the operation and the remedy.
    """
    if program.graph_signature.buffers_to_mutate:
        name = next(iter(program.graph_signature.buffers_to_mutate.values()))
        raise ModelError(
            f"the program updates its buffer {name} with every photo, as in training mode: "
            f"{_REMEDY}"
        )
    for node in _operations(program):
        options = _options(node)
        name = node.target._schema.name.split("::")[-1]
        switch = next((options[key] for key in _SWITCHES if key in options), None)
        if switch is None:
            # attention has a dropout probability; 0 draws no random numbers
            share = options.get("dropout_p", options.get("p") if "dropout" in name else None)
            draws = torch.Tag.nondeterministic_seeded in node.target.tags and share != 0.0
        else:
            # without running statistics, batch norm uses the photo's own in eval mode too
            draws = bool(switch) and options.get("running_mean", node) is not None
        if draws:
            raise ModelError(
                f"the program was exported in training mode: its operation {name} makes two runs "
                f"differ; {_REMEDY}"
            )


def final_activation(node: fx.Node) -> str:
    """Return the activation of an output, looking through resizing and reshaping operations.

    Args:
        node: graph node of the output.

    Returns:
        "softmax", "sigmoid", "none" for a layer that outputs logits, or "" if unknown.
    """
    for _ in range(_MAX_STEPS):
        if not isinstance(node.target, torch._ops.OpOverload):
            return ""
        name = node.target._schema.name.split("::")[-1]
        if name in _ACTIVATIONS:
            return _ACTIVATIONS[name]
        if not _PASSES.fullmatch(name) or not isinstance(node.args[0], fx.Node):
            return ""
        node = node.args[0]
    return ""


def _operations(program: ExportedProgram) -> Iterator[fx.Node]:
    """Yield all calls of tensor operations, including those in subgraphs."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, fx.GraphModule) else ():
            if isinstance(node.target, torch._ops.OpOverload):
                yield node


def _options(node: fx.Node) -> dict[str, Any]:
    """Return an operation's arguments by name, defaults included."""
    schema = node.target._schema.arguments
    given = {argument.name: argument.default_value for argument in schema}
    given |= {argument.name: value for argument, value in zip(schema, node.args, strict=False)}
    return given | node.kwargs
