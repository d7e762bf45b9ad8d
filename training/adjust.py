"""Logit adjustment: `python -m training.adjust WEIGHTS --data DIR ... --tau 0.1 --out FILE`.

A network trained on many background pixels and few table pixels predicts background when uncertain.
Adjustment raises each class's logit by -tau x log of its share of the training pixels, a constant
in the bias of the last convolution (post-hoc logit adjustment, Menon et al., arXiv 2007.07314).
tau = 1 balances the classes; the best mean IoU needs far less. Labelling takes no longer.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from segmentation.networks.build import build_network
from training.checkpoint import save_changed
from training.common import initial_weights
from training.data.dataset import Sample, find_samples, read_mask


def class_frequencies(samples: Sequence[Sample], num_classes: int) -> Tensor:
    """Return each class's share of the labelled pixels, (num_classes,) float64.

    Every photo has the same weight.

    Args:
        samples: Photos. Those without masks are skipped, and so is the background of photos in
            which only one class is marked.
        num_classes: Number of classes.

    Raises:
        ValueError: No photo has a mask, or no mask shows one of the classes.
    """
    total = torch.zeros(num_classes, dtype=torch.float64)
    for sample in samples:
        if sample.mask is None:
            continue
        mask = read_mask(sample.mask)
        counts = np.bincount(mask.ravel(), minlength=256)[:num_classes]
        if sample.partial:
            counts[0] = 0
        total += torch.from_numpy(counts / mask.size)
    missing = (total == 0).nonzero()[:, 0].tolist()
    if missing:
        raise ValueError(f"no mask shows the classes {missing}: their share cannot be counted")
    return total / total.sum()


def bias_key(network: nn.Module, num_classes: int) -> str:
    """Return the name of the bias of the convolution that produces the logits.

    Raises:
        ValueError: The network ends with no such convolution.
    """
    keys = [
        f"{name}.bias"
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
        and module.out_channels == num_classes
        and module.bias is not None
        and not name.startswith("aux")
    ]
    if not keys:
        raise ValueError(f"{type(network).__name__} has no last convolution with a bias to adjust")
    return keys[-1]


def adjust(bias: Tensor, frequencies: Tensor, tau: float) -> Tensor:
    """Return the bias (C,) for adjusted logits; the background's is unchanged.

    Args:
        bias: The bias of the last convolution.
        frequencies: Share of the training pixels of each class, (C,), all above 0.
        tau: 0 changes nothing; 1 balances the classes.
    """
    rarity = frequencies[0].log() - frequencies.log()
    return bias + tau * rarity.to(bias.dtype)


def make_parser() -> argparse.ArgumentParser:
    """Return the command line of `python -m training.adjust`."""
    parser = argparse.ArgumentParser(prog="python -m training.adjust", description=__doc__)
    add = parser.add_argument
    add("weights", help="embedded, a checkpoint or a state dict")
    add("--model", default="deeplabv3plus_resnet18", help="the network they belong to")
    add("--num-classes", type=int, default=21)
    add("--data", type=Path, nargs="+", required=True, help="the folders it was trained on")
    add("--partial", nargs="*", default=[], metavar="PREFIX", help="photos with one marked class")
    add("--tau", type=float, default=0.1, help="0: no change; 1: balanced classes")
    add("--out", type=Path, required=True, help="the file to write")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        samples = [
            sample
            for folder in options.data
            for sample in find_samples(folder, partial_prefixes=options.partial)
        ]
        frequencies = class_frequencies(samples, options.num_classes)
        state = initial_weights(options.weights, options.model)
        key = bias_key(build_network(options.model, options.num_classes), options.num_classes)
        before = state[key]
        state[key] = adjust(before, frequencies, options.tau)
        change = {
            "what": f"logits adjusted by the classes' share of the training pixels, "
            f"tau {options.tau:g}",
            "data": [str(folder) for folder in options.data],
        }
        save_changed(options.weights, state, change, options.out)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    raised = ", ".join(f"{value:.2f}" for value in (state[key] - before).tolist())
    print(f"{key} raised by {raised}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
