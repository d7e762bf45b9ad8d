"""Pack convolutions for oneDNN: weights reordered once, addition and activation fused.

Torch's own convolution reorders its weights at each call, and writes its result to memory before
the activation reads it. On a CPU this is most of the time of small networks. The operators used are
those of `torch.compile` on CPUs; they need no compiler.
"""

import functools
import operator
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

_ACTIVATIONS: dict[object, str] = {
    nn.ReLU: "relu",
    nn.Hardswish: "hardswish",
    nn.Hardsigmoid: "hardsigmoid",
    F.relu: "relu",
    torch.relu: "relu",
    F.hardswish: "hardswish",
    F.hardsigmoid: "hardsigmoid",
}
_ADDITIONS = (operator.add, operator.iadd, torch.add)


def can_pack(weight: Tensor) -> bool:
    """Return whether weights of this device and dtype can be packed; see `packs`."""
    return weight.device.type == "cpu" and packs(weight.dtype)


@functools.cache
def packs(dtype: torch.dtype) -> bool:
    """Return whether torch can pack convolutions of this dtype on this processor.

    Packs and runs a small convolution and compares the result, once per process. Feature flags are
    not enough:
    oneDNN refuses bfloat16 on processors that have neither AVX-512 nor AVX-NE-CONVERT, and torch's
    packing operators are private and may change.
    """
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    ramp = torch.arange(-1.0, 1.0, 2 / (4 * 3 * 3 * 3))  # (108,)
    # without random initialisation, which would advance the global random generator
    conv = nn.utils.skip_init(nn.Conv2d, 3, 4, 3, padding=1, bias=False).requires_grad_(False)
    conv.weight.copy_(ramp.view(4, 3, 3, 3))
    features = torch.linspace(-1, 1, 3 * 8 * 8).view(1, 3, 8, 8)
    expected = conv(features)  # (1, 4, 8, 8)
    try:
        with torch.inference_mode():
            packed = PackedConv2d(conv.to(dtype), features.shape)
            result = packed(features.to(dtype)).float()
    except (RuntimeError, AttributeError, TypeError):
        return False
    return torch.allclose(result, expected, rtol=0.05, atol=0.05)


class PackedConv2d(nn.Module):
    """A convolution with packed weights, followed by an addition and an activation.

    Args:
        conv: the convolution; its weights are copied.
        size: shape of the features (N, c, h, w) for which the weights are reordered. Other shapes
            give the same results, sometimes more slowly.
        activation: "none", "relu", "hardswish" or "hardsigmoid".
    """

    def __init__(self, conv: nn.Conv2d, size: Sequence[int], activation: str = "none") -> None:
        super().__init__()
        self.geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), *self.geometry, list(size)
        )
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.activation = activation

    def forward(self, features: Tensor, addend: Tensor | None = None) -> Tensor:
        """Convolve features (N, c, h, w), add `addend` (N, C, h', w') if given, activate."""
        if addend is None:
            return torch.ops.mkldnn._convolution_pointwise(
                features, self.weight, self.bias, *self.geometry, self.activation, [], ""
            )
        unary = None if self.activation == "none" else self.activation
        return torch.ops.mkldnn._convolution_pointwise.binary(
            features, addend, self.weight, self.bias, *self.geometry, "add", 1.0, unary, [], None
        )


def pack(network: fx.GraphModule, side: int, should_pack: Callable[[nn.Conv2d], bool]) -> None:
    """Replace the convolutions of a traced network, in place.

    Args:
        network: in eval mode, on the CPU, batch norm folded.
        side: approximate height and width of the input in pixels. The weights are reordered for a
            square of that side; other sizes gain nearly as much.
        should_pack: returns whether to replace a convolution.
    """
    batch = torch.zeros(1, 3, side, side, dtype=next(network.parameters()).dtype)
    with torch.inference_mode():
        ShapeProp(network).propagate(batch.contiguous(memory_format=torch.channels_last))
    modules = dict(network.named_modules())
    for node in list(network.graph.nodes):
        conv = modules.get(node.target) if node.op == "call_module" else None
        if type(conv) is nn.Conv2d and conv.padding_mode == "zeros" and should_pack(conv):
            _pack_node(network, node, conv, modules)
    network.graph.lint()
    network.recompile()
    network.delete_all_unused_submodules()


def _pack_node(
    network: fx.GraphModule, node: fx.Node, conv: nn.Conv2d, modules: dict[str, nn.Module]
) -> None:
    fused, addend = [node], None  # the nodes that the packed module replaces, in order
    follower = _only_user(node)
    if follower is not None and follower.target in _ADDITIONS and len(follower.args) == 2:
        left, right = follower.args
        summand = right if left is node else left
        if isinstance(summand, fx.Node) and summand is not node:
            after = _only_user(follower)
            if after is not None and _activation(after, modules) == "relu":
                fused.append(follower)
                addend, follower = summand, after
    activation = _activation(follower, modules) if follower is not None else None
    if activation is not None:
        fused.append(follower)
    last = fused[-1]
    target = f"packed_{node.name}"
    shape = node.args[0].meta["tensor_meta"].shape
    network.add_submodule(target, PackedConv2d(conv, shape, activation or "none"))
    with network.graph.inserting_after(last):
        args = (node.args[0],) if addend is None else (node.args[0], addend)
        packed = network.graph.call_module(target, args)
    packed.meta = dict(last.meta)
    last.replace_all_uses_with(packed)
    for fused_node in reversed(fused):
        network.graph.erase_node(fused_node)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _activation(node: fx.Node, modules: dict[str, nn.Module]) -> str | None:
    """Return the name of the activation that a node computes; None if it is no activation."""
    if node.op == "call_module":
        return _ACTIVATIONS.get(type(modules.get(node.target)))
    return _ACTIVATIONS.get(node.target) if node.op == "call_function" else None
