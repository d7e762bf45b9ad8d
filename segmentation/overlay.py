"""Blend colours over a photo."""

import numpy as np

from segmentation.errors import PaletteError

# values per strip of rows, so that the float64 intermediate fits in the cache
_STRIP_VALUES = 1 << 16


def blend(
    image: np.ndarray, colors: np.ndarray, alpha: float, *, mask: np.ndarray | None = None
) -> np.ndarray:
    """Blend colours over an image: `rint((1 - alpha) * image + alpha * colors)`.

    Computed in float64; ties are rounded to even. Alpha 0 gives exactly the image, and alpha 1
    exactly the colours.

    Args:
        image: (H, W, 3) uint8 RGB.
        colors: (H, W, 3) uint8 RGB.
        alpha: opacity of the colours, 0 to 1.
        mask: (H, W) bool, the pixels to blend; None for all (`class_map != 0` leaves the background
            unchanged).

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        PaletteError: alpha is outside 0 to 1, or shapes or dtypes do not match.
    """
    _check(image, colors, alpha, mask)
    blended = np.empty(image.shape, np.uint8)
    height, width = image.shape[:2]
    rows = max(1, _STRIP_VALUES // max(1, 3 * width))
    for top in range(0, height, rows):
        strip = slice(top, top + rows)
        mixed = image[strip] * (1.0 - alpha)  # (rows, W, 3) float64
        mixed += colors[strip] * float(alpha)
        blended[strip] = np.rint(mixed, out=mixed)
    if mask is not None:
        np.copyto(blended, image, where=~mask[..., None])
    return blended


def _check(image: np.ndarray, colors: np.ndarray, alpha: float, mask: np.ndarray | None) -> None:
    for name, array in (("image", image), ("colors", colors)):
        if (
            not isinstance(array, np.ndarray)
            or array.dtype != np.uint8
            or array.ndim != 3
            or array.shape[2] != 3
        ):
            shape = getattr(array, "shape", type(array).__name__)
            raise PaletteError(
                f"{name} must be (H, W, 3) uint8, not {shape} {getattr(array, 'dtype', '')}."
            )
    if image.shape != colors.shape:
        raise PaletteError(f"image {image.shape} and colors {colors.shape} differ in size.")
    # also false for NaN
    if not 0 <= alpha <= 1:
        raise PaletteError(f"alpha is {alpha}; it goes from 0 (the photo) to 1 (the colours).")
    if mask is not None and (mask.dtype != bool or mask.shape != image.shape[:2]):
        raise PaletteError(f"mask must be {image.shape[:2]} bool, not {mask.shape} {mask.dtype}.")
