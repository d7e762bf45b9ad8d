"""Measure a model: `python -m training.evaluate --data DIR --model NAME`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from segmentation.errors import PixelwiseError
from segmentation.networks import build_network
from segmentation.progress import Bar
from training.data import Sample, find_samples, read_mask
from training.metrics import ConfusionMatrix
from training.setup import (
    eval_transforms,
    initial_weights,
    pick_training_device,
    voc_categories,
)

FOCUS = ("__background__", "cat", "cow", "dog", "horse", "person", "sheep")
"""Classes that enough of the project's validation photos show; their mean IoU is `miou_7`."""


@torch.no_grad()
def measure(
    network: nn.Module | Callable[[Tensor], Any],
    transforms: Callable[[Image.Image], Tensor],
    samples: Sequence[Sample],
    *,
    num_classes: int,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> ConfusionMatrix:
    """Label photos and compare at the ground truth's full size.

    Args:
        network: In eval mode; logits or a dict with "out".
        transforms: Turn a photo into (3, h, w) float32.
        samples: Photos; those without ground truth are left out.
        num_classes: Number of classes.
        device: Where the network is.
        progress: Called with (done, total) after each photo.
    """
    samples = [sample for sample in samples if sample.mask is not None]
    matrix = ConfusionMatrix(num_classes)
    for done, sample in enumerate(samples, start=1):
        with Image.open(sample.photo) as image:
            batch = transforms(image.convert("RGB"))[None].to(device)
        labels = torch.from_numpy(read_mask(sample.mask).astype(np.int64))
        out = network(batch)
        logits = (out["out"] if isinstance(out, dict) else out).float()
        logits = F.interpolate(logits, size=labels.shape, mode="bilinear", align_corners=False)
        matrix.update(labels, logits.argmax(1)[0])
        if progress:
            progress(done, len(samples))
    return matrix


def figures(matrix: ConfusionMatrix, categories: Sequence[str]) -> dict[str, Any]:
    """What a confusion matrix says, as plain numbers rounded to four places.

    Returns:
        photos; pixel_accuracy; miou (over the classes the photos show); miou_7 where the
        categories hold FOCUS; classes: name to IoU and number of photos.
    """
    shown = matrix.photos > 0
    iou = matrix.iou()
    result: dict[str, Any] = {
        "pixel_accuracy": round(matrix.pixel_accuracy(), 4),
        "miou": round(matrix.mean_iou(), 4),
        "classes": {
            name: {"iou": round(float(iou[i]), 4), "photos": int(matrix.photos[i])}
            for i, name in enumerate(categories)
            if shown[i]
        },
    }
    if set(FOCUS) <= set(categories):
        result["miou_7"] = round(matrix.mean_iou([categories.index(name) for name in FOCUS]), 4)
    return result


def load_for_measuring(
    options: argparse.Namespace, device: torch.device
) -> tuple[nn.Module, Callable[[Image.Image], Tensor], tuple[str, ...]]:
    """A network in eval mode, its transforms and its categories.

    Raises:
        ValueError: `--weights` without `--size`: a bare state dict does not say what size it is
            for.
    """
    if options.weights:
        if not options.size:
            raise ValueError("--weights needs --size: the shorter side that the weights are for")
        network = build_network(options.model, options.num_classes)
        network.load_state_dict(initial_weights(options.weights, options.model))
        categories = voc_categories(options.num_classes)
        return network.to(device).eval(), eval_transforms(options.size), categories
    from segmentation.models import load_model

    model = load_model(options.model, device=device)
    transforms = model.transforms
    if options.size:
        transforms = eval_transforms(options.size, mean=model.card.mean, std=model.card.std)
    return model.network, transforms, tuple(model.card.categories)


def make_parser() -> argparse.ArgumentParser:
    """The command line of `python -m training.evaluate`."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with JPEGImages and SegmentationClass")
    add("--model", required=True, help="a model's name, embedded, or a .pt2")
    add("--weights", help="measure these weights: a state dict or a training checkpoint")
    add("--num-classes", type=int, default=21, help="of the weights")
    add("--size", type=int, help="shorter side of the photos, instead of the model's own")
    add("--json", type=Path, help="write the figures to this file too")
    add("--device", default="auto")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def format_figures(result: dict[str, Any]) -> str:
    """The figures as a table for the terminal."""
    lines = [f"{'class':<16} {'IoU':>7} {'photos':>7}"]
    lines += [
        f"{name:<16} {row['iou']:7.4f} {row['photos']:7d}"
        for name, row in result["classes"].items()
    ]
    lines.append(f"{'mean IoU':<16} {result['miou']:7.4f}")
    if "miou_7" in result:
        lines.append(f"{'mean IoU of 7':<16} {result['miou_7']:7.4f}  ({', '.join(FOCUS)})")
    lines.append(f"{'pixel accuracy':<16} {result['pixel_accuracy']:7.4f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        device = pick_training_device(options.device)
        samples = [s for s in find_samples(options.data) if s.mask is not None]
        if not samples:
            raise ValueError(f"{options.data} has no masks in SegmentationClass to compare with")
        network, transforms, categories = load_for_measuring(options, device)
        bar = Bar("evaluate", quiet=options.quiet)
        matrix = measure(
            network,
            transforms,
            samples,
            num_classes=len(categories),
            device=device,
            progress=bar,
        )
        bar.close()
        result = {"model": options.model, "data": options.data.name, "photos": len(samples)}
        result |= figures(matrix, categories)
        print(format_figures(result))
        if options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n")
    except (OSError, ValueError, RuntimeError, PixelwiseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
