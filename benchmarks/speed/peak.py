"""The best convolution speed of this machine, and the operations of a network's convolutions."""

import itertools
import time

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from segmentation.inference.precision import has_cpu_bfloat16

SHAPES = (
    (64, 64, 3, 130, 130),
    (256, 256, 3, 65, 65),
    (512, 512, 3, 65, 65),
    (2048, 256, 3, 65, 65),
    (1024, 256, 1, 65, 65),
    (2048, 512, 1, 65, 65),
)
"""Convolutions of a ResNet at 520 pixels: channels in and out, kernel, height, width."""


class Peak:
    """The best convolution speed so far, for each precision.

    It is measured again in each round beside the networks, so that other load slows both.

    Attributes:
        best: precision to (GFLOP/s, description of the convolution).
    """

    def __init__(self) -> None:
        kinds = {"float32": torch.float32}
        if has_cpu_bfloat16():
            kinds["bfloat16"] = torch.bfloat16
        self.best: dict[str, tuple[float, str]] = {}
        self._cases = []
        for (name, dtype), shape in itertools.product(kinds.items(), SHAPES):
            inputs, outputs, kernel, height, width = shape
            text = f"{inputs} to {outputs} channels, {kernel} x {kernel}, {height} x {width} pixels"
            layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False).eval()
            flops = count_flops(layer, (height, width), inputs)
            layer.to(dtype, memory_format=torch.channels_last)
            batch = torch.rand(1, inputs, height, width).to(layer.weight)  # its dtype
            batch = batch.to(memory_format=torch.channels_last)
            self._cases.append((name, text, flops, layer, batch))

    @torch.inference_mode()
    def measure(self, repeats: int = 2) -> None:
        """Run every convolution `repeats` times and record the best."""
        for name, text, flops, layer, batch in self._cases:
            for _ in range(repeats):
                start = time.perf_counter()
                layer(batch)
                speed = flops / (time.perf_counter() - start) / 1e9
                self.best[name] = max(self.best.get(name, (0.0, "")), (speed, text))


def count_flops(network: nn.Module, size: tuple[int, int], channels: int = 3) -> int:
    """Return the multiplications plus additions of a network's convolutions that are needed.

    A tap outside the image meets a zero, which good programs skip. With atrous rates up to 36 on
    65 x 65 cells those are the majority: counting them would make a network look quicker than the
    machine. Other layers are small beside convolutions and not counted.

    Args:
        network: in eval mode, on any device; on `meta` nothing is computed.
        size: (h, w) of its input.
        channels: of its input.
    """
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ones = torch.ones(1, 1, *inputs[0].shape[2:], dtype=torch.float64, device="cpu")
        kernel = torch.ones(1, 1, *layer.kernel_size, dtype=torch.float64, device="cpu")
        geometry = layer.stride, layer.padding, layer.dilation
        taps = int(functional.conv2d(ones, kernel, None, *geometry).sum())  # those in the image
        counts.append(2 * layer.out_channels * layer.in_channels // layer.groups * taps)

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        _run_zeros(network, (channels, *size))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)


def count_with_zeros(network: nn.Module, size: tuple[int, int]) -> int:
    """Return `count_flops` by the usual count, which includes the zeros around the image."""
    with FlopCounterMode(display=False) as counter:
        _run_zeros(network, (3, *size))
    return counter.get_total_flops()


def _run_zeros(network: nn.Module, shape: tuple[int, int, int]) -> None:
    with torch.no_grad():
        network(torch.zeros(1, *shape, device=next(network.parameters()).device))
