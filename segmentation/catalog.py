"""The models that go by a name, and what is known of them without loading one."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import torch
from torchvision.models import get_model_weights

from segmentation.checkpoints import find_weights
from segmentation.devices import pick_device
from segmentation.networks import NETWORKS

EMBEDDED = "embedded"
EMBEDDED_FOLDER = Path(__file__).with_name("weights")

_PUBLISHED = {
    "deeplabv3_resnet101": "DeepLabV3, ResNet-101 (the article's)",
    "deeplabv3_resnet50": "DeepLabV3, ResNet-50",
    "deeplabv3_mobilenet_v3_large": "DeepLabV3, MobileNetV3-Large",
    "fcn_resnet101": "FCN, ResNet-101",
    "fcn_resnet50": "FCN, ResNet-50",
    "lraspp_mobilenet_v3_large": "LR-ASPP, MobileNetV3-Large",
}
_METRICS = "COCO-val2017-VOC-labels"


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model without loading it.

    Attributes:
        name: key in `MODELS`.
        title: for people.
        file: name of the published weights, or None where nobody published any.
        url: where they are published.
        bytes: size of the download, to about 0.1 %.
        parameters: how many, as published (the auxiliary head included).
        miou: published mean intersection over union in percent, on COCO val 2017, VOC's classes.
        pixel_acc: published share of right pixels in percent, same photos.
    """

    name: str
    title: str
    file: str | None = None
    url: str | None = None
    bytes: int | None = None
    parameters: int | None = None
    miou: float | None = None
    pixel_acc: float | None = None


def _published(name: str, title: str) -> ModelSpec:
    weights = get_model_weights(name).DEFAULT
    meta = weights.meta
    return ModelSpec(
        name=name,
        title=title,
        file=weights.url.rsplit("/", 1)[1],
        url=weights.url,
        bytes=round(meta["_file_size"] * 2**20),
        parameters=meta["num_params"],
        miou=meta["_metrics"][_METRICS]["miou"],
        pixel_acc=meta["_metrics"][_METRICS]["pixel_acc"],
    )


MODELS: dict[str, ModelSpec] = {
    **{name: _published(name, title) for name, title in _PUBLISHED.items()},
    EMBEDDED: ModelSpec(EMBEDDED, "the small built-in model"),
    **{
        name: ModelSpec(name, f"{name}, weights of your own")
        for name in NETWORKS
        if name not in _PUBLISHED
    },
}
"""Every model that goes by a name; any other is the path of a `.pt2` file with a card."""


def default_model(device: str | torch.device = "auto") -> str:
    """The model to use when none is named: the article's where there is a GPU, else a quick one."""
    fast = pick_device(device).type == "cuda"
    return "deeplabv3_resnet101" if fast else "deeplabv3_mobilenet_v3_large"


def has_embedded() -> bool:
    """Whether this copy of the package carries the embedded model."""
    return (EMBEDDED_FOLDER / "embedded.pth").is_file()


def local_weights(name: str) -> Path | None:
    """The file that a model's weights would be read from, without network; None if none is here.

    Raises:
        WeightsError: `PIXELWISE_WEIGHTS` names no folder.
    """
    if name == EMBEDDED:
        return EMBEDDED_FOLDER / "embedded.pth" if has_embedded() else None
    return find_weights(MODELS[name])


def unknown_model(name: str) -> str:
    """The message for a name that is no model's."""
    if Path(name).exists():
        return f"{name!r} is no model: a file of your own must be an exported program (.pt2)"
    close = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return (
        f"there is no model {name[:100]!r}: {hint}known are {', '.join(MODELS)}, or the path of a "
        ".pt2 file"
    )
