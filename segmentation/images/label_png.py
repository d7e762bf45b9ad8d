"""The label map as one lossless PNG: what the browser needs to do everything by itself."""

import os

import numpy as np

from segmentation.errors import PaletteError
from segmentation.images.indexed_png import open_png_values
from segmentation.images.png_writer import write_png

_FAST_ABOVE_PIXELS = 24_000_000


def encode_label_map(
    class_map: np.ndarray,
    confidence: np.ndarray,
    runner_up: np.ndarray,
    set_sizes: np.ndarray | None = None,
) -> bytes:
    """Pack a result into a PNG: red = class, green = confidence, blue = runner-up.

    With set sizes it has a fourth channel: alpha = 256 - size, 255 (opaque) for a single class.

    The file carries no gAMA, sRGB, iCCP or cHRM chunk, so that a browser's canvas hands the
    numbers back as they are.

    Args:
        class_map: (H, W) uint8 class indices.
        confidence: (H, W) float, 0 to 1; stored as `rint(255 * confidence)`.
        runner_up: (H, W) uint8 class indices.
        set_sizes: (H, W) uint8, how many classes each pixel may be, from 1 up; None where that is
            not known.

    Returns:
        The bytes of an 8-bit RGB or RGBA PNG of W x H pixels.

    Raises:
        PaletteError: Shapes or dtypes that do not fit together, or confidence outside 0 to 1.
    """
    shape = class_map.shape
    if class_map.ndim != 2 or class_map.size == 0:
        raise PaletteError(f"A class map is (H, W) and not empty; this one is {shape}.")
    planes = {"class_map": class_map, "runner_up": runner_up, "set_sizes": set_sizes}
    for name, array in planes.items():
        if array is None:
            continue
        if array.dtype != np.uint8 or array.shape != shape:
            raise PaletteError(f"{name} must be {shape} uint8, not {array.shape} {array.dtype}.")
    if not np.issubdtype(confidence.dtype, np.floating) or confidence.shape != shape:
        raise PaletteError(
            f"confidence must be {shape} float, not {confidence.shape} {confidence.dtype}."
        )
    low, high = float(confidence.min()), float(confidence.max())
    # Written so that NaN is refused too. Softmax in float32 may end a hair above 1.
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise PaletteError(f"confidence goes from {low} to {high}; it must lie in 0 to 1.")

    def paint(top: int, bottom: int, pixels: np.ndarray) -> None:
        pixels[..., 0] = class_map[top:bottom]
        scaled = confidence[top:bottom] * np.float32(255)
        pixels[..., 1] = np.rint(scaled, out=scaled).clip(0, 255, out=scaled)
        pixels[..., 2] = runner_up[top:bottom]
        if set_sizes is not None:
            pixels[..., 3] = 0 - set_sizes[top:bottom]  # modulo 256

    # Measured on maps of photos at 12 megapixels: level 4 takes 0.1 s longer than level 1, and two
    # thirds of its bytes: 0.5 MB that a phone need not fetch.
    level = 1 if class_map.size > _FAST_ABOVE_PIXELS else 4
    channels = 3 if set_sizes is None else 4
    threads = os.cpu_count() or 1
    return write_png(*shape, paint, channels=channels, level=level, threads=threads)


def decode_label_map(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unpack what `encode_label_map` packed.

    Args:
        data: The PNG's bytes.

    Returns:
        class_map (H, W) uint8; confidence (H, W) float32 in steps of 1 / 255; runner_up (H, W)
        uint8. A channel of set sizes is left out.

    Raises:
        ImageError: Not a readable 8-bit RGB or RGBA PNG.
    """
    packed = open_png_values(data, "RGB", "RGBA")  # (H, W, 3 or 4)
    class_map, confidence, runner_up = (packed[..., channel].copy() for channel in range(3))
    return class_map, confidence.astype(np.float32) / 255, runner_up
