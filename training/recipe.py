"""The recipe of a training run: its command line and the defaults."""

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segmentation.networks.build import NETWORKS
from training.distillation.teacher import MIN_SIZE
from training.optim.optimizers import OPTIMIZERS
from training.optim.schedule import SCHEDULES

SIZE_STEP = 16


@dataclass(frozen=True)
class Phase:
    """A part of the training with its own view size; it ends at `until`, a share in (0, 1]."""

    size: int
    until: float


def parse_sizes(text: str) -> tuple[Phase, ...]:
    """Parse "128" or "96:0.4,128:0.8,160": view sizes, and the share of the training at their end.

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
    """Parse "3:2,8:1.5": class index to the factor of how often photos that show it are drawn.

    Raises:
        argparse.ArgumentTypeError: No such list.
    """
    try:
        pairs = (part.split(":") for part in text.split(",") if part)
        return {int(index): float(factor) for index, factor in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no INDEX:FACTOR,...") from None


def make_parser() -> argparse.ArgumentParser:
    """Return the command line of `python -m training.train`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Train a segmentation network on folders in VOC layout; run again to resume.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    _add_data(add)
    _add_teachers(add)
    add("--truth", type=float, default=0.7, help="share of ground truth in pixels that have both")
    add("--boost", type=parse_boosts, default={}, help="INDEX:FACTOR,... classes drawn more often")
    add("--rare", type=float, default=0.0, help="draw photos of rare classes more often: 0 to 1")
    add("--balance", type=float, default=0.0, help="0: equal pixels; 1: equal classes")
    add("--init", help="start from these weights: embedded, or a file")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, default=20_000, help="length of the training")
    budget.add_argument("--minutes", type=float, help="length of the training by the clock")
    add("--batch", type=int, default=32, help="views a step")
    add("--size", type=parse_sizes, default=parse_sizes("128"), help="SIZE[:SHARE],... of views")
    add(
        "--zoom",
        type=float,
        nargs=2,
        default=[0.8, 2.0],
        metavar=("MIN", "MAX"),
        help="ratio of the photo's shorter side to the view's",
    )
    add("--turn", type=float, default=10.0, help="largest rotation of a view in degrees")
    add("--cutmix", type=float, default=0.0, help="share of views with a piece of another one")
    add("--optimizer", choices=OPTIMIZERS, default="adamw")
    add("--lr", type=float, default=2e-3)
    add("--weight-decay", type=float, default=0.05)
    add("--schedule", choices=SCHEDULES, default="cosine")
    add("--warmup", type=float, default=0.02, help="share of the training")
    add("--ema", type=float, default=0.998, help="decay of the averaged weights")
    add("--eval-size", type=int, help="shorter side in evaluations (default: 1.25 x view size)")
    add("--eval-every", type=int, default=1500, help="steps between evaluations")
    add("--save-every", type=int, default=300, help="steps between checkpoints")
    add("--cache", type=Path, help="folder for the teachers' outputs (default: OUT)")
    add("--device", default="auto")
    add("--threads", type=int, default=0, help="CPU threads (0: torch's choice)")
    add("--seed", type=int, default=0)
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def _add_data(add: Callable[..., Any]) -> None:
    """Add the options for photos."""
    add("--data", type=Path, nargs="+", required=True, help="folders in VOC layout")
    add("--model", required=True, choices=sorted(NETWORKS), help="network to train")
    add("--out", type=Path, default=Path("runs/latest"), help="folder for checkpoint and log")
    add(
        "--val", type=Path, nargs="+", default=[], help="folders for evaluation during the training"
    )
    add("--num-classes", type=int, default=21)
    add("--partial", nargs="*", default=[], metavar="PREFIX", help="photos with one marked class")
    add(
        "--unlabelled",
        type=Path,
        nargs="+",
        default=[],
        help="photos with targets from teachers alone",
    )
    add("--unlabelled-weight", type=float, default=0.5, help="how often they are drawn")
    add("--prior", type=Path, nargs="+", default=[], help="folders whose classes.json may be wrong")
    add("--prior-factor", type=float, default=3.0, help="how much likelier its classes become")
    add("--canvas", type=int, help="shorter side of the stored photos (default: 1.375 x view size)")


def _add_teachers(add: Callable[..., Any]) -> None:
    """Add the options for teachers."""
    add("--teacher", nargs="+", default=[], help="model names or .pt2, probabilities averaged")
    add("--teacher-size", type=int, nargs="+", default=[417], help="shorter sides of their input")
    add("--teacher-flip", action="store_true", help="run them on the mirrored photo too")
    add(
        "--hint",
        nargs="+",
        default=[],
        metavar="LAYER",
        help="one layer for each teacher, whose features are learnt",
    )
    add("--hint-weight", type=float, default=1.0, help="weight of hints at the beginning")
    add(
        "--hint-until",
        type=float,
        default=1.0,
        help="share of the training at which hints have faded to 0",
    )


def check(options: argparse.Namespace) -> None:
    """Check that the options fit together.

    Raises:
        ValueError: They do not; the message has the remedy.
    """
    if options.hint and len(options.hint) != len(options.teacher):
        raise ValueError(
            f"--hint names {len(options.hint)} layers, --teacher {len(options.teacher)} teachers: "
            "name one layer a teacher"
        )
    if options.unlabelled and not options.teacher:
        raise ValueError("--unlabelled needs --teacher: those photos have no other targets")
    if min(options.teacher_size) < MIN_SIZE:
        raise ValueError(f"--teacher-size {min(options.teacher_size)} is below {MIN_SIZE} px")
    low, high = options.zoom
    if not 0 < low <= high:
        raise ValueError(f"--zoom {low:g} {high:g}: the smaller one first, above 0")
    if not 0 < options.hint_until <= 1:
        raise ValueError(f"--hint-until {options.hint_until:g} is no share above 0, up to 1")
    if options.prior_factor < 1:
        raise ValueError(f"--prior-factor {options.prior_factor:g} is below 1")
    folders = [*options.data, *options.unlabelled]
    for folder in options.prior:
        if folder not in folders:
            raise ValueError(f"--prior {folder} is no folder of --data or --unlabelled")


def describe(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options as plain values, for the checkpoint and the model card."""
    plain: dict[str, Any] = {}
    for key, value in vars(options).items():
        if isinstance(value, Path):
            value = str(value)
        elif isinstance(value, tuple):
            value = [asdict(phase) for phase in value]
        elif isinstance(value, list):
            value = [str(item) if isinstance(item, Path) else item for item in value]
        elif isinstance(value, dict):
            value = {str(index): factor for index, factor in value.items()}
        plain[key] = value
    return plain
