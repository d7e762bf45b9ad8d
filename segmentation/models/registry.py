"""The named models, and their facts that need no loading."""

import contextlib
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
"""Results of `training.evaluate --json` for published weights: one NAME.json for each model."""

_URL = "https://download.pytorch.org/models/"
OWN_NETWORKS = (
    "deeplabv3plus_resnet18",
    "deeplabv3plus_resnet101",
    "deeplabv3plus_mobilenet_v3_large",
    "unet",
)
"""Networks without published weights; `segmentation.networks.build` builds them."""


@dataclass(frozen=True)
class ModelSpec:
    """The facts about a model that need no loading.

    Attributes:
        name: Key in `MODELS`.
        title: Name for the user.
        file: File name of the published weights; None without any.
        url: Their address.
        bytes: Size of the download, to about 0.1 %.
        parameters: Their published number (the auxiliary head included).
        miou: Published mean intersection over union in percent, on COCO val 2017, VOC's classes.
        pixel_acc: Published share of correct pixels in percent, same photos.
    """

    name: str
    title: str
    file: str | None = None
    url: str | None = None
    bytes: int | None = None
    parameters: int | None = None
    miou: float | None = None
    pixel_acc: float | None = None


# Torchvision's facts about its weights, copied because importing torchvision takes seconds,
# which the page and `--list` need not spend. A test compares each number with torchvision's own.
_TITLES = {
    "deeplabv3_resnet101": "DeepLabV3, ResNet-101 (the article's)",
    "deeplabv3_resnet50": "DeepLabV3, ResNet-50",
    "deeplabv3_mobilenet_v3_large": "DeepLabV3, MobileNetV3-Large",
    "fcn_resnet101": "FCN, ResNet-101",
    "fcn_resnet50": "FCN, ResNet-50",
    "lraspp_mobilenet_v3_large": "LR-ASPP, MobileNetV3-Large",
}
# Name: (end of the file's name, bytes, parameters, mean IoU in %, pixel accuracy in %)
_PUBLISHED = {
    "deeplabv3_resnet101": ("_coco-586e9e4e", 244545749, 60996202, 67.4, 92.4),
    "deeplabv3_resnet50": ("_coco-cd0a2569", 168312177, 42004074, 66.4, 92.4),
    "deeplabv3_mobilenet_v3_large": ("-fc3c493d", 44355813, 11029328, 60.3, 91.2),
    "fcn_resnet101": ("_coco-7ecb50ca", 217800770, 54314346, 63.7, 91.9),
    "fcn_resnet50": ("_coco-1167a1af", 141567197, 35322218, 60.5, 91.4),
    "lraspp_mobilenet_v3_large": ("-d234d4ea", 13096714, 3221538, 57.9, 91.2),
}


def _published_spec(name: str) -> ModelSpec:
    ending, *figures = _PUBLISHED[name]
    file = f"{name}{ending}.pth"
    return ModelSpec(name, _TITLES[name], file, f"{_URL}{file}", *figures)


PUBLISHED_ON = "COCO val2017 with VOC's classes"
"""The photos of torchvision's figures (its `_metrics`: "COCO-val2017-VOC-labels")."""

MODELS: dict[str, ModelSpec] = {
    **{name: _published_spec(name) for name in _PUBLISHED},
    EMBEDDED: ModelSpec(EMBEDDED, "the small built-in model"),
    **{name: ModelSpec(name, f"{name}, weights of your own") for name in OWN_NETWORKS},
}
"""Every named model; any other is the path of a `.pt2` file with a card."""


def default_model(device: "str | torch.device" = "auto") -> str:
    """Return the model to use by default: the article's on a GPU, otherwise a faster one."""
    is_cpu = str(device) == "cpu" or (str(device) == "auto" and not may_have_cuda())
    has_gpu = not is_cpu and pick_device(device).type == "cuda"
    return "deeplabv3_resnet101" if has_gpu else "deeplabv3_mobilenet_v3_large"


def has_embedded() -> bool:
    """Return whether this copy of the package contains the embedded model."""
    return (EMBEDDED_FOLDER / "embedded.pth").is_file()


def embedded_card() -> ModelCard:
    """Return the embedded model's card without loading the model.

    Raises:
        WeightsError: It cannot be read.
    """
    try:
        return parse_card((EMBEDDED_FOLDER / "embedded.json").read_bytes())
    except (OSError, ModelError) as error:
        raise WeightsError(f"the embedded model has no usable card: {error}") from error


def find_local_weights(name: str) -> Path | None:
    """Return the local file of a model's weights, without downloading; None if there is none.

    Raises:
        WeightsError: `PIXELWISE_WEIGHTS` is not a folder.
    """
    if name == EMBEDDED:
        return EMBEDDED_FOLDER / "embedded.pth" if has_embedded() else None
    return find_weights(MODELS[name])


def unknown_model_message(name: str) -> str:
    """Return the message for a name that is not in `MODELS`."""
    if Path(name).exists():
        kind = None
        with contextlib.suppress(OSError):
            kind = name_kind(Path(name))
        found = f" ({kind})" if kind else ""
        return (
            f"{name!r} is no model{found}: a file of your own must be an exported "
            "program (.pt2), or weights for a model of that list (--model NAME --weights FILE)"
        )
    close = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return (
        f"there is no model {name[:100]!r}: {hint}known are {', '.join(MODELS)}, or the path of a "
        ".pt2 file"
    )
