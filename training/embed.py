"""Make the embedded model from a training run, or from a state dict with a written history.

`python -m training.embed --checkpoint FILE --val DIR [DIR ...] --size N` takes the run's averaged
weights in half precision, evaluates exactly those, and writes `embedded.pth`, its card
`embedded.json`, and the card as a page, `README.md`. With `--weights FILE --model NAME --history
FILE` in place of `--checkpoint` the weights are a state dict, and the file contains their history:
a JSON list of stages (see `training.history`). `--mix FILE:SHARE` averages other weights in first.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segmentation.networks.build import build_network
from segmentation.progress import Bar
from training.checkpoint import load_checkpoint, save_checkpoint
from training.common import eval_transforms, initial_weights, own_card
from training.data.dataset import Sample
from training.evaluate import examine, find_labelled
from training.history import read_stages, run_stage
from training.model_card_text import LICENSE, SOURCE, describe_model, known_failures
from training.optim.mix import mix_weights, parse_part

FOLDER = Path(__file__).parent.parent / "segmentation" / "weights"


@dataclass(frozen=True)
class Weights:
    """Weights to embed and their history.

    Attributes:
        network: Name of the network.
        num_classes: Its number of classes.
        state: Its state dict.
        stages: Its history, from random weights on; see `training.history`.
    """

    network: str
    num_classes: int
    state: dict[str, Tensor]
    stages: list[dict[str, Any]]


def half_precision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with its floating-point tensors in half precision, contiguous."""
    return {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in state.items()
    }


def from_run(checkpoint: Path, folder: Path, *, history: Path | None, note: str = "") -> Weights:
    """Return the averaged weights of a training run.

    Args:
        checkpoint: Saved by `training.train`.
        folder: Has the present card, whose history continues if the run started from its weights.
        history: File with the stages before the run; None means the present card's, if the run
            started from the embedded weights.
        note: A remark on the run.
    """
    run = load_checkpoint(checkpoint)
    recipe = run["recipe"]
    earlier = []
    if history is not None:
        earlier = read_stages(history)
    elif recipe["init"] == "embedded":
        card = json.loads((folder / "embedded.json").read_text())
        earlier = card["trained"]["stages"]
    return Weights(
        recipe["model"],
        recipe["num_classes"],
        run["average"]["network"],
        [*earlier, run_stage(run, note)],
    )


def from_state(weights: Path, model: str, num_classes: int, history: Path) -> Weights:
    """Return the weights of a state dict, with the history in a file."""
    return Weights(model, num_classes, initial_weights(str(weights), model), read_stages(history))


def mixed(weights: Weights, parts: Sequence[tuple[str, float]]) -> Weights:
    """Return the weights averaged with others, with one more stage in their history.

    Args:
        weights: Their share is one minus the others' shares.
        parts: Names (embedded, a checkpoint, a state dict) and shares of the others.

    Raises:
        ValueError: The shares add up to more than one, or the networks differ.
    """
    if not parts:
        return weights
    own = round(1 - sum(share for _, share in parts), 6)
    if own < 0:
        raise ValueError(f"the shares to mix in add up to {1 - own:g}: at most 1 is there")
    others = [initial_weights(name, weights.network) for name, _ in parts]
    state = mix_weights([weights.state, *others], [own, *(share for _, share in parts)])
    names = " + ".join(f"{share:g} of {Path(name).name}" for name, share in parts)
    stage = {"what": f"Mixed: {own:g} of these weights + {names}."}
    return replace(weights, state=state, stages=[*weights.stages, stage])


