"""Load a model: network, card and preprocessing."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights

from segmentation.devices import pick_device
from segmentation.errors import ModelError, PixelwiseError, WeightsError
from segmentation.models.card import ModelCard, check_card, parse_fields
from segmentation.models.card_figures import Figures, parse_figures
from segmentation.models.download import Progress
from segmentation.models.exported.program import SizeRange, load_program
from segmentation.models.registry import (
    EMBEDDED,
    EMBEDDED_FOLDER,
    FIGURES_FOLDER,
    MODELS,
    PUBLISHED_ON,
    embedded_card,
    has_embedded,
    unknown_model_message,
)
from segmentation.models.weights import differences, fetch_weights, read_state_dict
from segmentation.networks.build import build_network


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model.

    Attributes:
        name: Key in `MODELS`, or the name on a `.pt2` file's card.
        network: In eval mode on `device`; batch (1, 3, h, w) float32 to {"out": (1, C, h', w')}.
        card: Categories, preprocessing, source.
        transforms: PIL image or (3, H, W) uint8 tensor to (3, h, w) float32, as published.
        device: The network's device.
        sides: Heights and widths that a program accepts; None for a network that accepts any.
        square: Whether height and width must be equal.
    """

    name: str
    network: nn.Module
    card: ModelCard
    transforms: Callable[[Image.Image | Tensor], Tensor]
    device: torch.device
    sides: tuple[SizeRange, SizeRange] | None = None
    square: bool = False


def is_program(name: str | os.PathLike[str]) -> bool:
    """Return whether a model's name is the path of an exported program."""
    return Path(name).suffix.lower() == ".pt2"


