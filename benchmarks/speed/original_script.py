"""The article's script and torchvision's published recipe, with their stages timed.

The article's script: Resize(640), ToTensor, Normalize, the network with its auxiliary head and with
gradients, argmax, and a Python loop over the 21 classes for the colours. It shows the colours in a
window; these functions end in the same file as the other contenders, a PNG of the overlay.
"""

import io
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from benchmarks.speed.timing import Clock
from segmentation.palette import voc_palette

SHORT_SIDE = 640
CLASSES = 21
ALPHA = 0.5


def article_transforms(short_side: int = SHORT_SIDE) -> Callable[[Image.Image], Tensor]:
    """Return the article's preprocessing: a PIL image to (3, h, w) float32, normalized."""
    return transforms.Compose(
        [
            transforms.Resize(short_side),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )


def decode_segmap(labels: np.ndarray) -> np.ndarray:
    """Colour (h, w) int64 class indices by the article's loop: (h, w, 3) uint8."""
    palette = voc_palette()
    red, green, blue = (np.zeros_like(labels).astype(np.uint8) for _ in range(3))
    for index in range(CLASSES):
        chosen = labels == index
        red[chosen], green[chosen], blue[chosen] = palette[index]
    return np.stack([red, green, blue], axis=2)


def article_script(
    network: nn.Module, data: bytes, clock: Clock, short_side: int = SHORT_SIDE
) -> bytes:
    """Run the article's steps on a photo.

    Args:
        network: torchvision's with its auxiliary head, in eval mode.
        data: the photo's file.
        clock: gets decode, preprocess, network, postprocess, encode.
        short_side: to which the photo's shorter side is resized.

    Returns:
        A PNG of the photo's size, with the colours at half opacity.
    """
    with clock("decode"):
        image = Image.open(io.BytesIO(data)).convert("RGB")
    with clock("preprocess"):
        batch = article_transforms(short_side)(image).unsqueeze(0)  # (1, 3, h, w)
    with clock("network"):
        logits = network(batch)["out"]  # (1, 21, h, w), with its graph for gradients
    with clock("postprocess"):
        labels = torch.argmax(logits.squeeze(), dim=0).detach().cpu().numpy()
        colors = decode_segmap(labels)
    with clock("encode"):
        resized = Image.fromarray(colors).resize(image.size, Image.Resampling.NEAREST)
        return _png(Image.blend(image, resized, ALPHA))


def preset_script(
    network: nn.Module, preset: Callable[[Image.Image], Tensor], data: bytes, clock: Clock
) -> bytes:
    """Run the steps of torchvision's documentation, under `inference_mode`, at the photo's size.

    Args:
        network: torchvision's with its auxiliary head, in eval mode.
        preset: `weights.transforms()`.
        data: the photo's file.
        clock: as for `article_script`, and so is the returned PNG.
    """
    with clock("decode"):
        image = Image.open(io.BytesIO(data)).convert("RGB")
    with clock("preprocess"):
        batch = preset(image).unsqueeze(0)
    with clock("network"), torch.inference_mode():
        logits = network(batch)["out"]  # (1, C, h, w)
    with clock("postprocess"), torch.inference_mode():
        size = (image.height, image.width)
        full = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        colors = voc_palette()[full.argmax(1)[0].to(torch.uint8).numpy()]
    with clock("encode"):
        return _png(Image.blend(image, Image.fromarray(colors), ALPHA))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
