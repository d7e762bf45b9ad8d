"""Make a faster copy of a network for inference.

Four changes, which alter results by rounding only: batch norm is folded into the convolution before
it, the auxiliary head is removed, tensors are channels last (NHWC), the layout of the fast kernels
of oneDNN and cuDNN, and on CPUs convolutions are packed (see `onednn`). In half precision the
layers that turn features into logits remain in float32: they take almost no time, and they decide
the labels.
"""

import copy

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from segmentation.inference.onednn import can_pack, pack
from segmentation.networks.layers import DepthwiseConv2d

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""Dtype of each precision, by name."""


class OptimizedNetwork(nn.Module):
    """A network in one precision and channels last, for inference.

    Args:
        network: in eval mode.
        dtype: dtype that the network computes in; the logits are float32 in any case.
        autocast: leave the weights unchanged and let `torch.autocast` choose the dtype of each
            layer; for networks whose layers are not accessible.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype, *, autocast: bool = False) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype
        self.autocast = autocast

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        """Turn a normalised batch (N, 3, H, W) into {"out": logits (N, C, h, w)}, both float32."""
        batch = batch.contiguous(memory_format=torch.channels_last)
        if self.autocast:
            with torch.autocast(batch.device.type, self.dtype):
                out = self.network(batch)["out"]
        else:
            out = self.network(batch.to(self.dtype))["out"]
        return {"out": out.float()}


def fast_network(
    network: nn.Module,
    precision: str = "float32",
    *,
    num_classes: int | None = None,
    autocast: bool = False,
    side: int | None = 520,
) -> OptimizedNetwork:
    """Return a faster copy of a network.

    Args:
        network: in eval mode; not modified.
        precision: a key of `DTYPES`.
        num_classes: channels of the logits. Convolutions with this many output channels compute in
            float32; None exempts no layer.
        autocast: leave half precision to `torch.autocast`, and the weights in float32.
        side: approximate height and width of the network's input in pixels, for which convolutions
            are packed; None packs none, so that the copy can be exported.

    Returns:
        A copy on the same device. If the network's layers are not accessible (an exported program),
        the network itself, channels last, in half precision by autocast.
    """
    dtype = DTYPES[precision]
    if not any(isinstance(module, nn.Conv2d) for module in network.modules()):
        return OptimizedNetwork(network, dtype, autocast=dtype != torch.float32)
    fast = _fold(copy.deepcopy(without_auxiliary_head(network)))
    fast = fast.to(memory_format=torch.channels_last)
    if not autocast:
        fast = fast.to(dtype)
        if side and isinstance(fast, fx.GraphModule) and can_pack(next(fast.parameters())):
            pack(fast, side, lambda conv: conv.out_channels != num_classes)
        if dtype != torch.float32:
            _keep_last_float32(fast, num_classes)
    return OptimizedNetwork(fast, dtype, autocast=autocast).eval().requires_grad_(False)


def without_auxiliary_head(network: nn.Module) -> nn.Module:
    """Return the network without its auxiliary head; all other modules are shared, not copied."""
    if getattr(network, "aux_classifier", None) is None:
        return network
    bare = copy.copy(network)
    bare._modules = dict(network._modules, aux_classifier=None)
    return bare


def _fold(network: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution before it.

    A network that cannot be traced (its forward depends on input values) is returned unchanged.
    """
    for module in network.modules():
        if isinstance(module, DepthwiseConv2d):
            module.__class__ = nn.Conv2d  # its equal in eval mode, which `fuse` recognises
    try:
        return fuse(network, inplace=True)
    except (torch.fx.proxy.TraceError, TypeError, NameError):
        return network


def _keep_last_float32(network: nn.Module, num_classes: int | None) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.out_channels == num_classes:
            module.float()
            module.register_forward_pre_hook(lambda _module, inputs: (inputs[0].float(),))
