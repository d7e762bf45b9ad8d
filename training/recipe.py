"""What a training run is told: the command line and its defaults."""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segmentation.networks import NETWORKS
from training.optimizers import OPTIMIZERS
from training.schedule import SCHEDULES

SIZE_STEP = 16


@dataclass(frozen=True)
class Phase:
    """A part of the training with its own view size, up to `until`, a share in (0, 1]."""

    size: int
    until: float


def parse_sizes(text: str) -> tuple[Phase, ...]:
    """Read "128" or "96:0.4,128:0.8,160": sizes, and up to which share of the training each holds.

    Raises:
        argparse.ArgumentTypeError: No such list, or a size that is no multiple of 16.
    """
    phases = []
    for part in text.split(","):
        size, _, until = part.partition(":")
        try:
            phases.append(Phase(int(size), float(until) if until else 1.0))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is no SIZE or SIZE:SHARE") from None
    for phase in phases:
        if phase.size < 2 * SIZE_STEP or phase.size % SIZE_STEP:
            raise argparse.ArgumentTypeError(
                f"size {phase.size} is no multiple of {SIZE_STEP} from {2 * SIZE_STEP} up"
            )
    shares = [phase.until for phase in phases]
    if shares != sorted(shares) or shares[0] <= 0 or shares[-1] != 1.0:
        raise argparse.ArgumentTypeError(f"{text!r}: the shares must rise, and the last be 1")
    return tuple(phases)


def parse_boosts(text: str) -> dict[int, float]:
    """Read "3:2,8:1.5": class index to how much more often photos that show it are drawn.

    Raises:
        argparse.ArgumentTypeError: No such list.
    """
    try:
        pairs = (part.split(":") for part in text.split(",") if part)
        return {int(index): float(factor) for index, factor in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no INDEX:FACTOR,...") from None


def make_parser() -> argparse.ArgumentParser:
    """The command line of `python -m training.train`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Train a segmentation network on a folder in VOC layout; run again to go on.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with JPEGImages and SegmentationClass")
    add("--model", required=True, choices=sorted(NETWORKS), help="network to train")
    add("--out", type=Path, default=Path("runs/latest"), help="folder for checkpoint and log")
    add("--val", type=Path, help="folder in VOC layout to measure on as training goes")
    add("--num-classes", type=int, default=21)
    add("--partial", nargs="*", default=[], metavar="PREFIX", help="photos with one marked class")
    add("--teacher", help="model name or .pt2 whose probabilities are learnt")
    add("--teacher-size", type=int, default=321, help="side of the square the teacher looks at")
    add(
        "--teacher-view", choices=("photo", "crop"), default="photo", help="see training/teacher.py"
    )
    add("--hint", metavar="LAYER", help="teacher's layer whose features are learnt too")
    add("--hint-weight", type=float, default=1.0, help="how much they count at the beginning")
    add("--unlabelled", type=Path, help="more photos, for which only the teacher speaks")
    add("--unlabelled-weight", type=float, default=0.5, help="how often they are drawn")
    add("--truth", type=float, default=0.7, help="share of ground truth where both speak")
    add("--boost", type=parse_boosts, default={}, help="INDEX:FACTOR,... classes drawn more often")
    add("--balance", type=float, default=0.0, help="0: pixels alike; 1: classes alike")
    add("--init", help="start from these weights: embedded, or a file")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, default=20_000, help="length of the training")
    budget.add_argument("--minutes", type=float, help="length of the training by the clock")
    add("--batch", type=int, default=32, help="views a step")
    add("--size", type=parse_sizes, default=parse_sizes("128"), help="SIZE[:SHARE],... of views")
    add("--least-area", type=float, default=0.3, help="least share of the photo in a view")
    add("--cutmix", type=float, default=0.0, help="share of views with a piece of another one")
    add("--optimizer", choices=OPTIMIZERS, default="adamw")
    add("--lr", type=float, default=2e-3)
    add("--weight-decay", type=float, default=0.05)
    add("--schedule", choices=SCHEDULES, default="cosine")
    add("--warmup", type=float, default=0.02, help="share of the training")
    add("--ema", type=float, default=0.998, help="decay of the averaged weights")
    add("--eval-size", type=int, help="shorter side when measuring (default: 1.25 x view size)")
    add("--eval-every", type=int, default=1500, help="steps between measurements")
    add("--save-every", type=int, default=300, help="steps between checkpoints")
    add("--cache", type=Path, help="folder for the teacher's opinions (default: OUT)")
    add("--device", default="auto")
    add("--threads", type=int, default=0, help="CPU threads (0: torch's choice)")
    add("--seed", type=int, default=0)
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def describe(options: argparse.Namespace) -> dict[str, Any]:
    """The options as plain values, for the checkpoint and the model card."""
    plain: dict[str, Any] = {}
    for key, value in vars(options).items():
        if isinstance(value, Path):
            value = str(value)
        elif isinstance(value, tuple):
            value = [asdict(phase) for phase in value]
        elif isinstance(value, dict):
            value = {str(index): factor for index, factor in value.items()}
        plain[key] = value
    return plain
