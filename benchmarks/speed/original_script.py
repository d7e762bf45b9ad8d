"""The article's script and torchvision's own recipe, as others run them; with their stages timed.

The article's script: Resize(640), ToTensor, Normalize, the network with its auxiliary head and with
gradients, argmax, and a Python loop over the 21 classes for the colours. It ends in a window with
the colours; here it ends in the same file as the others: the colours over the photo, as a PNG.
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
    """The article's preprocessing: a PIL image to (3, h, w) float32, shorter side `short_side`."""
    return transforms.Compose(
        [
            transforms.Resize(short_side),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )


def decode_segmap(labels: np.ndarray) -> np.ndarray:
    """The article's loop: (h, w) int64 class indices to (h, w, 3) uint8 colours."""
    palette = voc_palette()
    red, green, blue = (np.zeros_like(labels).astype(np.uint8) for _ in range(3))
    for index in range(CLASSES):
        chosen = labels == index
        red[chosen], green[chosen], blue[chosen] = palette[index]
    return np.stack([red, green, blue], axis=2)


def article_script(
    network: nn.Module, data: bytes, clock: Clock, short_side: int = SHORT_SIDE
) -> bytes:
    """The article's steps, as it writes them.

    Args:
        network: torchvision's with its auxiliary head, in eval mode.
        data: the photo's file.
        clock: gets decode, preprocess, network, postprocess, encode.
        short_side: what the photo's shorter side is resized to.

    Returns:
        A PNG of the photo's size, the colours over it at half opacity.
    """
    with clock("decode"):
        image = Image.open(io.BytesIO(data)).convert("RGB")
    with clock("preprocess"):
        batch = article_transforms(short_side)(image).unsqueeze(0)  # (1, 3, h, w)
    with clock("network"):
        logits = network(batch)["out"]  # (1, 21, h, w), with a graph for gradients behind it
    with clock("postprocess"):
        labels = torch.argmax(logits.squeeze(), dim=0).detach().cpu().numpy()
        colors = decode_segmap(labels)
    with clock("encode"):
        shown = Image.fromarray(colors).resize(image.size, Image.Resampling.NEAREST)
        return png(Image.blend(image, shown, ALPHA))


def preset_script(
    network: nn.Module, preset: Callable[[Image.Image], Tensor], data: bytes, clock: Clock
) -> bytes:
    """What torchvision's documentation shows, under `inference_mode` and at the photo's size.

    Args:
        network: torchvision's with its auxiliary head, in eval mode.
        preset: `weights.transforms()`.
        data: the photo's file.
        clock: gets decode, preprocess, network, postprocess, encode.

    Returns:
        As `article_script`.
    """
    with clock("decode"):
        image = Image.open(io.BytesIO(data)).convert("RGB")
    with clock("preprocess"):
        batch = preset(image).unsqueeze(0)
    with clock("network"), torch.inference_mode():
        logits = network(batch)["out"]
    with clock("postprocess"):
        class_map = full_size_labels(logits, (image.height, image.width))
        colors = voc_palette()[class_map]
    with clock("encode"):
        return png(Image.blend(image, Image.fromarray(colors), ALPHA))


def full_size_labels(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Labels at the photo's size, all logits upsampled at once.

    Args:
        logits: (1, C, h, w) floats.
        size: (H, W) of the photo.

    Returns:
        (H, W) uint8.
    """
    with torch.inference_mode():
        large = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        return large.argmax(1)[0].to(torch.uint8).numpy()


def png(image: Image.Image) -> bytes:
    """As a PNG with Pillow's defaults."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
