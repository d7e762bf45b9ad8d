"""Average the weights of checkpoints: `python -m training.optim.mix A:0.85 B:0.15 --out FILE`.

Networks that were trained from the same initial weights can be averaged, and the average is often
better than each of them (Wortsman et al., arXiv 2203.05482 and 2109.01903).
"""

import argparse
import hashlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from training.checkpoint import save_changed
from training.common import initial_weights


def mix_weights(states: Sequence[dict[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """Average state dicts in float32: weights, and running statistics too.

    Args:
        states: State dicts with the same keys and shapes.
        shares: Share of each; they add up to one.

    Returns:
        The average; integers (counters) are the first's.

    Raises:
        ValueError: The shares do not add up to one, or the state dicts do not fit together.
    """
    if len(states) != len(shares) or not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
        raise ValueError(
            f"{len(states)} state dicts have the shares {list(shares)}: they must add up to 1"
        )
    first = states[0]
    for state in states[1:]:
        odd = sorted(state.keys() ^ first.keys())
        odd += [key for key in first if key in state and state[key].shape != first[key].shape]
        if odd:
            raise ValueError(
                f"the weights belong to different networks: {odd[0]!r} is missing or has another "
                "shape in one of them"
            )
    return {
        key: sum(share * state[key].float() for state, share in zip(states, shares, strict=True))
        if value.is_floating_point()
        else value.clone()
        for key, value in first.items()
    }


def parse_part(text: str) -> tuple[str, float]:
    """Parse "FILE:SHARE".

    Raises:
        argparse.ArgumentTypeError: It is no such pair.
    """
    name, _, share = text.rpartition(":")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not name or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no FILE:SHARE with a share from 0 to 1")
    return name, value


def mix(parts: Sequence[tuple[str, float]], model: str, out: Path) -> None:
    """Write the average of weights; see `training.checkpoint.save_changed` for the file.

    Args:
        parts: Names (embedded, a checkpoint, a state dict) and shares.
        model: The network they belong to.
        out: The file to write.
    """
    states = [initial_weights(name, model) for name, _ in parts]
    mixed = mix_weights(states, [share for _, share in parts])
    names = [f"{share:g} of {Path(name).name}" for name, share in parts]
    change = {
        "what": f"mixed: {' + '.join(names)}",
        "sha256": [_digest(state) for state in states],
    }
    save_changed(parts[0][0], mixed, change, out)


def _digest(state: dict[str, Tensor]) -> str:
    """Return a hash of weights."""
    digest = hashlib.sha256()
    for key, value in state.items():
        digest.update(key.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def make_parser() -> argparse.ArgumentParser:
    """Return the command line of `python -m training.optim.mix`."""
    parser = argparse.ArgumentParser(prog="python -m training.optim.mix", description=__doc__)
    add = parser.add_argument
    add("parts", nargs="+", type=parse_part, metavar="FILE:SHARE", help="weights, and their share")
    add("--model", default="deeplabv3plus_resnet18", help="the network they belong to")
    add("--out", type=Path, required=True, help="the file to write")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        mix(options.parts, options.model, options.out)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
