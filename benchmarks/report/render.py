"""Runs every benchmark and writes the tables of `benchmarks/README.md`: one command for all.

`python -m benchmarks` takes half an hour on two cores, and wants a machine that does nothing
else. Each command writes its values into `benchmarks/results`; the page is made of those files, so
`--render` alone makes it anew, and `--only` measures some again and keeps the others.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.report.output import ROOT
from benchmarks.report.tables import machine_line, markdown
from benchmarks.report.targets import Target, targets_table
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
"""What is run, in this order, and its module; each takes `--json`."""
FACTS = {
    "processor": "processor",
    "cores": "cores",
    "memory_gb": "memory, GB",
    "instructions": "instructions that torch uses",
    "bfloat16": "multiplies bfloat16 itself",
    "system": "system",
    "python": "Python",
    "torch": "torch",
    "threads": "its threads",
}


def fuzz_report(values: dict[str, Any]) -> str:
    """What `tests/helpers/fuzz_images.py` printed, in a sentence."""
    files = values["picture"] + values["error"] + values["finding"]
    return (
        f"`python -m tests.helpers.fuzz_images --minutes {values['minutes']:g} "
        f"--seed {values['seed']}`: "
        f"{files:,} files, {values['picture']:,} of them pictures, {values['error']:,} an "
        f"`ImageError`, {values['finding']:,} findings (a crash, another exception, more than 5 s, "
        "more than 1 GB)."
    )


REPORTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "speed": speed_report,
    "stages": stages_report,
    "agreement": agreement_report,
    "memory": memory_report,
    "start": start_report,
    "load": load_report,
    "soak": load_report,
    "fuzz": fuzz_report,
}
"""Name of a results file, and of a part of the page, to what it says."""
TARGETS: dict[str, Callable[[dict[str, Any]], list[Target]]] = {
    "speed": speed_targets,
    "stages": stages_targets,
    "start": start_targets,
}


def run_all(names: list[str], results: Path) -> list[str]:
    """Run commands one after another; the names of those that failed."""
    failed = []
    for name in names:
        print(f"--- {name}", flush=True)
        words = ["-m", f"benchmarks.{COMMANDS[name]}", "--json", str(results / f"{name}.json")]
        if subprocess.run([sys.executable, *words], cwd=ROOT).returncode:
            failed.append(name)
    return failed


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """The values of every results file there is."""
    files = {name: folder / f"{name}.json" for name in REPORTS}
    return {name: json.loads(path.read_bytes()) for name, path in files.items() if path.is_file()}


def parts(results: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """The page's generated parts: name to Markdown."""
    made = {
        name: f"Not measured yet: `python -m benchmarks.{of}`." for name, of in COMMANDS.items()
    }
    made |= dict.fromkeys(("soak", "fuzz", "machine", "targets"), "Not measured yet.")
    machines = {name: values["machine"] for name, values in results.items() if "machine" in values}
    first = next(iter(machines.values()), {})
    for name, values in results.items():
        made[name] = REPORTS[name](values)
        if name in machines:
            made[name] += f"\n\n{_measured(machines[name], first)}"
    if first:
        made["machine"] = _facts(first)
    targets: list[Target] = []
    for name in (name for name in TARGETS if name in results):
        targets += TARGETS[name](results[name])
    if targets:
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


def _facts(facts: dict[str, Any]) -> str:
    told = facts | {"bfloat16": "yes" if facts["bfloat16"] else "no"}
    rows = [[title, told[key]] for key, title in FACTS.items()]
    return markdown(["", ""], rows)


def _measured(facts: dict[str, Any], first: dict[str, Any]) -> str:
    if any(facts[key] != first[key] for key in FACTS):
        return f"Measured on {machine_line(facts)}."
    return f"Measured on {facts['date']}, load {facts['load']} at the start."


def main() -> int:
    """Run what is asked for and write the page; 1 where a command failed."""
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
        print(f"failed, their old values kept: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0
