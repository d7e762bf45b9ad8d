"""Build every network of the project by name, with random weights."""

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision.models import segmentation as zoo

from segmentation.errors import ModelError
from segmentation.networks.deeplabv3plus import (
    deeplabv3plus_mobilenet_v3_large,
    deeplabv3plus_resnet18,
    deeplabv3plus_resnet101,
)
from segmentation.networks.unet import UNet

TORCHVISION_NETWORKS = (
    "deeplabv3_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_mobilenet_v3_large",
    "fcn_resnet101",
    "fcn_resnet50",
    "lraspp_mobilenet_v3_large",
)


def _zoo_network(name: str, num_classes: int) -> nn.Module:
    """Build one of torchvision's networks, whose backbone has no weights either."""
    return getattr(zoo, name)(weights=None, weights_backbone=None, num_classes=num_classes)


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "deeplabv3plus_resnet18": deeplabv3plus_resnet18,
    "deeplabv3plus_resnet101": deeplabv3plus_resnet101,
    "deeplabv3plus_mobilenet_v3_large": deeplabv3plus_mobilenet_v3_large,
    "unet": UNet,
    **{name: partial(_zoo_network, name) for name in TORCHVISION_NETWORKS},
}
"""Name to a function that builds the network for a number of classes."""


def build_network(name: str, num_classes: int = 21) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: A key of `NETWORKS`.
        num_classes: The number of classes.

    Returns:
        A network whose forward turns (N, 3, H, W) into {"out": logits (N, num_classes, H, W)}.

    Raises:
        ModelError: Unknown name.
    """
    if name not in NETWORKS:
        raise ModelError(f"unknown network {name!r}: one of {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name](num_classes)
