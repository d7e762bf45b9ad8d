"""Functions shared by training, evaluation and export."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.models.segmentation import DeepLabV3_ResNet101_Weights
from torchvision.transforms.functional import InterpolationMode, normalize, pil_to_tensor, resize

from segmentation.inference.precision import has_cpu_bfloat16

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def voc_categories(num_classes: int = 21) -> tuple[str, ...]:
    """Return torchvision's names of the VOC classes, or numbers unless there are 21 classes."""
    names = DeepLabV3_ResNet101_Weights.DEFAULT.meta["categories"]
    return tuple(names) if num_classes == len(names) else tuple(str(i) for i in range(num_classes))


def pick_training_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is CUDA if available, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def fast_bfloat16(device: torch.device) -> bool:
    """Return whether a device has native bfloat16: CUDA from Ampere on, and some CPUs."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and has_cpu_bfloat16()


def eval_transforms(
    size: int,
    *,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Callable[[Image.Image], Tensor]:
    """Return torchvision's preset: shorter side to `size`, normalised, (3, h, w) float32."""

    def transform(image: Image.Image) -> Tensor:
        image = resize(image, [size], interpolation=InterpolationMode.BILINEAR)
        pixels = pil_to_tensor(image).float() / 255
        return normalize(pixels, list(mean), list(std))

    return transform


def initial_weights(name: str, model: str) -> dict[str, Tensor]:
    """Return a state dict: the embedded model's, or a file's (of a checkpoint, its average).

    Args:
        name: "embedded" or a path.
        model: The network that they must fit.

    Raises:
        ValueError: The embedded weights belong to another network.
    """
    if name == "embedded":
        from segmentation.models.loader import load_model

        embedded = load_model("embedded", device="cpu")
        if embedded.card.name != model:
            raise ValueError(f"the embedded weights are for {embedded.card.name}, not for {model}")
        return embedded.network.state_dict()
    state = torch.load(name, map_location="cpu", weights_only=True)
    state = state["average"]["network"] if "average" in state else state
    return {
        key: value.float() if value.is_floating_point() else value for key, value in state.items()
    }


def own_card(name: str, num_classes: int, size: int) -> dict[str, Any]:
    """Return the card of a network that this package trained.

    Args:
        name: The network's name.
        num_classes: Its number of classes.
        size: Shorter side of its input, in pixels.
    """
    return {
        "name": name,
        "categories": list(voc_categories(num_classes)),
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "resize": size,
        "palette": "voc",
        "source": "trained with this project's own recipe (training/)",
        "license": "that of the photos it was trained on",
    }
