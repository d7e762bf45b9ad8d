"""Indexed PNG files: class indices as pixel values, with a palette that any viewer shows."""

import io
import os

import numpy as np
from PIL import Image

from segmentation.errors import ImageError, PaletteError
from segmentation.images.decoding.decoder_process import decoder
from segmentation.images.file_types import sniff
from segmentation.images.source import read_source
from segmentation.palette import check_class_map, check_palette


def write_indexed_png(class_map: np.ndarray, palette: np.ndarray) -> bytes:
    """Encode a class map as an indexed PNG, whose colours any viewer shows.

    Args:
        class_map: (H, W) of an integer dtype, indices below the palette's length.
        palette: (N, 3) uint8 RGB, N up to 256.

    Returns:
        The file's bytes: 8 bits a pixel, a palette of 256 colours, no metadata.

    Raises:
        PaletteError: As `colorize`; or an empty class map.
    """
    check_palette(palette)
    check_class_map(class_map, len(palette))
    if class_map.size == 0:
        raise PaletteError(f"An empty class map {class_map.shape} cannot be written as a PNG.")
    image = Image.fromarray(np.ascontiguousarray(class_map, np.uint8)).convert("P")
    # Padded to 256 entries so that Pillow writes 8 bits a pixel, whatever the palette's length.
    image.putpalette(np.pad(palette, ((0, 256 - len(palette)), (0, 0))).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def read_indexed_png(source: str | os.PathLike | bytes) -> np.ndarray:
    """Return the class indices of an indexed PNG, such as `write_indexed_png`'s or VOC's.

    Args:
        source: The file's path or bytes.

    Returns:
        (H, W) uint8 class map.

    Raises:
        ImageError: Not a readable PNG, or not an indexed one.
    """
    return open_png_values(source, "P")


def open_png_values(
    source: str | os.PathLike | bytes, *modes: str, max_megapixels: float | None = 64.0
) -> np.ndarray:
    """Return a PNG's stored values, without orientation, colour management or transparency.

    Args:
        source: A path, or a file's bytes.
        *modes: Modes to accept: "P" for an indexed PNG, "RGB" and "RGBA" for 8 bits a channel.
        max_megapixels: As `open_photo`.

    Returns:
        (H, W) for "P", else (H, W, 3) or (H, W, 4); uint8.

    Raises:
        ImageError: Not a readable PNG, or one of another mode.
    """
    subject, data = read_source(source, None, max_megapixels)
    kind = sniff(data)
    if kind != "PNG":
        name = f"a {kind} file" if kind.isupper() else kind  # formats come without an article
        raise ImageError(f"{subject} is {name}; a PNG with label indices is needed.")
    return decoder.decode(subject, data, max_megapixels, modes).pixels
