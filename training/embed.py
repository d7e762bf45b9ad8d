"""Make the embedded model of a training run.

`python -m training.embed --checkpoint FILE --val DIR --size N` takes the run's averaged weights in
half precision, measures exactly those, and writes `embedded.pth`, its card `embedded.json`, and
the card for people, `README.md`.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segmentation.networks import build_network
from segmentation.progress import Bar
from training.checkpoint import load_checkpoint, save_checkpoint
from training.data import find_samples
from training.embed_text import LICENSE, SOURCE, describe_model, known_failures
from training.evaluate import figures, measure
from training.setup import eval_transforms, own_card

FOLDER = Path(__file__).parent.parent / "segmentation" / "weights"


def half_precision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with its floating-point tensors in half precision, contiguous."""
    return {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in state.items()
    }


def training_command(recipe: dict[str, Any]) -> str:
    """The command line that a recipe came from."""
    words = ["python -m training.train"]
    for key, value in recipe.items():
        flag = "--" + key.replace("_", "-")
        if key in ("out", "cache", "quiet", "threads", "save_every", "eval_every", "eval_size"):
            continue
        if value is None or value == [] or value == {} or (key == "steps" and recipe["minutes"]):
            continue
        if key == "size":
            text = ",".join(f"{phase['size']}:{phase['until']:g}" for phase in value)
        elif key == "boost":
            text = ",".join(f"{index}:{factor:g}" for index, factor in value.items())
        elif isinstance(value, list):
            text = " ".join(value)
        else:
            text = _relative(str(value)) if key in _PATHS else f"{value}"
        words.append(f"{flag} {text}")
    return " ".join(words)


_PATHS = ("data", "val", "unlabelled", "teacher", "init")


def _relative(path: str) -> str:
    """A path from the folder beside the checkout, as another person would write it."""
    head, found, tail = path.partition("shared/")
    return f"../{found}{tail}" if found else head


def commit() -> str:
    """The checkout's commit, or nothing outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=FOLDER.parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def embed(
    checkpoint: Path, val: Path, folder: Path, *, size: int, note: str = "", quiet: bool = False
) -> dict[str, Any]:
    """Write the embedded model and its card.

    Args:
        checkpoint: What `training.train` saved.
        val: Folder in VOC layout to measure on.
        folder: Where the three files go.
        size: Shorter side at which it is measured and used.
        note: What else the card must say of the training.
        quiet: No progress bar.

    Returns:
        The card.
    """
    run = load_checkpoint(checkpoint)
    recipe = run["recipe"]
    state = half_precision(run["average"]["network"])
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "embedded.pth"
    save_checkpoint(weights, state)
    network = build_network(recipe["model"], recipe["num_classes"])
    network.load_state_dict({key: value.float() for key, value in state.items()})
    card = own_card(recipe["model"], recipe["num_classes"], size)
    samples = find_samples(val)
    bar = Bar("evaluate", quiet=quiet)
    matrix = measure(
        network.eval(),
        eval_transforms(size),
        samples,
        num_classes=recipe["num_classes"],
        device=torch.device("cpu"),
        progress=bar,
    )
    bar.close()
    result = figures(matrix, card["categories"])
    card |= {
        "network": recipe["model"],
        "source": SOURCE,
        "license": LICENSE,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "miou": round(100 * result.get("miou_7", result["miou"]), 1),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "bytes": weights.stat().st_size,
        "figures": {"photos": len(samples), "size": size, **result},
        "trained": {
            "samples": run["samples_seen"],
            "steps": run["step"],
            "minutes": round(run["elapsed"] / 60),
            "recipe": recipe_for_card(recipe),
            "command": training_command(recipe),
            "commit": commit(),
            "initialisation": recipe["init"] or "random",
            "note": note,
        },
        "known_failures": known_failures({"size": size, **result}),
    }
    weights.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    (folder / "README.md").write_text(describe_model(card))
    return card


def recipe_for_card(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe without what only this machine knows."""
    return {
        key: _relative(value) if key in _PATHS and isinstance(value, str) else value
        for key, value in recipe.items()
        if key not in ("out", "cache", "quiet") and value is not None
    }


def make_parser() -> argparse.ArgumentParser:
    """The command line of `python -m training.embed`."""
    parser = argparse.ArgumentParser(prog="python -m training.embed", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="what training.train saved")
    add("--val", type=Path, required=True, help="folder in VOC layout to measure on")
    add("--size", type=int, required=True, help="shorter side at which the model is used")
    add("--out", type=Path, default=FOLDER, help="folder to write to")
    add("--note", default="", help="what else the card must say of the training")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        card = embed(
            options.checkpoint,
            options.val,
            options.out,
            size=options.size,
            note=options.note,
            quiet=options.quiet,
        )
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    numbers = card["figures"]
    print(
        f"{options.out}: mean IoU {numbers.get('miou_7', numbers['miou'])}, "
        f"pixel accuracy {numbers['pixel_accuracy']}, {card['bytes'] / 1e6:.1f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
