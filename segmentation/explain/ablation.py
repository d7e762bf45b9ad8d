"""Run a network's encoder and head separately, and change the outputs of its modules.

An encoder turns the photo into feature maps, and a head turns these into logits. With the feature
maps cached, switching a part of the head off or on costs one run of the head.
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
    """The feature maps that an encoder computed from a photo.

    Attributes:
        features: feature maps by name, each (1, c, h, w); "out" or "high" is the last.
        input_size: (h, w) of the batch in pixels.
    """

    features: Mapping[str, Tensor]
    input_size: tuple[int, int]

    @property
    def last(self) -> Tensor:
        """The encoder's last feature map, (1, c, h, w): the input of an ASPP."""
        return self.features["high" if "high" in self.features else "out"]

    @property
    def nbytes(self) -> int:
        """Size of the feature maps in bytes."""
        return sum(f.numel() * f.element_size() for f in self.features.values())


def is_encoder_decoder(network: nn.Module) -> bool:
    """Return whether `encode` and `decode` support this network."""
    return isinstance(network, _SimpleSegmentationModel | LRASPP | DeepLabV3Plus)


def encode(network: nn.Module, batch: Tensor) -> Encoded:
    """Run the encoder: batch (1, 3, h, w) to feature maps.

    Raises:
        ExplainError: the network has no supported encoder and head.
    """
    if not is_encoder_decoder(network):
        raise ExplainError(
            f"{family_with_article(network)} cannot be split into an encoder and a head"
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
    """Run the head: feature maps to logits (1, C, h, w), bit for bit as in the full network."""
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
    """Return the photo's result with other logits, decided as in `Segmenter.predict`.

    Args:
        result: the photo's original result.
        logits: (1, C, h, w) or (C, h, w).
    """
    logits = logits.detach().reshape(logits.shape[-3:]).float().cpu()
    class_map, confidence, runner_up = decide(logits, result.class_map.shape)
    # the threshold was measured with the full network
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
    """Return the name of a network's architecture, such as "DeepLabV3" or "exported program"."""
    names = {
        "LRASPP": "LR-ASPP",
        "DeepLabV3Plus": "DeepLabV3+",
        "UNet": "U-Net",
        "ProgramNetwork": "exported program",
    }
    name = type(network).__name__
    return names.get(name, name)


def family_with_article(network: nn.Module) -> str:
    """Return the architecture with its article: "a DeepLabV3", "an LR-ASPP"."""
    name = family(network)
    return f"{'an' if name.startswith(('LR', 'FCN', 'e')) else 'a'} {name}"


def nominal_stride(length: int, cells: int) -> int:
    """Return the input pixels per cell, rounded to the nearest power of two.

    520 pixels in 33 cells are stride 16: the last cell extends past the edge.
    """
    return 2 ** max(0, round(math.log2(length / cells)))


@contextmanager
def changed_outputs(
    modules: Iterable[nn.Module], change: Callable[[Tensor], Tensor]
) -> Iterator[None]:
    """Make each module return `change(output)` inside the `with` block.

    The hooks are removed when the block ends, also after an exception.
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
    """Replace the skip connection's features by zeros inside the `with` block.

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
            f"{family_with_article(network)} has no skip connection to remove: its head reads only "
            "the last feature map"
        )


def has_skip(network: nn.Module) -> bool:
    """Return whether `without_skip` supports this network."""
    return isinstance(network, DeepLabV3Plus | LRASPP | UNet)


def _zero_first_half(_module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Zero the skip half of a U-Net block's input, (skip, upsampled) of equal channel counts."""
    (concatenated,) = inputs
    skip, upsampled = concatenated.chunk(2, dim=1)
    return (torch.cat([torch.zeros_like(skip), upsampled], dim=1),)
