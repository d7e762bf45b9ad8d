"""How fast this machine convolves at best, and how much a network has to convolve."""

import time

import numpy as np
import torch
from torch import Tensor, nn
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
    """The best that a convolution has reached here so far, for each precision.

    Every network is compared with it, so it is measured again at each turn, beside them: a
    neighbour on the processor then slows both.

    Attributes:
        best: precision to (GFLOP/s, "512 to 512, 3 x 3, 65 x 65").
    """

    def __init__(self) -> None:
        kinds = {"float32": torch.float32}
        if has_cpu_bfloat16():
            kinds["bfloat16"] = torch.bfloat16
        self.best: dict[str, tuple[float, str]] = {}
        self._cases = [
            (name, shape, *_convolution(shape, dtype))
            for name, dtype in kinds.items()
            for shape in SHAPES
        ]

    def measure(self, repeats: int = 2) -> None:
        """Run every convolution `repeats` times and keep the best."""
        with torch.inference_mode():
            for name, shape, convolution, batch in self._cases:
                for _ in range(repeats):
                    start = time.perf_counter()
                    convolution(batch)
                    reached = convolution_flops(shape) / (time.perf_counter() - start) / 1e9
                    if reached > self.best.get(name, (0.0, ""))[0]:
                        self.best[name] = (reached, _words(shape))


def convolution_flops(shape: tuple[int, int, int, int, int]) -> int:
    """Multiplications and additions, each counted, of a convolution as in `SHAPES`."""
    inputs, outputs, kernel, height, width = shape
    pad = kernel // 2
    taps = _taps(height, height, kernel, 1, 1, pad) * _taps(width, width, kernel, 1, 1, pad)
    return 2 * inputs * outputs * taps


def count_flops(network: nn.Module, size: tuple[int, int]) -> int:
    """Multiplications and additions of a network's convolutions, as far as they are needed.

    A tap that falls outside the picture meets a zero, which good programs skip, and with atrous
    rates up to 36 on 65 x 65 cells those are the majority: counting them would make a network look
    quicker than the machine. Other layers are small beside convolutions, and left out.

    Args:
        network: in eval mode, on any device, `meta` included, where nothing is computed.
        size: (h, w) of what it is shown.
    """
    found: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        taps = 1
        for axis in (0, 1):
            taps *= _taps(
                inputs[0].shape[2 + axis],
                output.shape[2 + axis],
                layer.kernel_size[axis],
                layer.stride[axis],
                layer.dilation[axis],
                layer.padding[axis],
            )
        found.append(2 * layer.out_channels * layer.in_channels // layer.groups * taps)

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, *size, device=layers[0].weight.device))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(found)


def count_with_zeros(network: nn.Module, size: tuple[int, int]) -> int:
    """As `count_flops`, by the usual count: the zeros around the picture too."""
    device = next(network.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, *size, device=device))
    return counter.get_total_flops()


def _taps(source: int, target: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """How many pairs of an output cell and a tap along one axis lie inside the picture."""
    first = np.arange(target)[:, None] * stride - padding
    places = first + np.arange(kernel) * dilation  # (target, kernel)
    return int(((places >= 0) & (places < source)).sum())


def _convolution(
    shape: tuple[int, int, int, int, int], dtype: torch.dtype
) -> tuple[nn.Module, Tensor]:
    inputs, outputs, kernel, height, width = shape
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    generator = torch.Generator().manual_seed(0)
    batch = torch.rand(1, inputs, height, width, generator=generator)
    nhwc = torch.channels_last
    return convolution.to(dtype, memory_format=nhwc).eval(), batch.to(dtype, memory_format=nhwc)


def _words(shape: tuple[int, int, int, int, int]) -> str:
    inputs, outputs, kernel, height, width = shape
    return f"{inputs} to {outputs} channels, {kernel} x {kernel}, {height} x {width} pixels"
