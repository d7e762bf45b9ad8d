"""Perturbations of a photo that test a network's robustness, each with the pixels to compare."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

BLUR_SHARE = 1 / 50  # sigma of the blur as a share of the shorter side
SHRINK = 8
PATCH_SHARE = 0.4  # sides of the patch as a share of the photo's sides
PATCH_GREY = 127
JPEG_QUALITY = 5

Change = Callable[[np.ndarray], np.ndarray]
Size = tuple[int, int]


@dataclass(frozen=True)
class Perturbation:
    """A change of a photo, and the mapping of the new labels back to the photo's pixels.

    Attributes:
        name: key in `PERTURBATIONS`.
        title: label of its button.
        apply: maps the photo, (H, W, 3) uint8, to the changed image, uint8 of any size.
        back: maps the changed image's class map and (H, W) to a class map (H, W); pixels that the
            changed image does not show are 0.
        valid: maps (H, W) to the pixels that both images show, (H, W) bool.
    """

    name: str
    title: str
    apply: Change
    back: Callable[[np.ndarray, Size], np.ndarray]
    valid: Callable[[Size], np.ndarray]


def blur(image: np.ndarray) -> np.ndarray:
    """Blur with a Gaussian whose sigma is a fiftieth of the shorter side."""
    radius = max(1.0, min(image.shape[:2]) * BLUR_SHARE)
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def shrink(image: np.ndarray) -> np.ndarray:
    """Shrink each side to an eighth, which removes detail; the network's input size is the same."""
    height, width = image.shape[:2]
    small = (max(1, width // SHRINK), max(1, height // SHRINK))
    return np.asarray(Image.fromarray(image).resize(small, Image.Resampling.BOX))


def grey(image: np.ndarray) -> np.ndarray:
    """Replace the colours by the luma of ITU-R BT.601 in all three channels."""
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))


def corner(image: np.ndarray) -> np.ndarray:
    """Crop to the top left quarter."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: (height + 1) // 2, : (width + 1) // 2])


def patch(image: np.ndarray) -> np.ndarray:
    """Cover the middle with a grey rectangle."""
    covered = image.copy()
    covered[_middle(image.shape[:2])] = PATCH_GREY
    return covered


def jpeg(image: np.ndarray) -> np.ndarray:
    """Compress to a JPEG of quality 5 and decode it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(file).convert("RGB"))


def _middle(size: Size) -> tuple[slice, slice]:
    inner = (round(side * PATCH_SHARE) for side in size)
    return tuple(
        slice((side - length) // 2, (side - length) // 2 + length)
        for side, length in zip(size, inner, strict=True)
    )


def _rotation(quarters: int) -> Perturbation:
    degrees = quarters * 90
    return Perturbation(
        f"rotate_{degrees}",
        f"Rotate {degrees}°",
        lambda image: np.ascontiguousarray(np.rot90(image, quarters)),
        lambda class_map, _size: np.ascontiguousarray(np.rot90(class_map, -quarters)),
        _all_pixels,
    )


def _all_pixels(size: Size) -> np.ndarray:
    return np.ones(size, bool)


def _unchanged(class_map: np.ndarray, _size: Size) -> np.ndarray:
    return class_map


def _resize_nearest(class_map: np.ndarray, size: Size) -> np.ndarray:
    """Resize by nearest neighbour at half-pixel centres."""
    rows, columns = (
        (2 * np.arange(n) + 1) * own // (2 * n)
        for n, own in zip(size, class_map.shape, strict=True)
    )
    return class_map[rows[:, None], columns[None]]


def _uncrop(class_map: np.ndarray, size: Size) -> np.ndarray:
    uncropped = np.zeros(size, class_map.dtype)
    uncropped[: class_map.shape[0], : class_map.shape[1]] = class_map
    return uncropped


def _corner_valid(size: Size) -> np.ndarray:
    valid = np.zeros(size, bool)
    valid[: (size[0] + 1) // 2, : (size[1] + 1) // 2] = True
    return valid


def _patch_valid(size: Size) -> np.ndarray:
    valid = np.ones(size, bool)
    valid[_middle(size)] = False
    return valid


PERTURBATIONS: dict[str, Perturbation] = {
    perturbation.name: perturbation
    for perturbation in (
        _rotation(1),
        _rotation(2),
        Perturbation("blur", "Blur", blur, _unchanged, _all_pixels),
        Perturbation("shrink", "Shrink to 1/8", shrink, _resize_nearest, _all_pixels),
        Perturbation("grey", "Grey", grey, _unchanged, _all_pixels),
        Perturbation("corner", "Crop to a corner", corner, _uncrop, _corner_valid),
        Perturbation("patch", "Cover the middle", patch, _unchanged, _patch_valid),
        Perturbation("jpeg_5", "JPEG quality 5", jpeg, _unchanged, _all_pixels),
    )
}
"""The perturbations by name, in the order of the lesson."""
