"""Make the thumbnails and captions of a contact sheet."""

import numpy as np
from PIL import Image

from segmentation.categories import display_name
from segmentation.inference.result import BACKGROUND_NAMES, Segmentation
from segmentation.overlay import blend
from segmentation.palette import colorize

SIDE = 480
"""Longer side of a thumbnail in pixels."""
ALPHA = 0.5
MAX_CLASSES = 3


def thumbnail(
    image: np.ndarray, class_map: np.ndarray, palette: np.ndarray, side: int = SIDE
) -> np.ndarray:
    """Return a small overlay. Photo and labels are resized before they are blended, for speed.

    Args:
        image: (H, W, 3) uint8 RGB.
        class_map: (H, W) uint8.
        palette: (N, 3) uint8 RGB.
        side: maximum length of the longer side in pixels; a smaller photo keeps its size.

    Returns:
        (h, w, 3) uint8 RGB, with the photo's aspect ratio to within half a pixel.
    """
    height, width = class_map.shape
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))  # PIL's order
    small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    labels = Image.fromarray(class_map).resize(size, Image.Resampling.NEAREST)
    return blend(np.asarray(small), colorize(np.asarray(labels), palette), ALPHA)


def caption(result: Segmentation, max_classes: int = MAX_CLASSES) -> str:
    """Return the largest classes of a photo with their shares, without the background.

    Args:
        result: a labelled photo.
        max_classes: maximum number of classes to name.

    Returns:
        Text such as "cat 25 %, dog 3 % and 2 more", with no-break spaces before the percent signs;
        "background alone" if there is no other class.
    """
    areas = [area for area in result.areas() if area.name not in BACKGROUND_NAMES]
    if not areas:
        return "background alone"
    named = ", ".join(
        f"{display_name(area.name)} {_percent(area.fraction)}" for area in areas[:max_classes]
    )
    return named + (f" and {len(areas) - max_classes} more" if len(areas) > max_classes else "")


def _percent(fraction: float) -> str:
    text = "< 1 %" if fraction < 0.01 else f"{100 * fraction:.0f} %"
    return text.replace(" ", "\u00a0")  # no line break inside
