"""The contenders from a photo's file to an overlay, all with the same seeded random weights."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights

import segmentation
from benchmarks.speed.original_script import ALPHA, SHORT_SIDE, article_script, preset_script
from benchmarks.speed.timing import Clock, Work
from segmentation.inference.postprocessing import decide
from segmentation.overlay import blend
from segmentation.palette import colorize, voc_palette

MODELS = (
    "lraspp_mobilenet_v3_large",
    "deeplabv3_mobilenet_v3_large",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
)
"""The models with a target; quick ones first, so that a mistake shows early."""
PRESET_SIDE = 520
"""Shorter side in pixels that torchvision's published transforms make."""


def new_network(name: str, *, auxiliary: bool) -> nn.Module:
    """Return one of torchvision's networks without weights; LR-ASPP has no auxiliary head."""
    options = {"aux_loss": True} if auxiliary and not name.startswith("lraspp") else {}
    return get_model(name, weights=None, weights_backbone=None, **options)


def random_network(name: str, seed: int = 0) -> nn.Module:
    """Return one of torchvision's networks with its auxiliary head, random weights, in eval mode.

    The time does not depend on the weights, but the comparison of logits does: with batch norm's
    statistics at 0 and 1 a hundred layers make huge numbers. So they are set from a batch of noise.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = new_network(name, auxiliary=True)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            network.train()(torch.randn(2, 3, 129, 129))
        for norm in norms:
            norm.momentum = 0.1
    return network.eval()


def load_ours(network: nn.Module, name: str, folder: Path, **options: Any) -> Any:
    """Return a `Segmenter` with a network's weights; options as for `segmentation.load`."""
    weights = folder / f"{name}.pth"
    if not weights.exists():
        torch.save(network.state_dict(), weights)
    return segmentation.load(name, device="cpu", weights=weights, **options)


def our_logits(segmenter: Any, data: bytes, clock: Clock) -> tuple[np.ndarray, Tensor]:
    """Decode a photo's file and run a `Segmenter`'s network.

    Returns:
        The image (H, W, 3) uint8, and logits (C, h, w); `clock` gets decode, preprocess, network.
    """
    with clock("decode"):
        image = segmentation.open_photo(data).image
    with clock("preprocess"):
        batch = segmenter.preprocess(Image.fromarray(image), size=segmenter.size)
    with clock("network"):
        return image, segmenter._forward(batch)[0]


def our_script(segmenter: Any, data: bytes, clock: Clock) -> bytes:
    """Run the steps of `python -m segmentation` on a photo, but for the label map's file.

    See `article_script`, with a `Segmenter` in place of the network.
    """
    image, logits = our_logits(segmenter, data, clock)
    with clock("postprocess"):
        class_map, _, _ = decide(logits, image.shape[:2])
        colors = colorize(class_map, voc_palette())
    with clock("encode"):
        file = io.BytesIO()
        Image.fromarray(blend(image, colors, ALPHA)).save(file, "PNG", compress_level=1)
        return file.getvalue()


def scripts(
    network: nn.Module, name: str, ours: dict[str, Any], data: bytes, size: int = PRESET_SIDE
) -> dict[str, Work]:
    """Return the contenders that go from a file to an overlay.

    Args:
        network: of `random_network`.
        name: its name.
        ours: contender to `Segmenter`.
        data: the photo's file.
        size: shorter side in pixels of the networks' input; the article's is 640 where the others'
            is 520, and in that proportion otherwise.
    """
    preset = get_model_weights(name).DEFAULT.transforms(resize_size=size)
    large = round(size * SHORT_SIDE / PRESET_SIDE)
    contenders: dict[str, Work] = {
        "article": lambda clock: article_script(network, data, clock, large),
        "preset": lambda clock: preset_script(network, preset, data, clock),
    }
    for key, segmenter in ours.items():
        contenders[key] = lambda clock, chosen=segmenter: our_script(chosen, data, clock)
    return contenders


def enlarged_photo(path: Path, size: tuple[int, int]) -> bytes:
    """Return a photo as a JPEG of (height, width) pixels, with noise like a camera's.

    Without noise large areas would be smooth and quick to code; with it 12 megapixels make 3 MB.
    """
    height, width = size
    image = Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    values = np.asarray(image)
    noise = np.random.default_rng(0).integers(-8, 9, values.shape[:2], np.int8)[..., None]
    noisy = np.clip(values.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=90)
    return file.getvalue()
