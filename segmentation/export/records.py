"""Build the JSON objects that other programs read, as described in `docs/schema`.

Every object has a version. Within a version, fields may be added, but none is removed, renamed or
given another meaning.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from segmentation.inference.metrics import Overlap
    from segmentation.inference.result import Segmentation
    from segmentation.models.card import ModelCard
    from segmentation.models.card_figures import Size

SCHEMA = "pixelwise/1"
"""Value of the field "schema" in every object."""


def result_facts(result: "Segmentation") -> dict[str, Any]:
    """Return a labelled photo as plain values: the model, the photo's size, and its classes."""
    return {
        "model": result.model,
        "device": result.device,
        "precision": result.precision,
        "height": result.height,
        "width": result.width,
        "seconds": round(result.seconds, 4),
        "classes": [
            {
                "index": area.index,
                "name": area.name,
                "pixels": area.pixels,
                "fraction": area.fraction,
                "confidence": area.confidence,
            }
            for area in result.areas()
        ],
        "unsure": result.unsure,
        "schema": SCHEMA,
    }


def pixel_record(result: "Segmentation", y: int, x: int) -> dict[str, Any]:
    """Return one pixel's distribution over the classes as plain values.

    Args:
        result: a labelled photo.
        y: row in [0, height).
        x: column in [0, width).

    Returns:
        The model, the pixel, the winner, its margin over the runner-up in [0, 1], the entropy in
        bits, each class's probability by index, and the prediction set (indices, most likely first;
        None if the result has no threshold).

    Raises:
        PixelError: the photo has no such pixel.
    """
    pixel = result.pixel(y, x)
    classes = [
        {"index": index, "name": name, "probability": float(probability)}
        for index, (name, probability) in enumerate(
            zip(result.categories, pixel.probabilities, strict=True)
        )
    ]
    return {
        **model_record(result),
        "height": result.height,
        "width": result.width,
        "y": int(y),
        "x": int(x),
        "winner": classes[int(np.argmax(pixel.probabilities))],
        "margin": pixel.margin,
        "entropy": pixel.entropy,
        "probabilities": classes,
        "set": None if pixel.prediction_set is None else list(pixel.prediction_set),
        "schema": SCHEMA,
    }


def comparison_record(
    models: Sequence[dict[str, Any]],
    size: tuple[int, int],
    agreement: float,
    overlaps: "Sequence[Overlap]",
) -> dict[str, Any]:
    """Return a comparison of two models' results for one photo as plain values.

    Args:
        models: `model_record` and `how_good` of each model, merged.
        size: (height, width) of the photo.
        agreement: share of pixels on which both agree, in [0, 1].
        overlaps: overlap of each class that either model found.

    Returns:
        These values and the mean of the classes' IoU.
    """
    return {
        "models": list(models),
        "height": size[0],
        "width": size[1],
        "agreement": agreement,
        "mean_iou": float(np.mean([overlap.iou for overlap in overlaps])),
        "classes": [
            {"name": overlap.name, "iou": overlap.iou, "pixels": list(overlap.pixels)}
            for overlap in overlaps
        ],
        "schema": SCHEMA,
    }


def model_record(result: "Segmentation") -> dict[str, Any]:
    """Return the model of a result, with its device, precision and seconds."""
    return {
        "model": result.model,
        "device": result.device,
        "precision": result.precision,
        "seconds": round(result.seconds, 4),
    }


def how_good(card: "ModelCard", size: "Size" = None) -> dict[str, Any]:
    """Return a model's mean IoU in percent and its data set; both None if not measured at the size.

    Args:
        card: the model's card.
        size: shorter side of the network's input in pixels; None for the model's own.
    """
    miou, measured_on = card.quality_at(size) or (None, None)
    return {"miou": miou, "measured_on": measured_on or None}