def load_model(
    name_or_path: str | os.PathLike[str],
    *,
    device: str | torch.device = "auto",
    weights: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Load a model with its weights, or raise an error where they do not fit its network.

    Args:
        name_or_path: A name in `MODELS`, or the path of a `.pt2` file.
        device: See `pick_device`.
        weights: A state dict to use instead of the published one (`.pth`).
        progress: Called with (bytes done, total bytes or None) while weights download.

    Raises:
        ModelError: No such model, or its file or card is not usable.
        WeightsError: Its weights are missing, broken, or do not fit.
        DeviceError: The device is not available.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise ModelError(f"a model is named by text or a path, not by {name_or_path!r:.60}")
    target = pick_device(device)
    if is_program(name_or_path):
        if weights is not None:
            raise ModelError(f"{name_or_path} carries its own weights: leave out weights={weights}")
        program = load_program(name_or_path, target)
        card, sides = program.card, program.sides
        return Model(
            card.name, program.network, card, card.transforms(), target, sides, program.square
        )
    name = os.fspath(name_or_path)
    if name not in MODELS:
        raise ModelError(unknown_model_message(name))
    if name == EMBEDDED:
        if weights is not None:
            raise ModelError("the embedded model has its own weights: name a network with weights=")
        return _load_embedded(target)
    path = fetch_weights(MODELS[name], progress) if weights is None else Path(weights).expanduser()
    return _load_named(name, path, target, verified=weights is None)


def _load_named(name: str, path: Path, device: torch.device, *, verified: bool) -> Model:
    """Load a named network with the weights of a file; `verified` if its hash was checked."""
    preset = _preset(name, path)
    if MODELS[name].url and not verified:  # other weights than those that were measured
        preset = replace(preset, source=str(path), miou=None, measured_on="", figures=None)
    card = _card_beside(path, preset)
    transforms = preset.transforms() if card is None else card.transforms()
    card = card or preset
    build = _build_published if MODELS[name].url else build_network
    network = _on_meta(lambda: build(name, len(card.categories)))
    state = read_state_dict(path, verified=verified, expected=network.state_dict())
    _fill(network, state, path, name)
    return Model(name, _ready(network, device), card, transforms, device)


def _load_embedded(device: torch.device) -> Model:
    path = EMBEDDED_FOLDER / "embedded.pth"
    if not has_embedded():
        raise WeightsError(
            f"this copy carries no embedded model (looked for {path}): name another model"
        )
    card = embedded_card()
    network = _on_meta(lambda: build_network(card.name, len(card.categories)))
    _fill(network, read_state_dict(path), path, card.name)
    return Model(EMBEDDED, _ready(network, device), card, card.transforms(), device)


def _build_published(name: str, num_classes: int) -> nn.Module:
    """Build the network of the published weights: with the auxiliary head, if it has one."""
    options = {} if name.startswith("lraspp") else {"aux_loss": True}
    return get_model(name, weights=None, weights_backbone=None, num_classes=num_classes, **options)


def _on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build without allocating or initialising: every tensor comes from the file."""
    with torch.device("meta"):
        return build()


def _published_card(name: str) -> ModelCard:
    weights = get_model_weights(name).DEFAULT
    transforms = weights.transforms()
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
        measured_on=PUBLISHED_ON if MODELS[name].miou is not None else "",
        figures=_measured_figures(name, tuple(weights.meta["categories"])),
    )


def _measured_figures(name: str, categories: tuple[str, ...]) -> Figures | None:
    """Return this project's measurements of published weights, or None."""
    path = FIGURES_FOLDER / f"{name}.json"
    return parse_figures(json.loads(path.read_bytes()), categories) if path.is_file() else None


def _preset(name: str, path: Path) -> ModelCard:
    """Return the card of a network without a card file: torchvision's, or VOC's classes."""
    if MODELS[name].url:
        return _published_card(name)
    card = _published_card("lraspp_mobilenet_v3_large")  # or any other of VOC's classes
    return ModelCard(name, card.categories, "voc", card.resize, card.mean, card.std, str(path))


def _card_beside(path: Path, preset: ModelCard) -> ModelCard | None:
    """Read the card beside the weights (`x.json` beside `x.pth`), or return None.

    The categories are required. Name, mean, std and resize default to the preset's.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    try:
        fields = parse_fields(beside.read_bytes())
        known = {name: getattr(preset, name) for name in ("name", "mean", "std", "resize")}
        return check_card({**known, **fields})
    except (OSError, PixelwiseError) as error:
        raise ModelError(f"the card {beside} cannot be used: {error}") from error


def _fill(network: nn.Module, state: dict[str, Tensor], path: Path, name: str) -> None:
    """Assign all of a network's weights, or raise an error with the first keys that differ."""
    expected = network.state_dict()
    _widen(state, expected)
    if hasattr(network, "aux_classifier") and not _has_auxiliary_head(state, expected):
        network.aux_classifier = None  # only training uses it
        expected = network.state_dict()
    # only training uses batch norm's count of steps; old files lack it
    wrong = differences(expected, state, ignore=lambda key: key.endswith("num_batches_tracked"))
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(
            f"the weights in {path} do not fit {name}: {'; '.join(wrong[:3])}{more}. "
            f"{_remedy(state, expected, path)}"
        )
    for key, value in expected.items():
        given = state.get(key, torch.zeros((), dtype=value.dtype))
        if value.is_floating_point() and not given.is_floating_point():
            raise WeightsError(f"the weights in {path} do not fit {name}: {key} is {given.dtype}")
        state[key] = given.to(value.dtype)  # float16 files are read as float32
    network.load_state_dict(state, assign=True)


def _widen(state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Expand a single output channel to two classes: softmax over (0, z) is sigmoid(z)."""
    for key, value in expected.items():
        given = state.get(key)
        if given is not None and value.shape[:1] == (2,) and given.shape == (1, *value.shape[1:]):
            state[key] = torch.cat([torch.zeros_like(given), given])


def _has_auxiliary_head(state: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    """Return whether the file has an auxiliary head; remove one with other classes."""
    keys = [key for key in state if key.startswith("aux_classifier.")]
    if any(key in expected and state[key].shape != expected[key].shape for key in keys):
        for key in keys:
            del state[key]
        return False
    return bool(keys)


def _remedy(state: dict[str, Tensor], expected: dict[str, Tensor], path: Path) -> str:
    """Return the remedy for weights that do not fit; usually a card is missing."""
    odd = [key for key in expected if key in state and state[key].shape != expected[key].shape]
    ends = {(len(state[k]), len(expected[k])) for k in odd if state[k].ndim and expected[k].ndim}
    heads = all(state[key].shape[1:] == expected[key].shape[1:] for key in odd)
    if not (odd and heads and len(ends) == 1 and state.keys() >= set(expected)):
        return "Name the model that they were trained for"
    ((given, needed),) = ends
    beside = path.with_suffix(".json")
    if beside.is_file():
        return f"They tell {given} classes apart, but the card {beside} lists {needed}: correct it"
    return (
        f"They tell {given} classes apart: list those, in order, in a card {beside.name} beside "
        'the file, such as {"categories": ["background", ...]}, or name the model that they were '
        "trained for"
    )


def _ready(network: nn.Module, device: torch.device) -> nn.Module:
    return network.eval().requires_grad_(False).to(device)


def count_parameters(name: str) -> int | None:
    """Return the number of a named model's parameters without loading it; None if unknown.

    For published models it is the published number (their auxiliary head included).
    """
    if MODELS[name].parameters:
        return MODELS[name].parameters
    network_name = name
    if name == EMBEDDED:
        try:
            network_name = embedded_card().name
        except WeightsError:
            return None
    network = _on_meta(lambda: build_network(network_name))
    return sum(parameter.numel() for parameter in network.parameters())
