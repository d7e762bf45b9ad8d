"""The models by name, and how one is loaded: network, card and preprocessing together."""

import difflib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model, get_model_weights
from torchvision.transforms._presets import SemanticSegmentation

from segmentation.cards import ModelCard, check_card, parse_card
from segmentation.categories import VOC_CATEGORIES
from segmentation.checkpoints import differences, fetch_weights, find_weights, read_state_dict
from segmentation.devices import pick_device
from segmentation.download import Progress
from segmentation.errors import ModelError, PixelwiseError, WeightsError
from segmentation.networks import NETWORKS, build_network
from segmentation.programs import Side, load_program

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


@dataclass(frozen=True, eq=False)
class Model:
    """A network that is ready to answer.

    Attributes:
        name: key in `MODELS`, or the name on a `.pt2` file's card.
        network: in eval mode on `device`; batch (1, 3, h, w) float32 to {"out": (1, C, h', w')}.
        card: categories, preprocessing, source.
        transforms: PIL image or (3, H, W) uint8 tensor to (3, h, w) float32, as published.
        device: where the network is.
        sides: which heights and widths the network takes.
        square: height and width must be equal.
    """

    name: str
    network: nn.Module
    card: ModelCard
    transforms: Callable[[Image.Image | Tensor], Tensor]
    device: torch.device
    sides: tuple[Side, Side] = (Side(), Side())
    square: bool = False


def default_model(device: str | torch.device = "auto") -> str:
    """The model to use when none is named: the article's where there is a GPU, else a quick one."""
    fast = pick_device(device).type == "cuda"
    return "deeplabv3_resnet101" if fast else "deeplabv3_mobilenet_v3_large"


def has_embedded() -> bool:
    """Whether this copy of the package carries the embedded model."""
    return (EMBEDDED_FOLDER / "embedded.pth").is_file()


def is_program(name: str | os.PathLike[str]) -> bool:
    """Whether a model's name is the path of an exported program."""
    return Path(name).suffix.lower() == ".pt2"


