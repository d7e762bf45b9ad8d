"""History of weights: a list of stages, each a training run or an average of weights.

A stage is a JSON object. "what" describes it in a sentence; the other fields are numbers and
names: "from" (the weights it started from), "views", "steps", "minutes", "machine", "photos"
(list), "teachers" (list), "command", "commit", "note".
"""

import json
import subprocess
from pathlib import Path
from typing import Any

PATHS = ("data", "val", "unlabelled", "prior", "teacher", "init")
"""Options of `training.train` that name files or folders."""

WITHOUT_EFFECT = (
    "out",
    "cache",
    "quiet",
    "threads",
    "save_every",
    "eval_every",
    "eval_size",
)
"""Options that do not change the resulting weights."""


def read_stages(path: Path) -> list[dict[str, Any]]:
    """Read a written history.

    Raises:
        ValueError: It is no JSON list of objects with a text "what".
    """
    stages = json.loads(path.read_text())
    valid = isinstance(stages, list) and all(
        isinstance(stage, dict) and isinstance(stage.get("what"), str) for stage in stages
    )
    if not valid or not stages:
        raise ValueError(f'{path} is no history: a JSON list of objects, each with a text "what"')
    return stages


def run_stage(run: dict[str, Any], note: str = "") -> dict[str, Any]:
    """Return the stage of a training run.

    Args:
        run: Saved by `training.train`.
        note: A remark on it.
    """
    recipe = run["recipe"]
    teachers = f" and the probabilities of {len(as_list(recipe['teacher']))} teacher(s)"
    hints = ", with the teachers' features as hints" if recipe.get("hint") else ""
    changes = "".join(f" Then {change['what']}." for change in run.get("changes", []))
    stage = {
        "what": f"Trained on ground truth{teachers if recipe['teacher'] else ''}{hints}.{changes}",
        "from": _relative(recipe["init"]) if recipe["init"] else "random weights",
        "views": run["samples_seen"],
        "steps": run["step"],
        "minutes": round(run["elapsed"] / 60),
        "photos": [
            _relative(path) for key in ("data", "unlabelled") for path in as_list(recipe.get(key))
        ],
        "teachers": [_relative(path) for path in as_list(recipe["teacher"])],
        "command": training_command(recipe),
        "commit": commit(),
    }
    return stage | ({"note": note} if note else {})


def as_list(value: Any) -> list[Any]:
    """Return a value as a list: empty for None, a list's or tuple's items, else the value alone."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def training_command(recipe: dict[str, Any]) -> str:
    """Return the command line of a recipe, with paths relative to the checkout."""
    words = ["python -m training.train"]
    for key, value in recipe.items():
        if key in WITHOUT_EFFECT or value is None or value is False or value in ([], {}):
            continue
        if key == "steps" and recipe["minutes"]:
            continue
        flag = "--" + key.replace("_", "-")
        if value is True:
            words.append(flag)
            continue
        if key == "size":
            text = ",".join(f"{phase['size']}:{phase['until']:g}" for phase in value)
        elif key == "boost":
            text = ",".join(f"{index}:{factor:g}" for index, factor in value.items())
        else:
            parts = [str(part) for part in as_list(value)]
            text = " ".join(_relative(part) if key in PATHS else part for part in parts)
        words.append(f"{flag} {text}")
    return " ".join(words)


def _relative(path: Any) -> str:
    """Return a path in the `shared` folder as `../shared/...`, another one unchanged."""
    head, folder, tail = str(path).partition("shared/")
    return f"../{folder}{tail}" if folder else head


def commit() -> str:
    """Return the checkout's commit, or "" outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
