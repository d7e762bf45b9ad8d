"""Checkpoints: a training run's state in one file, replaced atomically."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write the state to a temporary file, then replace the old checkpoint with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(path.suffix + ".part")
    torch.save(state, scratch)
    os.replace(scratch, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a state that `save_checkpoint` wrote, onto the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)


def save_changed(source: str, state: dict[str, Tensor], change: dict[str, Any], path: Path) -> None:
    """Write weights derived from others, with the record of their training run.

    If the source is a training checkpoint, so is the file: its average has the new weights, and the
    change is appended to its "changes". Otherwise it is a state dict. `--init`,
    `training.evaluate` and `training.embed` read both; training cannot resume from it.

    Args:
        source: The original weights: a file, or a name as for `initial_weights`.
        state: The new weights.
        change: Plain values; "what" describes the change.
        path: The file to write.
    """
    run = load_checkpoint(Path(source)) if Path(source).is_file() else {}
    if "average" not in run:
        save_checkpoint(path, state)
        return
    record = {key: run[key] for key in RECORD if key in run}
    record["average"] = {**run["average"], "network": state}
    save_checkpoint(path, record | {"changes": [*run.get("changes", []), change]})


RECORD = ("recipe", "step", "samples_seen", "elapsed", "history")
"""Fields of a run's checkpoint that are copied to derived weights."""
