"""From a result to what the browser gets: two files and a few facts."""

import functools
import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gradio.processing_utils import hash_bytes
from PIL import Image

from segmentation.categories import display_name
from segmentation.images.label_png import encode_label_map
from segmentation.palette import safe_palette, voc_palette

if TYPE_CHECKING:
    from segmentation.inference.result import Segmentation

JPEG_QUALITY = 90
VOC_PALETTE = voc_palette()
FULL_COLOR_PIXELS = 2_000_000
"""Up to here the photo keeps colour at full resolution; larger ones halve it, as cameras do."""


def build_value(
    result: "Segmentation",
    image: np.ndarray,
    *,
    cache: str,
    key: str,
    palette: np.ndarray | None = None,
    note: str = "",
    source: str = "",
    is_shown: bool = False,
) -> dict[str, Any]:
    """The value of a `LabelViewer`.

    Args:
        result: what the network made of the photo.
        image: (H, W, 3) uint8 RGB, the photo, upright.
        cache: Gradio's folder for files that a visitor may fetch (`Blocks.GRADIO_CACHE`).
        key: names the result; comes back with each `pin` event as `id`.
        palette: (256, 3) uint8, the model's own colours; the result's own, else VOC's, if None.
        note: a sentence to show below the legend.
        source: names the photo that the browser has sent.
        is_shown: whether the browser shows the photo from its own copy; then none goes back.

    Returns:
        JSON-able: id, source, photo (a file, or None where `is_shown`), labels (a file), height,
        width, categories (index, name, raw, voc = the model's own colour, safe), palette (what to
        call the own colours), model, device, seconds, note, pinned.
    """
    height, width = result.class_map.shape
    if image.shape != (height, width, 3) or image.dtype != np.uint8:
        raise ValueError(
            f"the photo is {image.shape} {image.dtype}, the class map {height} x {width}: "
            "expected (H, W, 3) uint8 of the same size"
        )
    labels = encode_label_map(
        result.class_map, result.confidence, result.runner_up, result.set_sizes
    )
    own = palette if palette is not None else getattr(result, "palette", VOC_PALETTE)
    return {
        "id": key,
        "source": source,
        "photo": None if is_shown else file_value(encode_photo(image), "photo.jpg", cache),
        "labels": file_value(labels, "labels.png", cache),
        "height": height,
        "width": width,
        "categories": [*_described(result.categories, own[: len(result.categories)].tobytes())],
        "palette": "VOC" if np.array_equal(own, VOC_PALETTE) else "Model’s own",
        "model": result.model,
        "device": result.device,
        "seconds": round(result.seconds, 4),
        "note": note,
        "pinned": None,
    }


def describe_categories(categories: tuple[str, ...], own: np.ndarray) -> list[dict[str, Any]]:
    """Return index, shown name, raw name and both colours ("#rrggbb") of every category.

    Args:
        categories: raw names, at most 256.
        own: (N, 3) uint8 with N at least their number.
    """
    return [dict(category) for category in _described(categories, own[: len(categories)].tobytes())]


@functools.lru_cache(maxsize=16)
def _described(categories: tuple[str, ...], colors: bytes) -> tuple[dict[str, Any], ...]:
    """See `describe_categories`; built once for a model, and not to be changed."""
    safe = safe_palette()
    return tuple(
        {
            "index": index,
            "name": display_name(raw),
            "raw": raw,
            "voc": "#" + colors[3 * index : 3 * index + 3].hex(),
            "safe": "#" + bytes(safe[index]).hex(),
        }
        for index, raw in enumerate(categories)
    )


def encode_photo(image: np.ndarray) -> bytes:
    """The photo for the browser: a JPEG without any metadata.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    small = image.shape[0] * image.shape[1] <= FULL_COLOR_PIXELS
    buffer = io.BytesIO()
    Image.fromarray(image).save(
        buffer,
        "JPEG",
        quality=JPEG_QUALITY,
        subsampling="4:4:4" if small else "4:2:0",
        optimize=small,  # a second pass: half of the time of 12 megapixels, for 6 % of the bytes
    )
    return buffer.getvalue()


def pixel_value(
    result: "Segmentation", y: int, x: int, palette: np.ndarray | None = None
) -> dict[str, Any]:
    """The value of `PixelAnswer` and `PixelBars`: the distribution over the classes at one pixel.

    Args:
        result: a result whose logits are still there.
        y: row of the photo.
        x: column of the photo.
        palette: as for `build_value`.

    Returns:
        y, x, bars (every class, most probable first: index, name, p, voc, safe), margin (0 to 1),
        entropy and max_entropy (bits), set_size (how many of the first classes the pixel may be;
        None where that was not measured).

    Raises:
        PixelError: the photo has no such pixel.
    """
    pixel = result.pixel(y, x)
    own = palette if palette is not None else getattr(result, "palette", VOC_PALETTE)
    categories = _described(result.categories, own[: len(result.categories)].tobytes())
    # Stable, so that equal probabilities stay in the order of their indices, as in argmax.
    order = np.argsort(-pixel.probabilities, kind="stable").tolist()
    bars = [{**categories[i], "p": float(pixel.probabilities[i])} for i in order]
    return {
        "y": y,
        "x": x,
        "bars": bars,
        "margin": pixel.margin,
        "entropy": pixel.entropy,
        "max_entropy": float(np.log2(len(order))),
        "set_size": None if pixel.prediction_set is None else len(pixel.prediction_set),
    }


def file_value(data: bytes, name: str, cache: str) -> dict[str, Any]:
    """Return a file in Gradio's cache, in the form to which Gradio adds an address.

    Args:
        data: its content.
        name: its name.
        cache: see `build_value`.
    """
    path = str(keep_file(data, name, cache))
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def keep_file(data: bytes, name: str, cache: str) -> Path:
    """Write a file where Gradio serves it, atomically, and return its path.

    Files of equal content and name are one file. Gradio's own `save_bytes_to_cache` writes it again
    in place, so that a download that runs meanwhile gets nothing.

    Args:
        data: its content.
        name: its name.
        cache: Gradio's folder (`Blocks.GRADIO_CACHE`).

    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    path = Path(cache, hash_bytes(data), name)
    Path(cache).mkdir(mode=0o700, exist_ok=True, parents=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(partial, path)
    except BaseException:  # such as a full disk
        Path(partial).unlink(missing_ok=True)
        raise
    return path.resolve()
