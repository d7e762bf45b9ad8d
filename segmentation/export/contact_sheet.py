"""One picture of a contact sheet, and the words below it."""

import numpy as np
from PIL import Image

from segmentation.categories import display_name
from segmentation.inference.result import BACKGROUND_NAMES, Segmentation
from segmentation.overlay import blend
from segmentation.palette import colorize

SIDE = 480
"""Longer side of a picture in pixels."""
ALPHA = 0.5
MOST_CLASSES = 3


def thumbnail(
    image: np.ndarray, class_map: np.ndarray, palette: np.ndarray, side: int = SIDE
) -> np.ndarray:
    """A small overlay, made small first: nothing of the photo's full size is painted.

    Args:
        image: (H, W, 3) uint8 RGB.
        class_map: (H, W) uint8.
        palette: (N, 3) uint8 RGB.
        side: longer side of the result at most; a smaller photo keeps its size.

    Returns:
        (h, w, 3) uint8 RGB, in the photo's proportions to within half a pixel.
    """
    height, width = class_map.shape
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))  # PIL's order
    small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    labels = Image.fromarray(class_map).resize(size, Image.Resampling.NEAREST)
    return blend(np.asarray(small), colorize(np.asarray(labels), palette), ALPHA)


def caption(result: Segmentation, most: int = MOST_CLASSES) -> str:
    """The largest classes of a photo with their shares, without the background.

    Args:
        result: a labelled photo.
        most: how many are named.

    Returns:
        Such as "cat 25 %, dog 3 % and 2 more", with no-break spaces before the signs; "background
        alone" where there is nothing else.
    """
    areas = [area for area in result.areas() if area.name not in BACKGROUND_NAMES]
    if not areas:
        return "background alone"
    named = ", ".join(
        f"{display_name(area.name)} {_percent(area.fraction)}" for area in areas[:most]
    )
    return named + (f" and {len(areas) - most} more" if len(areas) > most else "")


def _percent(fraction: float) -> str:
    text = "< 1 %" if fraction < 0.01 else f"{100 * fraction:.0f} %"
    return text.replace(" ", "\u00a0")  # a line never breaks within it
