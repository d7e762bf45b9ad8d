"""The JSON that programs read, as `docs/schema` describes it.

Every object names its version. Within a version fields are added, but none is taken away, renamed
or given another meaning.
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
"""The value of every object's field "schema"."""


def result_facts(result: "Segmentation") -> dict[str, Any]:
    """A labelled photo as plain values: who labelled it, its size, and the classes found."""
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
    """One pixel's distribution over the classes, as plain values.

    Args:
        result: a labelled photo.
        y: row in [0, height).
        x: column in [0, width).

    Returns:
        Which model answered, the pixel, the winner, the margin between it and the runner-up in
        [0, 1], the entropy in bits, each class's probability by index, and the set of classes that
        the pixel may be (indices, the likeliest first; None where that was not measured).

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
    """Two models' answers to one photo, as plain values.

    Args:
        models: what is known of each: `model_record` and `how_good`.
        size: (height, width) of the photo.
        agreement: share of pixels on which both agree, in [0, 1].
        overlaps: each class that one of them found.

    Returns:
        The same, with the mean of the classes' IoU.
    """
    return {
        "models": list(models),
        "height": size[0],
        "width": size[1],
        "agreement": agreement,
        "mean_iou": float(np.mean([one.iou for one in overlaps])),
        "classes": [
            {"name": one.name, "iou": one.iou, "pixels": list(one.pixels)} for one in overlaps
        ],
        "schema": SCHEMA,
    }


def model_record(result: "Segmentation") -> dict[str, Any]:
    """Which model answered, where, in what precision, and in how many seconds."""
    return {
        "model": result.model,
        "device": result.device,
        "precision": result.precision,
        "seconds": round(result.seconds, 4),
    }


def how_good(card: "ModelCard", size: "Size" = None) -> dict[str, Any]:
    """A model's mean IoU in percent and what it was measured on; None both at another size.

    Args:
        card: the model's.
        size: shorter side in pixels that the network is shown; None for the model's own.
    """
    miou, measured_on = card.quality_at(size) or (None, None)
    return {"miou": miou, "measured_on": measured_on or None}
