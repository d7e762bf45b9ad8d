"""Encode the two files of a labelled photo, and write files atomically."""

import contextlib
import io
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from segmentation.images.indexed_png import write_indexed_png
from segmentation.inference.segmenter import Segmenter
from segmentation.overlay import blend
from segmentation.palette import colorize, palette_from_card
from segmentation.partial_file import SUFFIX, partial_file

_PREFIX = ".pixelwise-"


def encode_outputs(
    image: np.ndarray, class_map: np.ndarray, palette: np.ndarray, alpha: float
) -> tuple[bytes, bytes]:
    """Encode a photo's label map and overlay; the same arguments give the same bytes.

    Args:
        image: (H, W, 3) uint8 RGB.
        class_map: (H, W) uint8.
        palette: (C, 3) uint8 RGB.
        alpha: opacity of the overlay, in [0, 1].

    Returns:
        The indexed PNG of the labels, and the PNG of the overlay.
    """
    overlay = io.BytesIO()
    colors = colorize(class_map, palette)  # (H, W, 3) uint8
    Image.fromarray(blend(image, colors, alpha)).save(overlay, "PNG", compress_level=1)
    return write_indexed_png(class_map, palette), overlay.getvalue()


def chosen_palette(segmenter: Segmenter, name: str | None) -> np.ndarray:
    """Return the palette of that name, or the model's own if None: (256, 3) uint8 RGB."""
    card = segmenter.model.card
    return palette_from_card(name or card.palette, len(card.categories))


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file atomically.

    Raises:
        OSError: the file cannot be written; an earlier file at `path` is unchanged.
    """
    with partial_file(path.parent, _PREFIX) as (file, part):
        file.write(data)
        file.close()
        with contextlib.suppress(OSError):  # CIFS and S3 mounts have no file modes
            os.chmod(part, 0o644)
        os.replace(part, path)


def check_writable(folder: Path) -> None:
    """Create a folder if needed and test that files can be written to it.

    Raises:
        OSError: the folder cannot be created or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with partial_file(folder, _PREFIX):
        pass


def remove_partial_files(folders: Iterable[Path]) -> None:
    """Remove the partial files that killed processes left in these folders."""
    for folder in folders:
        for part in folder.glob(f"{_PREFIX}*{SUFFIX}"):
            with contextlib.suppress(OSError):
                part.unlink()
