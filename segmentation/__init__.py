"""Label every pixel of a photo with a pretrained segmentation network.

A name is looked up in its module when it is first used: so the page is up before torch, which
takes a second or two to import, and what needs no network never waits for it.
"""

from typing import TYPE_CHECKING

from segmentation.lazy import lazy_names

if TYPE_CHECKING:
    from segmentation.cards import MAX_SIZE, MIN_SIZE, ModelCard
    from segmentation.catalog import MODELS, ModelSpec, default_model, has_embedded
    from segmentation.categories import VOC_CATEGORIES, display_name
    from segmentation.checkpoints import fetch_weights, find_weights
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
    from segmentation.images import Photo, open_image, open_photo
    from segmentation.labelmap import decode_label_map, encode_label_map
    from segmentation.models import Model, load_model
    from segmentation.overlay import blend, contours
    from segmentation.palette import (
        PALETTES,
        colorize,
        decode,
        palette_from_card,
        read_indexed_png,
        safe_palette,
        voc_palette,
        write_indexed_png,
    )
    from segmentation.predictor import Segmenter, load
    from segmentation.result import Area, Pixel, Region, Segmentation
    from segmentation.smooth import Smoother

__all__ = [
    "MAX_SIZE",
    "MIN_SIZE",
    "MODELS",
    "PALETTES",
    "VOC_CATEGORIES",
    "Area",
    "DeviceError",
    "ImageError",
    "Model",
    "ModelCard",
    "ModelError",
    "ModelSpec",
    "PaletteError",
    "Photo",
    "Pixel",
    "PixelwiseError",
    "Region",
    "Segmentation",
    "Segmenter",
    "Smoother",
    "VideoError",
    "WeightsError",
    "blend",
    "colorize",
    "contours",
    "decode",
    "decode_label_map",
    "default_model",
    "display_name",
    "encode_label_map",
    "fetch_weights",
    "find_weights",
    "has_embedded",
    "load",
    "load_model",
    "open_image",
    "open_photo",
    "palette_from_card",
    "pick_device",
    "read_indexed_png",
    "safe_palette",
    "voc_palette",
    "write_indexed_png",
]

_HOMES = {
    "cards": "MAX_SIZE MIN_SIZE ModelCard",
    "catalog": "MODELS ModelSpec default_model has_embedded",
    "categories": "VOC_CATEGORIES display_name",
    "checkpoints": "fetch_weights find_weights",
    "devices": "pick_device",
    "errors": (
        "DeviceError ImageError ModelError PaletteError PixelwiseError VideoError WeightsError"
    ),
    "images": "Photo open_image open_photo",
    "labelmap": "decode_label_map encode_label_map",
    "models": "Model load_model",
    "overlay": "blend contours",
    "palette": (
        "PALETTES colorize decode palette_from_card read_indexed_png safe_palette voc_palette "
        "write_indexed_png"
    ),
    "predictor": "Segmenter load",
    "result": "Area Pixel Region Segmentation",
    "smooth": "Smoother",
}
__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
