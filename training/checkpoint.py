"""A training run's whole state in one file that is never half written."""

import os
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write the state beside the old one, then put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(path.suffix + ".part")
    torch.save(state, scratch)
    os.replace(scratch, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state that `save_checkpoint` wrote, onto the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)
