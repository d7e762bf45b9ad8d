"""What every command here prints and writes: a Markdown table and a JSON file."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report.tables import machine_line
from benchmarks.report.targets import Target, targets_table
from benchmarks.speed.timing import machine
from segmentation.argument_types import bounded_int

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SHARED = Path(os.environ.get("PIXELWISE_SHARED", ROOT.parent / "shared"))
"""Where real models and photos may lie beside the checkout."""
RUNS = 5


def parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """A command line that has `--json`, as all of them have."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="also write every value here")
    return made


positive = bounded_int(1)
"""A whole number from 1, for argparse."""


def result(**values: Any) -> dict[str, Any]:
    """What a command measures, with the machine's facts; make it before measuring."""
    return {"machine": machine(), **values}


def finish(
    values: dict[str, Any], table: str, path: Path | None, targets: Sequence[Target] = ()
) -> None:
    """Print the machine, the table and what was promised; write the values where wanted."""
    print(machine_line(values["machine"]), table, sep="\n\n", flush=True)
    if targets:
        print(f"\n{targets_table(targets)}", flush=True)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_rounded(values), indent=1) + "\n", encoding="utf-8")


def _rounded(values: Any) -> Any:
    """Times to a microsecond, shares to a millionth: more digits are noise."""
    if isinstance(values, dict):
        return {key: _rounded(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_rounded(value) for value in values]
    return round(values, 6) if isinstance(values, float) else values
