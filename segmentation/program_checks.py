"""A program that answers the same photo twice in the same way, and one that does not."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from segmentation.errors import ModelError

_SWITCHES = ("train", "training")
_FAR = 100
_ENDINGS = {
    **dict.fromkeys(("softmax", "_softmax", "_safe_softmax"), "softmax"),
    **dict.fromkeys(("sigmoid", "sigmoid_"), "sigmoid"),
    **dict.fromkeys(("convolution", "conv2d", "conv_transpose2d", "linear", "addmm"), "none"),
    **dict.fromkeys(("batch_norm", "log_softmax", "_log_softmax", "logit"), "none"),
}
# steps that leave the meaning of each number as it is
_PASSES = re.compile(
    r"_?upsample_.*|grid_sampler.*|_?to(_copy)?|clone|contiguous|alias|detach_?|lift_fresh_copy"
    r"|view|_unsafe_view|reshape|permute|transpose|movedim|slice|crop|pad|constant_pad_nd|squeeze"
    r"|unsqueeze|flatten|unflatten|clamp|clamp_m(in|ax)|interpolate|type_as|dropout"
)
_REMEDY = "call network.eval() before torch.export.export, and export it again"


def check_settled(program: ExportedProgram) -> None:
    """Refuse a program that was exported in training mode, or draws random numbers.

    Raises:
        ModelError: it was, or does; the message names the operation and the remedy.
    """
    if program.graph_signature.buffers_to_mutate:
        name = next(iter(program.graph_signature.buffers_to_mutate.values()))
        raise ModelError(
            f"the program changes its own numbers ({name}) with every photo, as in training mode: "
            f"{_REMEDY}"
        )
    for node in _operations(program):
        options = _options(node)
        name = node.target._schema.name.split("::")[-1]
        switch = next((options[key] for key in _SWITCHES if key in options), None)
        if switch is None:
            # attention takes a share of values to drop, 0 where nothing is drawn
            share = options.get("dropout_p", options.get("p") if "dropout" in name else None)
            draws = torch.Tag.nondeterministic_seeded in node.target.tags and share != 0.0
        else:
            # without running statistics a batch norm always uses the photo's own
            draws = bool(switch) and options.get("running_mean", node) is not None
        if draws:
            raise ModelError(
                f"the program was exported in training mode: its operation {name} makes two runs "
                f"differ; {_REMEDY}"
            )


def ending(node: fx.Node) -> str:
    """What makes a program's answer what it is, seen through steps that only resize or reshape.

    Args:
        node: the answer's.

    Returns:
        "softmax", "sigmoid", or "none" for a layer of logits; "" where it cannot be told.
    """
    for _ in range(_FAR):
        if not isinstance(node.target, torch._ops.OpOverload):
            return ""
        name = node.target._schema.name.split("::")[-1]
        if name in _ENDINGS:
            return _ENDINGS[name]
        if not _PASSES.fullmatch(name) or not isinstance(node.args[0], fx.Node):
            return ""
        node = node.args[0]
    return ""


def _operations(program: ExportedProgram) -> Iterator[fx.Node]:
    """Every call of a tensor operation, those in inner graphs too."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, fx.GraphModule) else ():
            if isinstance(node.target, torch._ops.OpOverload):
                yield node


def _options(node: fx.Node) -> dict[str, Any]:
    """What an operation is called with, by name."""
    schema = node.target._schema.arguments
    given = {argument.name: argument.default_value for argument in schema}
    given |= {argument.name: value for argument, value in zip(schema, node.args, strict=False)}
    return given | node.kwargs
