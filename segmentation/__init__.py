"""Label every pixel of a photo with a pretrained segmentation network.

Public names are imported on first use (PEP 562). Importing torch takes a second or two, so the page
starts before torch is loaded, and code that needs no network does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segmentation.categories import display_name
    from segmentation.devices import pick_device
    from segmentation.errors import (
        DeviceError,
        ImageError,
        ModelError,
        PaletteError,
        PixelwiseError,
        VideoError,
        WeightsError,
    )
    from segmentation.images.indexed_png import read_indexed_png, write_indexed_png
    from segmentation.images.label_png import decode_label_map, encode_label_map
    from segmentation.images.photo import Photo, open_image, open_photo
    from segmentation.inference.result import Area, Pixel, Region, Segmentation
    from segmentation.inference.segmenter import Segmenter, load
    from segmentation.models.card import ModelCard
    from segmentation.models.loader import load_model
    from segmentation.models.registry import MODELS, ModelSpec, default_model, has_embedded
    from segmentation.models.weights import fetch_weights, find_weights
    from segmentation.overlay import blend
    from segmentation.palette import colorize, palette_from_card, safe_palette, voc_palette
    from segmentation.video.smoothing import Smoother

_HOMES = {
    "models.card": "ModelCard",
    "models.registry": "MODELS ModelSpec default_model has_embedded",
    "categories": "display_name",
    "models.weights": "fetch_weights find_weights",
    "devices": "pick_device",
    "errors": (
        "DeviceError ImageError ModelError PaletteError PixelwiseError VideoError WeightsError"
    ),
    "images.photo": "Photo open_image open_photo",
    "images.indexed_png": "read_indexed_png write_indexed_png",
    "images.label_png": "decode_label_map encode_label_map",
    "models.loader": "load_model",
    "overlay": "blend",
    "palette": "colorize palette_from_card safe_palette voc_palette",
    "inference.segmenter": "Segmenter load",
    "inference.result": "Area Pixel Region Segmentation",
    "video.smoothing": "Smoother",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import a public name from its module and cache it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