def load_model(
    name_or_path: str | os.PathLike[str],
    *,
    device: str | torch.device = "auto",
    weights: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Load a model with its weights; a network without fitting weights is never returned.

    Args:
        name_or_path: a name in `MODELS`, or the path of a `.pt2` file.
        device: see `pick_device`.
        weights: a state dict to use instead of the published one (`.pth`).
        progress: called with (bytes done, bytes in all or None) while weights download.

    Raises:
        ModelError: no such model, or its file or card is not usable.
        WeightsError: its weights cannot be had, are broken, or do not fit.
        DeviceError: no such device here.
    """
    target = pick_device(device)
    if is_program(name_or_path):
        if weights is not None:
            raise ModelError(f"{name_or_path} carries its own weights: leave out weights={weights}")
        program = load_program(name_or_path, target)
        card = program.card
        return Model(
            card.name,
            program.network,
            card,
            card.transforms(),
            target,
            program.sides,
            program.square,
        )
    name = os.fspath(name_or_path)
    if name not in MODELS:
        raise ModelError(_unknown(name))
    if name == EMBEDDED:
        if weights is not None:
            raise ModelError("the embedded model has its own weights: name a network with weights=")
        return _load_embedded(target)
    path = (
        Path(weights).expanduser() if weights is not None else fetch_weights(MODELS[name], progress)
    )
    if MODELS[name].url:
        published = get_model_weights(name).DEFAULT
        network = _build_published(name)
        card, transforms = _published_card(name, published), published.transforms()
    else:
        card = _own_card(name, path)
        network = _on_meta(lambda: build_network(name, len(card.categories)))
        transforms = card.transforms()
    _fill(network, read_state_dict(path), path, name)
    return Model(name, _ready(network, target), card, transforms, target)


def _load_embedded(device: torch.device) -> Model:
    path = EMBEDDED_FOLDER / "embedded.pth"
    if not has_embedded():
        raise WeightsError(
            f"this copy carries no embedded model (looked for {path}): name another model"
        )
    fields = json.loads(path.with_suffix(".json").read_bytes())
    card = check_card(fields)
    network_name = fields.get("network", card.name)
    network = _on_meta(lambda: build_network(network_name, len(card.categories)))
    _fill(network, read_state_dict(path), path, network_name)
    return Model(EMBEDDED, _ready(network, device), card, card.transforms(), device)


def _build_published(name: str) -> nn.Module:
    """The network as its published weights know it: with the auxiliary head, where it has one."""
    options = {} if name.startswith("lraspp") else {"aux_loss": True}
    return _on_meta(
        lambda: get_model(
            name,
            weights=None,
            weights_backbone=None,
            num_classes=len(VOC_CATEGORIES),
            **options,
        )
    )


def _on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build without memory or random numbers: every tensor comes from the file."""
    with torch.device("meta"):
        return build()


def _published_card(name: str, weights: WeightsEnum) -> ModelCard:
    transforms: SemanticSegmentation = weights.transforms()
    return ModelCard(
        name=name,
        categories=tuple(weights.meta["categories"]),
        palette="voc",
        resize=transforms.resize_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        source=weights.url,
        license="BSD-3-Clause",
        parameters=MODELS[name].parameters,
        miou=MODELS[name].miou,
    )


def _own_card(name: str, path: Path) -> ModelCard:
    """The card beside the weights (`x.json` by `x.pth`), or VOC's classes and the preset."""
    beside = path.with_suffix(".json")
    if beside.is_file():
        try:
            return parse_card(beside.read_bytes())
        except (OSError, PixelwiseError) as error:
            raise ModelError(f"the card {beside} cannot be used: {error}") from error
    like = _published_card(
        "lraspp_mobilenet_v3_large", get_model_weights("lraspp_mobilenet_v3_large").DEFAULT
    )
    return ModelCard(name, like.categories, "voc", like.resize, like.mean, like.std, str(path))


def _fill(network: nn.Module, state: dict[str, Tensor], path: Path, name: str) -> None:
    """Give a network its weights, all of them, or refuse with the first keys that differ."""
    expected = network.state_dict()
    if not any(key.startswith("aux_classifier.") for key in state) and hasattr(
        network, "aux_classifier"
    ):
        network.aux_classifier = None  # a network trained without it answers just as well
        expected = network.state_dict()
    # batch norm counts its training steps for training alone; old files lack the count
    wrong = differences(expected, state, ignore=lambda key: key.endswith("num_batches_tracked"))
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(
            f"the weights in {path} do not fit {name}: {'; '.join(wrong[:3])}{more}. "
            "Name the model that they were trained for"
        )
    for key, value in expected.items():
        given = state.get(key, torch.zeros((), dtype=value.dtype))
        if given.is_floating_point() != value.is_floating_point():
            raise WeightsError(f"the weights in {path} do not fit {name}: {key} is {given.dtype}")
        state[key] = given.to(value.dtype)  # float16 files are read as float32
    network.load_state_dict(state, assign=True)


def _ready(network: nn.Module, device: torch.device) -> nn.Module:
    return network.eval().requires_grad_(False).to(device)


def _unknown(name: str) -> str:
    if Path(name).exists():
        return f"{name!r} is no model: a file of your own must be an exported program (.pt2)"
    close = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return (
        f"there is no model {name[:100]!r}: {hint}known are {', '.join(MODELS)}, or the path of a "
        ".pt2 file"
    )


def is_here(name: str) -> Path | None:
    """The file that a model's weights would be read from, without network; None if none is here.

    Raises:
        WeightsError: `PIXELWISE_WEIGHTS` names no folder.
    """
    if name == EMBEDDED:
        return EMBEDDED_FOLDER / "embedded.pth" if has_embedded() else None
    return find_weights(MODELS[name])
