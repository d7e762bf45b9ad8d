"""What every command here prints and writes: a Markdown table and a JSON file."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.timing import machine

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
RUNS = 5


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; columns after the first are set to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def ratio(value: float) -> str:
    """A ratio as text, `3.41x`."""
    return f"{value:.2f}x"


def machine_line(facts: dict[str, Any]) -> str:
    """The facts of `timing.machine` in one line."""
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gb']:g} GB, "
        f"{facts['instructions']}, bfloat16 {'yes' if facts['bfloat16'] else 'no'}, "
        f"{facts['system']}, Python {facts['python']}, torch {facts['torch']} on "
        f"{facts['threads']} threads, load {facts['load']} at the start, {facts['date']}"
    )


def parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """A command line that has `--json`, as all of them have."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="also write every value here")
    return made


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return value


def result(**values: Any) -> dict[str, Any]:
    """What a command measures, with the machine's facts; make it before measuring."""
    return {"machine": machine(), **values}


def finish(values: dict[str, Any], table: str, path: Path | None) -> None:
    """Print the machine and the table, and write the values where they are wanted."""
    if values.get("machine"):
        print(machine_line(values["machine"]), end="\n\n")
    print(table, flush=True)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
