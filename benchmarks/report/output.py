"""Command line of a benchmark: its options, a Markdown table on the screen and a JSON file."""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report.tables import Target, machine_line, targets_table
from benchmarks.speed.timing import machine
from segmentation.argument_types import bounded_int

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SHARED = Path(os.environ.get("PIXELWISE_SHARED", ROOT.parent / "shared"))
"""Folder with more models and photos, if there is one."""
RUNS = 5
positive = bounded_int(1)
"""A whole number from 1, for argparse."""
Values = dict[str, Any]
"""What a benchmark measures: plain values for JSON, "machine" among them."""


def parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Return a command line that has `--json`, as all benchmarks have."""
    command = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="also write every value here")
    return command


def add_run_options(
    command: argparse.ArgumentParser, *, photo: str | None = None, runs: int = RUNS
) -> argparse.ArgumentParser:
    """Add `--runs`, and `--photo` with an example photo as its default."""
    command.add_argument("--runs", type=positive, default=runs, help=f"default: {runs}")
    if photo:
        command.add_argument("--photo", type=Path, default=EXAMPLES / photo)
    return command


def run(
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace], Values],
    report: Callable[[Values], str],
    targets: Callable[[Values], Sequence[Target]] | None = None,
) -> Values:
    """Measure; print the machine, the table and the targets; write the values to `--json`."""
    values = {"machine": machine()}  # before measuring: it includes the load
    values |= measure(options)
    print(machine_line(values["machine"]), report(values), sep="\n\n", flush=True)
    if targets and (judged := targets(values)):
        print(f"\n{targets_table(judged)}", flush=True)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(_rounded(values), indent=1) + "\n", encoding="utf-8")
    return values


def _rounded(values: Any) -> Any:
    """Return the values with floats of six digits: microseconds, millionths."""
    if isinstance(values, dict):
        return {key: _rounded(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_rounded(value) for value in values]
    return round(values, 6) if isinstance(values, float) else values
