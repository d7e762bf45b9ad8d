"""Run every benchmark and write the tables of `benchmarks/README.md`.

`python -m benchmarks` takes half an hour on two cores; leave the machine idle meanwhile. Each
benchmark writes its values into `benchmarks/results`, and the page is made of those files:
`--render` only makes the page, `--only` measures some benchmarks again and keeps the other values.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.report.output import ROOT, Values
from benchmarks.report.tables import FACTS, machine_line, markdown, targets_table
from benchmarks.server.load import load_report
from benchmarks.server.memory import memory_report
from benchmarks.speed.agreement import agreement_report
from benchmarks.speed.speed_tables import speed_report, speed_targets
from benchmarks.speed.stages import stages_report, stages_targets
from benchmarks.speed.start import start_report, start_targets

FOLDER = Path(__file__).resolve().parents[1]
COMMANDS = {
    "speed": "speed.networks",
    "stages": "speed.stages",
    "agreement": "speed.agreement",
    "memory": "server.memory",
    "start": "speed.start",
    "load": "server.load",
}
"""Benchmarks in the order in which they run, and their modules; each takes `--json`."""


def fuzz_report(values: Values) -> str:
    """Return what `tests/helpers/fuzz_images.py` counted, as a sentence."""
    files = values["picture"] + values["error"] + values["finding"]
    command = "python -m tests.helpers.fuzz_images"
    return (
        f"`{command} --minutes {values['minutes']:g} --seed {values['seed']}`: {files:,} files, "
        f"{values['picture']:,} of them images, {values['error']:,} an `ImageError`, "
        f"{values['finding']:,} findings (a crash, another exception, more than 5 s or 1 GB)."
    )


REPORTS: dict[str, Callable[[Values], str]] = {
    "speed": speed_report,
    "stages": stages_report,
    "agreement": agreement_report,
    "memory": memory_report,
    "start": start_report,
    "load": load_report,
    "soak": load_report,
    "fuzz": fuzz_report,
}
"""Name of a results file and of a part of the page -> the function that makes the part."""
TARGETS = {"speed": speed_targets, "stages": stages_targets, "start": start_targets}


def run_all(names: list[str], results: Path) -> list[str]:
    """Run benchmarks one after another; return the names of those that failed."""
    failed = []
    for name in names:
        print(f"--- {name}", flush=True)
        module, file = f"benchmarks.{COMMANDS[name]}", str(results / f"{name}.json")
        if subprocess.run([sys.executable, "-m", module, "--json", file], cwd=ROOT).returncode:
            failed.append(name)
    return failed


def read_results(folder: Path) -> dict[str, Values]:
    """Return the values of every results file in a folder."""
    files = {name: folder / f"{name}.json" for name in REPORTS}
    return {name: json.loads(path.read_bytes()) for name, path in files.items() if path.is_file()}


def parts(results: Mapping[str, Values]) -> dict[str, str]:
    """Return the page's generated parts: name to Markdown."""
    made = dict.fromkeys((*REPORTS, "machine", "targets"), "Not measured yet.")
    machines = {name: values["machine"] for name, values in results.items() if "machine" in values}
    first = next(iter(machines.values()), {})
    for name, values in results.items():
        made[name] = REPORTS[name](values)
        if facts := machines.get(name):
            made[name] += f"\n\nMeasured on {facts['date']}, load {facts['load']} at the start."
            if any(facts[key] != first[key] for key in FACTS):
                made[name] += f" Another machine: {machine_line(facts)}."
    if first:
        made["machine"] = markdown(["", ""], [[FACTS[key], first[key]] for key in FACTS])
    measured = (TARGETS[name](results[name]) for name in TARGETS if name in results)
    if targets := [target for several in measured for target in several]:
        met = sum(target.met for target in targets)
        made["targets"] = f"{met} of {len(targets)} met.\n\n{targets_table(targets)}"
    return made


def render(page: str, made: Mapping[str, str]) -> str:
    """Put the generated parts between their marks, `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: a mark is missing.
    """
    for name, body in made.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(page)) != 1:
            raise ValueError(f"the page needs {start} and {end} once, for that part to go between")
        page = pattern.sub(lambda _, text=f"{start}\n{body}\n{end}": text, page)
    return page


def main() -> int:
    """Run the requested benchmarks and write the page; return 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", nargs="+", choices=COMMANDS, metavar="NAME", default=list(COMMANDS)
    )
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--results", type=Path, default=FOLDER / "results", metavar="FOLDER")
    parser.add_argument("--page", type=Path, default=FOLDER / "README.md", metavar="FILE")
    options = parser.parse_args()
    failed = [] if options.render else run_all(options.only, options.results.resolve())
    made = parts(read_results(options.results))
    page = render(options.page.read_text(encoding="utf-8"), made)
    options.page.write_text(page, encoding="utf-8")
    if failed:
        print(f"failed, old values kept: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0
