"""Export a model as one file: `python -m training.export --model NAME --out FILE.pt2`.

The file is a `torch.export` program with dynamic batch and sides, and the model's card in the
archive's extra file `model.json`. The app, and torch alone, run it without the network's code.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim

from segmentation.errors import PixelwiseError
from segmentation.networks.build import build_network
from training.common import initial_weights, own_card

MIN_SIDE, MAX_SIDE = 33, 8192
EXAMPLE_SIDES = (97, 129)


def export_network(network: nn.Module, card: dict[str, Any], path: Path) -> None:
    """Write a network and its card.

    Args:
        network: Maps (N, 3, H, W) to {"out": logits} or logits.
        card: Plain values, at least name, categories, mean, std and resize.
        path: The `.pt2` file to write.

    Raises:
        ValueError: The path does not end on .pt2.
    """
    if path.suffix != ".pt2":
        raise ValueError(f"{path} does not end on .pt2")
    example = torch.zeros(2, 3, *EXAMPLE_SIDES)
    sides = {
        2: Dim("height", min=MIN_SIDE, max=MAX_SIDE),
        3: Dim("width", min=MIN_SIDE, max=MAX_SIDE),
    }
    program = torch.export.export(
        network.cpu().eval(), (example,), dynamic_shapes=({0: Dim("batch", max=1024), **sides},)
    )
    torch.export.save(program, path, extra_files={"model.json": json.dumps(card, indent=2)})


def make_parser() -> argparse.ArgumentParser:
    """Return the command line of `python -m training.export`."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__)
    add = parser.add_argument
    add("--model", required=True, help="embedded, or a model's name")
    add("--weights", help="a state dict or a training checkpoint of that network")
    add("--size", type=int, help="with --weights: shorter side that they are for")
    add("--num-classes", type=int, default=21, help="of the weights")
    add("--out", type=Path, required=True, help="the .pt2 file to write")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        if options.weights:
            if not options.size:
                raise ValueError("--weights needs --size: the shorter side they are for")
            network = build_network(options.model, options.num_classes)
            network.load_state_dict(initial_weights(options.weights, options.model))
            card = own_card(options.model, options.num_classes, options.size)
        else:
            from segmentation.models.loader import load_model

            model = load_model(options.model, device="cpu")
            network = model.network
            fields = ("name", "categories", "mean", "std", "resize", "palette", "source", "license")
            card = {field: getattr(model.card, field) for field in fields}
        export_network(network, card, options.out)
    except (OSError, ValueError, RuntimeError, PixelwiseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
