"""Evaluate a model: `python -m training.evaluate --data DIR [DIR ...] --model NAME`.

Prints IoU by class, the mean over all classes, pixel accuracy, accuracy near true outlines and
calibration; `--json` writes the figures that `training.embed` puts into a model's card.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from segmentation.errors import PixelwiseError
from segmentation.inference.sharper import mean_logits, sharper_size
from segmentation.networks.build import build_network
from segmentation.progress import Bar
from training.calibration import PixelSample
from training.common import (
    eval_transforms,
    initial_weights,
    pick_training_device,
    voc_categories,
)
from training.data.dataset import Sample, find_samples, read_mask
from training.optim.metrics import OUTLINE_PIXELS, ConfusionMatrix, OutlineAccuracy

FOCUS = ("__background__", "cat", "cow", "dog", "horse", "person", "sheep")
"""Classes that most of the project's validation photos show; their mean IoU is `miou_7`."""

Transforms = Callable[[Image.Image], Tensor]


class Meter(Protocol):
    """Collects figures of each photo, besides the confusion matrix."""

    def update(self, labels: Tensor, logits: Tensor) -> None:
        """Add one photo: true classes (H, W) int64 and logits (C, H, W), on the CPU."""


@torch.no_grad()
def measure(
    network: nn.Module | Callable[[Tensor], Any],
    transforms: Transforms | Sequence[Transforms],
    samples: Sequence[Sample],
    *,
    num_classes: int,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
    meters: Sequence[Meter] = (),
) -> ConfusionMatrix:
    """Label photos and compare them with the ground truth at its full size.

    Args:
        network: In eval mode; returns logits or a dict with "out".
        transforms: Turn a photo into (3, h, w) float32; with several the network runs at each, and
            the probabilities are averaged.
        samples: Photos; those without ground truth are skipped.
        num_classes: Number of classes.
        device: Where the network is.
        progress: Called with (done, total) after each photo.
        meters: Updated with each photo's ground truth and logits.
    """
    samples = [sample for sample in samples if sample.mask is not None]
    matrix = ConfusionMatrix(num_classes)
    passes = transforms if isinstance(transforms, Sequence) else [transforms]
    for done, sample in enumerate(samples, start=1):
        with Image.open(sample.photo) as image:
            batches = [transform(image.convert("RGB"))[None].to(device) for transform in passes]
        labels = torch.from_numpy(read_mask(sample.mask).astype(np.int64))
        outs = [network(batch) for batch in batches]
        parts = [(out["out"] if isinstance(out, dict) else out)[0].float().cpu() for out in outs]
        logits = mean_logits(parts)[None]  # (1, C, h, w)
        logits = F.interpolate(logits, size=labels.shape, mode="bilinear", align_corners=False)
        logits = logits[0]  # (C, H, W)
        matrix.update(labels, logits.argmax(0))
        for meter in meters:
            meter.update(labels, logits)
        if progress:
            progress(done, len(samples))
    return matrix


def figures(matrix: ConfusionMatrix, categories: Sequence[str]) -> dict[str, Any]:
    """Return the figures of a confusion matrix, as plain numbers rounded to four places.

    Returns:
        pixel_accuracy; miou, the mean over all classes, or None unless the photos show all;
        miou_shown, the mean over the classes that they show; miou_7 if the categories include
        FOCUS; classes: name to IoU and number of photos.
    """
    shown = matrix.photos > 0
    iou = matrix.iou()
    mean = round(matrix.mean_iou(), 4)
    result: dict[str, Any] = {
        "pixel_accuracy": round(matrix.pixel_accuracy(), 4),
        "miou": mean if bool(shown.all()) else None,
        "miou_shown": mean,
        "classes": {
            name: {"iou": round(float(iou[i]), 4), "photos": int(matrix.photos[i])}
            for i, name in enumerate(categories)
            if shown[i]
        },
    }
    if set(FOCUS) <= set(categories):
        result["miou_7"] = round(matrix.mean_iou([categories.index(name) for name in FOCUS]), 4)
    return result


