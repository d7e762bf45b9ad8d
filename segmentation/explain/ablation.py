"""The two halves of a network, and hooks that change what a part of it says.

An encoder turns the photo into feature maps, a head turns these into logits. Keeping the features
lets a person switch parts of the head off and on at the price of the head alone.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation._utils import _SimpleSegmentationModel
from torchvision.models.segmentation.lraspp import LRASPP

from segmentation.errors import ExplainError
from segmentation.inference.postprocessing import decide
from segmentation.inference.result import Segmentation
from segmentation.networks.deeplabv3plus import DeepLabV3Plus
from segmentation.networks.unet import UNet


@dataclass(frozen=True, eq=False)
class Encoded:
    """What an encoder made of a photo.

    Attributes:
        features: feature maps by name, (1, c, h, w) each; "out" or "high" is the last one.
        input_size: (h, w) of the batch in pixels.
    """

    features: Mapping[str, Tensor]
    input_size: tuple[int, int]

    @property
    def last(self) -> Tensor:
        """The encoder's last feature map, (1, c, h, w): what an ASPP samples."""
        return self.features["high" if "high" in self.features else "out"]

    @property
    def nbytes(self) -> int:
        """Bytes that keeping it costs."""
        return sum(f.numel() * f.element_size() for f in self.features.values())


def is_encoder_decoder(network: nn.Module) -> bool:
    """Whether `encode` and `decode` know this network."""
    return isinstance(network, _SimpleSegmentationModel | LRASPP | DeepLabV3Plus)


def encode(network: nn.Module, batch: Tensor) -> Encoded:
    """Run the first half: batch (1, 3, h, w) to feature maps.

    Raises:
        ExplainError: the network is not made of an encoder and a head that we know.
    """
    if not is_encoder_decoder(network):
        raise ExplainError(
            f"{family_with_article(network)} does not come apart into an encoder and a head that "
            "can be asked one by one"
        )
    with torch.inference_mode():
        if isinstance(network, DeepLabV3Plus):
            low, high = network.encoder(batch)
            features = {"low": low, "high": high}
        else:
            features = dict(network.backbone(batch))
    features.pop("aux", None)
    return Encoded(features, (batch.shape[2], batch.shape[3]))


def decode(network: nn.Module, encoded: Encoded) -> Tensor:
    """Run the second half: feature maps to logits (1, C, h, w), the very numbers of the whole."""
    features, size = encoded.features, encoded.input_size
    with torch.inference_mode():
        if isinstance(network, DeepLabV3Plus):
            return network.head(features["low"], features["high"], size=size)
        if isinstance(network, LRASPP):
            logits = network.classifier(dict(features))
        else:
            logits = network.classifier(features["out"])
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def replace_logits(result: Segmentation, logits: Tensor) -> Segmentation:
    """The same photo's result with other logits, decided as `Segmenter.predict` decides.

    Args:
        result: the plain result.
        logits: (1, C, h, w) or (C, h, w).
    """
    logits = logits.detach().reshape(logits.shape[-3:]).float().cpu()
    class_map, confidence, runner_up = decide(logits, result.class_map.shape)
    # a threshold was measured of the network as it is, not of a part of it
    return replace(
        result,
        class_map=class_map,
        confidence=confidence,
        runner_up=runner_up,
        logits=logits,
        set_sizes=None,
        set_threshold=None,
    )


def family(network: nn.Module) -> str:
    """What kind of network it is, for a sentence: "DeepLabV3", "LR-ASPP", "exported program"."""
    names = {
        "LRASPP": "LR-ASPP",
        "DeepLabV3Plus": "DeepLabV3+",
        "UNet": "U-Net",
        "ProgramNetwork": "exported program",
    }
    kind = type(network).__name__
    return names.get(kind, kind)


def family_with_article(network: nn.Module) -> str:
    """The same with its article: "a DeepLabV3", "an LR-ASPP"."""
    name = family(network)
    return f"{'an' if name.startswith(('LR', 'FCN', 'e')) else 'a'} {name}"


def nominal_stride(length: int, cells: int) -> int:
    """Pixels of the input per cell as a network means it: the power of two nearest to the ratio.

    520 pixels in 33 cells are stride 16: the last cell hangs over the edge.
    """
    return 2 ** max(0, round(math.log2(length / cells)))


@contextmanager
def changed_outputs(
    modules: Iterable[nn.Module], change: Callable[[Tensor], Tensor]
) -> Iterator[None]:
    """While the block runs, each module says `change(output)` instead of its output.

    The hooks go when the block ends, whichever way it ends.
    """
    handles = []
    try:
        for module in modules:
            handles.append(
                module.register_forward_hook(lambda _module, _inputs, output: change(output))
            )
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def without_skip(network: nn.Module) -> Iterator[None]:
    """While the block runs, the decoder gets zeros where the skip connection's features came in.

    Raises:
        ExplainError: the network has no skip connection.
    """
    if isinstance(network, DeepLabV3Plus):
        with changed_outputs([network.head.low_level_project], torch.zeros_like):
            yield
    elif isinstance(network, LRASPP):
        with changed_outputs([network.classifier.low_classifier], torch.zeros_like):
            yield
    elif isinstance(network, UNet):
        handles = []
        try:
            for block in network.expanding:
                handles.append(block.register_forward_pre_hook(_zero_first_half))
            yield
        finally:
            for handle in handles:
                handle.remove()
    else:
        raise ExplainError(
            f"{family_with_article(network)} has no skip connection that could be cut: its head "
            "sees the last feature map alone"
        )


def has_skip(network: nn.Module) -> bool:
    """Whether `without_skip` knows this network's skip connection."""
    return isinstance(network, DeepLabV3Plus | LRASPP | UNet)


def _zero_first_half(_module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """U-Net joins (skip, upsampled), equally many channels each: the skip becomes zeros."""
    (joined,) = inputs
    skip, below = joined.chunk(2, dim=1)
    return (torch.cat([torch.zeros_like(skip), below], dim=1),)
