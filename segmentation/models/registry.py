"""The models that go by a name, and what is known of them without loading one."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segmentation.devices import may_have_cuda, pick_device
from segmentation.errors import ModelError, WeightsError
from segmentation.models.card import ModelCard, parse_card
from segmentation.models.checkpoints.file_types import name_kind
from segmentation.models.weights import find_weights

if TYPE_CHECKING:
    import torch

EMBEDDED = "embedded"
EMBEDDED_FOLDER = Path(__file__).parent.parent / "weights"
FIGURES_FOLDER = EMBEDDED_FOLDER / "figures"
"""What `training.evaluate --json` measured of published weights: one NAME.json for each model."""

_ADDRESS = "https://download.pytorch.org/models/"
OWN_NETWORKS = (
    "deeplabv3plus_resnet18",
    "deeplabv3plus_resnet101",
    "deeplabv3plus_mobilenet_v3_large",
    "unet",
)
"""Networks that nobody published weights for; `segmentation.networks.build` builds them."""


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


# What torchvision says of its weights, set down here: importing it takes seconds, and the page and
# `--list` need no more of it. A test compares each number with torchvision's own.
_PUBLISHED = (
    ModelSpec(
        "deeplabv3_resnet101",
        "DeepLabV3, ResNet-101 (the article's)",
        "deeplabv3_resnet101_coco-586e9e4e.pth",
        _ADDRESS + "deeplabv3_resnet101_coco-586e9e4e.pth",
        244545749,
        60996202,
        67.4,
        92.4,
    ),
    ModelSpec(
        "deeplabv3_resnet50",
        "DeepLabV3, ResNet-50",
        "deeplabv3_resnet50_coco-cd0a2569.pth",
        _ADDRESS + "deeplabv3_resnet50_coco-cd0a2569.pth",
        168312177,
        42004074,
        66.4,
        92.4,
    ),
    ModelSpec(
        "deeplabv3_mobilenet_v3_large",
        "DeepLabV3, MobileNetV3-Large",
        "deeplabv3_mobilenet_v3_large-fc3c493d.pth",
        _ADDRESS + "deeplabv3_mobilenet_v3_large-fc3c493d.pth",
        44355813,
        11029328,
        60.3,
        91.2,
    ),
    ModelSpec(
        "fcn_resnet101",
        "FCN, ResNet-101",
        "fcn_resnet101_coco-7ecb50ca.pth",
        _ADDRESS + "fcn_resnet101_coco-7ecb50ca.pth",
        217800770,
        54314346,
        63.7,
        91.9,
    ),
    ModelSpec(
        "fcn_resnet50",
        "FCN, ResNet-50",
        "fcn_resnet50_coco-1167a1af.pth",
        _ADDRESS + "fcn_resnet50_coco-1167a1af.pth",
        141567197,
        35322218,
        60.5,
        91.4,
    ),
    ModelSpec(
        "lraspp_mobilenet_v3_large",
        "LR-ASPP, MobileNetV3-Large",
        "lraspp_mobilenet_v3_large-d234d4ea.pth",
        _ADDRESS + "lraspp_mobilenet_v3_large-d234d4ea.pth",
        13096714,
        3221538,
        57.9,
        91.2,
    ),
)

PUBLISHED_ON = "COCO val2017 with VOC's classes"
"""What torchvision's figures were measured on (its `_metrics`: "COCO-val2017-VOC-labels")."""

MODELS: dict[str, ModelSpec] = {
    **{spec.name: spec for spec in _PUBLISHED},
    EMBEDDED: ModelSpec(EMBEDDED, "the small built-in model"),
    **{name: ModelSpec(name, f"{name}, weights of your own") for name in OWN_NETWORKS},
}
"""Every model that goes by a name; any other is the path of a `.pt2` file with a card."""


def default_model(device: "str | torch.device" = "auto") -> str:
    """The model to use when none is named: the article's where there is a GPU, else a quick one."""
    known = str(device) == "cpu" or (str(device) == "auto" and not may_have_cuda())
    fast = not known and pick_device(device).type == "cuda"
    return "deeplabv3_resnet101" if fast else "deeplabv3_mobilenet_v3_large"


def has_embedded() -> bool:
    """Whether this copy of the package carries the embedded model."""
    return (EMBEDDED_FOLDER / "embedded.pth").is_file()


def embedded_card() -> ModelCard:
    """The embedded model's card, without loading the model.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        return parse_card((EMBEDDED_FOLDER / "embedded.json").read_bytes())
    except (OSError, ModelError) as error:
        raise WeightsError(f"the embedded model has no usable card: {error}") from error


def find_local_weights(name: str) -> Path | None:
    """The file that a model's weights would be read from, without network; None if none is here.

    Raises:
        WeightsError: `PIXELWISE_WEIGHTS` names no folder.
    """
    if name == EMBEDDED:
        return EMBEDDED_FOLDER / "embedded.pth" if has_embedded() else None
    return find_weights(MODELS[name])


def unknown_model_message(name: str) -> str:
    """The message for a name that is no model's."""
    if Path(name).exists():
        return (
            f"{name!r} is no model{_kind_of(Path(name))}: a file of your own must be an exported "
            "program (.pt2), or weights for a model of that list (--model NAME --weights FILE)"
        )
    close = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return (
        f"there is no model {name[:100]!r}: {hint}known are {', '.join(MODELS)}, or the path of a "
        ".pt2 file"
    )


def _kind_of(path: Path) -> str:
    try:
        kind = name_kind(path)
    except OSError:
        return ""
    return f" ({kind})" if kind else ""
