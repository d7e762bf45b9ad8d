"""Who runs against whom: the same seeded random weights for all, each in its own way."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
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
"""Those that have a target; quick ones first, so that a mistake shows early."""
PRESET_SIDE = 520
"""Shorter side in pixels that torchvision's published transforms make."""


def random_network(name: str, seed: int = 0) -> nn.Module:
    """One of torchvision's networks, auxiliary head included, with weights that behave.

    The time does not depend on what the weights are, but the comparison of answers does: with batch
    norm's statistics left at 0 and 1, a hundred layers blow the numbers up. So they are taken from
    one batch of noise.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        auxiliary = {} if name.startswith("lraspp") else {"aux_loss": True}
        network = get_model(name, weights=None, weights_backbone=None, **auxiliary)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            network.train()(torch.randn(2, 3, 129, 129))
        for norm in norms:
            norm.momentum = 0.1
    return network.eval()


def load_ours(network: nn.Module, name: str, folder: Path, **options: Any) -> Any:
    """A `Segmenter` with a network's weights; options as for `segmentation.load`."""
    weights = folder / f"{name}.pth"
    if not weights.exists():
        torch.save(network.state_dict(), weights)
    return segmentation.load(name, device="cpu", weights=weights, **options)


def our_script(segmenter: Any, data: bytes, clock: Clock) -> bytes:
    """What `python -m segmentation` does with a photo, but for the label map's file.

    Args:
        segmenter: a `Segmenter`.
        data: the photo's file.
        clock: gets decode, preprocess, network, postprocess, encode.

    Returns:
        A PNG of the photo's size, the colours over it at half opacity.
    """
    with clock("decode"):
        image = segmentation.open_photo(data).image
    with clock("preprocess"):
        batch = segmenter.preprocess(Image.fromarray(image), size=segmenter.size)
    with clock("network"):
        logits = segmenter._forward(batch)[0]
    with clock("postprocess"):
        class_map, _, _ = decide(logits, image.shape[:2])
        colors = colorize(class_map, voc_palette())
    with clock("encode"):
        file = io.BytesIO()
        overlay = Image.fromarray(blend(image, colors, ALPHA))
        overlay.save(file, "PNG", compress_level=1)
        return file.getvalue()


def scripts(
    network: nn.Module, name: str, ours: dict[str, Any], data: bytes, size: int = PRESET_SIDE
) -> dict[str, Work]:
    """Those that go all the way from a file to an overlay.

    Args:
        network: of `random_network`.
        name: its name.
        ours: contender to `Segmenter`.
        data: the photo's file.
        size: shorter side in pixels that the networks are shown; the article's script is shown
            640 pixels where the others are shown 520, and in that proportion otherwise.
    """
    preset = get_model_weights(name).DEFAULT.transforms(resize_size=size)
    large = round(size * SHORT_SIDE / PRESET_SIDE)
    made: dict[str, Work] = {
        "article": lambda clock: article_script(network, data, clock, large),
        "preset": lambda clock: preset_script(network, preset, data, clock),
    }
    for key, segmenter in ours.items():
        made[key] = lambda clock, chosen=segmenter: our_script(chosen, data, clock)
    return made


def enlarged_photo(path: Path, size: tuple[int, int]) -> bytes:
    """A photo as a JPEG of (height, width) pixels, with noise, which a camera has and scaling not.

    Without it large areas would be smooth and quick to code; with it 12 megapixels make 3 MB.
    """
    height, width = size
    image = Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    values = np.asarray(image)
    noise = np.random.default_rng(0).integers(-8, 9, values.shape[:2], np.int8)[..., None]
    noisy = np.clip(values.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=90)
    return file.getvalue()