def embed(
    weights: Weights,
    val: list[Path],
    folder: Path,
    *,
    size: int,
    sharper: Sequence[int] = (),
    data: str = "",
    quiet: bool = False,
) -> dict[str, Any]:
    """Write the embedded model and its card.

    Args:
        weights: What to embed.
        val: Folders in VOC layout for the evaluation.
        folder: For the three files.
        size: Shorter side at which it is evaluated and used.
        sharper: Sizes that are averaged with it for sharper outlines, evaluated too.
        data: Description of the photos in `val`; the folders' names by default.
        quiet: No progress bar.

    Returns:
        The card.
    """
    samples = find_labelled(val)
    state = half_precision(weights.state)
    network = build_network(weights.network, weights.num_classes)
    network.load_state_dict({key: value.float() for key, value in state.items()})
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "embedded.pth"
    save_checkpoint(file, state)
    card = own_card(weights.network, weights.num_classes, size)

    folders = [path.name for path in val]
    described = {"data": data or " and ".join(folders), "folders": folders}

    def figures(sizes: list[int]) -> dict[str, Any]:
        return described | _measure(network, samples, card["categories"], sizes, quiet)

    plain = figures([size])
    card |= {
        "network": weights.network,
        "source": SOURCE,
        "license": LICENSE,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "miou": None if plain["miou"] is None else round(100 * plain["miou"], 1),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "bytes": file.stat().st_size,
        "figures": plain,
        "trained": {"stages": weights.stages},
        "known_failures": known_failures(plain),
    }
    if sharper:
        card["sharper"] = figures([size, *sharper])
    file.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    (folder / "README.md").write_text(describe_model(card))
    return card


def _measure(
    network: nn.Module,
    samples: list[Sample],
    categories: Sequence[str],
    sizes: list[int],
    quiet: bool,
) -> dict[str, Any]:
    """Return the figures of a network at one size, or averaged over several."""
    bar = Bar(f"evaluate at {' and '.join(map(str, sizes))} px", quiet=quiet)
    result = examine(
        network.eval(),
        [eval_transforms(size) for size in sizes],
        samples,
        categories,
        device=torch.device("cpu"),
        progress=bar,
    )
    bar.close()
    return {"size": sizes if len(sizes) > 1 else sizes[0], **result}


def make_parser() -> argparse.ArgumentParser:
    """Return the command line of `python -m training.embed`."""
    parser = argparse.ArgumentParser(prog="python -m training.embed", description=__doc__)
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="saved by training.train")
    source.add_argument("--weights", type=Path, help="a state dict (.pth)")
    add("--model", help="with --weights: their network")
    add("--num-classes", type=int, default=21, help="with --weights: the network's classes")
    add("--history", type=Path, help="JSON list of the stages of training up to here")
    add(
        "--mix",
        nargs="*",
        type=parse_part,
        default=[],
        metavar="FILE:SHARE",
        help="average with these: embedded:0.15 leaves 0.85 for the weights themselves",
    )
    add(
        "--val",
        type=Path,
        nargs="+",
        required=True,
        help="folders in VOC layout for the evaluation",
    )
    add("--data-name", default="", help="description of the photos in --val")
    add("--size", type=int, required=True, help="shorter side at which the model is used")
    add("--sharper", type=int, nargs="*", default=[], help="sizes to average for sharper outlines")
    add("--out", type=Path, default=FOLDER, help="folder to write to")
    add("--note", default="", help="with --checkpoint: a remark on the run")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        if options.checkpoint:
            weights = from_run(
                options.checkpoint, options.out, history=options.history, note=options.note
            )
        else:
            if not (options.model and options.history):
                raise ValueError(
                    "--weights needs --model, the network, and --history, how they were trained"
                )
            weights = from_state(
                options.weights, options.model, options.num_classes, options.history
            )
        card = embed(
            mixed(weights, options.mix),
            options.val,
            options.out,
            size=options.size,
            sharper=options.sharper,
            data=options.data_name,
            quiet=options.quiet,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    numbers = card["figures"]
    print(
        f"{options.out}: mean IoU {numbers['miou_shown']} over {len(numbers['classes'])} classes, "
        f"pixel accuracy {numbers['pixel_accuracy']}, {card['bytes'] / 1e6:.1f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