def examine(
    network: nn.Module | Callable[[Tensor], Any],
    transforms: Transforms | Sequence[Transforms],
    samples: Sequence[Sample],
    categories: Sequence[str],
    *,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Return all figures of a model's card; arguments as for `measure`.

    Returns:
        photos, the result of `figures`, outline_accuracy, and the result of `PixelSample.figures`.
    """
    sample = PixelSample(len(categories))
    near = OutlineAccuracy(len(categories))

    class Outlines:
        def update(self, labels: Tensor, logits: Tensor) -> None:
            near.update(labels, logits.argmax(0))

    matrix = measure(
        network,
        transforms,
        samples,
        num_classes=len(categories),
        device=device,
        progress=progress,
        meters=(sample, Outlines()),
    )
    accuracy = near.accuracy()
    return {
        "photos": sum(1 for sample in samples if sample.mask is not None),
        **figures(matrix, categories),
        "outline_accuracy": None if math.isnan(accuracy) else round(accuracy, 4),
        "outline_pixels": OUTLINE_PIXELS,
        **sample.figures(),
    }


def find_labelled(folders: Sequence[Path]) -> list[Sample]:
    """Return the photos with ground truth of several folders in VOC layout.

    Raises:
        FileNotFoundError: One of them is no such folder, or has no photo.
        ValueError: One of them has no ground truth.
    """
    labelled = []
    for folder in folders:
        samples = [sample for sample in find_samples(folder) if sample.mask is not None]
        if not samples:
            raise ValueError(f"{folder} has no masks in SegmentationClass to compare with")
        labelled += samples
    return labelled


def load_for_evaluation(
    options: argparse.Namespace, device: torch.device
) -> tuple[nn.Module, list[Transforms], tuple[str, ...], list[int]]:
    """Return a network in eval mode, its transforms, its categories and its shorter sides.

    Raises:
        ValueError: `--weights` without `--size`, because a state dict does not contain its size.
    """
    if options.weights:
        if not options.size:
            raise ValueError("--weights needs --size: the shorter side that the weights are for")
        network = build_network(options.model, options.num_classes)
        network.load_state_dict(initial_weights(options.weights, options.model))
        transforms = [eval_transforms(size) for size in options.size]
        categories = voc_categories(options.num_classes)
        return network.to(device).eval(), transforms, categories, options.size
    from segmentation.models.loader import load_model

    model = load_model(options.model, device=device)
    card = model.card
    sizes = list(sharper_size(card)) if options.sharper else options.size
    transforms = [model.transforms]
    if sizes:
        transforms = [eval_transforms(size, mean=card.mean, std=card.std) for size in sizes]
    return model.network, transforms, card.categories, sizes or [card.resize]


def make_parser() -> argparse.ArgumentParser:
    """Return the command line of `python -m training.evaluate`."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help="folders with JPEGImages and SegmentationClass, evaluated as one",
    )
    add("--model", required=True, help="a model's name, embedded, or a .pt2")
    add("--weights", help="evaluate these weights: a state dict or a training checkpoint")
    add("--num-classes", type=int, default=21, help="of the weights")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--size",
        type=int,
        nargs="+",
        help="shorter side of the photos, instead of the model's own; several are averaged",
    )
    sizes.add_argument("--sharper", action="store_true", help="the sizes that the card averages")
    add("--json", type=Path, help="write the figures to this file too")
    add("--device", default="auto")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def format_figures(result: dict[str, Any]) -> str:
    """Return the figures as a table for the terminal."""
    lines = [f"{'class':<22} {'IoU':>7} {'photos':>7}"]
    lines += [
        f"{name:<22} {row['iou']:7.4f} {row['photos']:7d}"
        for name, row in result["classes"].items()
    ]

    def add(name: str, value: float | None, note: str = "") -> None:
        if value is not None:
            lines.append(f"{name:<22} {value:7.4f}{note and '  ' + note}")

    if result["miou"] is None:
        add("mean IoU, those shown", result["miou_shown"], f"({len(result['classes'])} classes)")
    add("mean IoU, all classes", result["miou"], f"({len(result['classes'])} classes)")
    add("mean IoU of 7", result.get("miou_7"), f"({', '.join(FOCUS)})")
    add("pixel accuracy", result["pixel_accuracy"])
    within = f"(within {result.get('outline_pixels')} px of a true outline)"
    add("accuracy at outlines", result.get("outline_accuracy"), within)
    if "calibration" in result:
        error = result["calibration"]
        scaled = f"({error['ece_scaled']:.4f} at temperature {error['temperature']})"
        add("calibration error", error["ece"], scaled)
    if "sets" in result:
        sets = result["sets"]
        several = sum(share for size, share in sets["sizes"].items() if size != "1")
        add("sets: threshold", sets["threshold"], f"(for {sets['level']:.0%})")
        add("sets: coverage", sets["coverage"], f"({sets['photos'][1]} other photos)")
        add("sets: two or more", several, "(share of the pixels)")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        device = pick_training_device(options.device)
        samples = find_labelled(options.data)
        network, transforms, categories, sizes = load_for_evaluation(options, device)
        bar = Bar("evaluate", quiet=options.quiet)
        result = {
            "model": options.model,
            "data": [folder.name for folder in options.data],
            "size": sizes if len(sizes) > 1 else sizes[0],
            **examine(network, transforms, samples, categories, device=device, progress=bar),
        }
        bar.close()
        print(format_figures(result))
        if options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n")
    except (OSError, ValueError, RuntimeError, PixelwiseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
