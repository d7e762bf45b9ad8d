"""How weights came to be: a list of stages, each one training run or one mixing of weights.

A stage is a JSON object. "what" says in a sentence what was done; the other fields are numbers and
names: "from" (the weights it began with), "views", "steps", "minutes", "machine", "photos" (list),
"teachers" (list), "command", "commit", "note".
"""

import json
import subprocess
from pathlib import Path
from typing import Any

PATHS = ("data", "val", "unlabelled", "prior", "teacher", "init")
"""Options of `training.train` that name files or folders."""

NOT_OF_THE_RESULT = (
    "out",
    "cache",
    "quiet",
    "threads",
    "save_every",
    "eval_every",
    "eval_size",
)
"""Options that do not change what comes out."""


def read_stages(path: Path) -> list[dict[str, Any]]:
    """Read a written history.

    Raises:
        ValueError: It is no JSON list of objects that each say "what" was done.
    """
    stages = json.loads(path.read_text())
    good = isinstance(stages, list) and all(
        isinstance(stage, dict) and isinstance(stage.get("what"), str) for stage in stages
    )
    if not good or not stages:
        raise ValueError(f'{path} is no history: a JSON list of objects, each with a text "what"')
    return stages


def run_stage(run: dict[str, Any], note: str = "") -> dict[str, Any]:
    """The stage of a training run.

    Args:
        run: What `training.train` saved.
        note: What else to say of it.
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
    """A value as a list: none for None, itself for a list or tuple, else a list of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def training_command(recipe: dict[str, Any]) -> str:
    """The command line that a recipe came from, with paths as another person would write them."""
    words = ["python -m training.train"]
    for key, value in recipe.items():
        if key in NOT_OF_THE_RESULT or value is None or value is False or value in ([], {}):
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
    """A path from the folder beside the checkout, as another person would write it."""
    head, found, tail = str(path).partition("shared/")
    return f"../{found}{tail}" if found else head


def commit() -> str:
    """The checkout's commit, or nothing outside a checkout."""
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
