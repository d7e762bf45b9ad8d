"""A training run's whole state in one file that is never half written."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write the state beside the old one, then put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(path.suffix + ".part")
    torch.save(state, scratch)
    os.replace(scratch, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state that `save_checkpoint` wrote, onto the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)


def save_changed(source: str, state: dict[str, Tensor], change: dict[str, Any], path: Path) -> None:
    """Write weights that were made from others, with the record of the run they came from.

    Where the source is a training checkpoint the file is one too: the weights are its average, and
    the change is the last of its "changes". Else it is a bare state dict. `--init`,
    `training.evaluate` and `training.embed` read both; training cannot go on from it.

    Args:
        source: Name of the weights that were changed.
        state: The new weights.
        change: Plain values; "what" says in words what was done.
        path: The file to write.
    """
    run = load_checkpoint(Path(source)) if Path(source).is_file() else {}
    if "average" not in run:
        save_checkpoint(path, state)
        return
    kept = {key: run[key] for key in RECORD if key in run}
    kept["average"] = {**run["average"], "network": state}
    save_checkpoint(path, kept | {"changes": [*run.get("changes", []), change]})


RECORD = ("recipe", "step", "samples_seen", "elapsed", "history")
"""What of a run is told of weights made from its own."""
