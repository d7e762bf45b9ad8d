"""Load test with good photos, bad files, visitors who leave and slow connections, all at once.

`python -m benchmarks.server.load` starts the app, sends a mixed crowd to it and prints a table:
requests a second, median and 99th percentile, the outcome of each request, memory and temporary
files at the start and at the end. It is bounded in number and in time, and connects to no other
machine.
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.report.output import Values, parser, run
from benchmarks.report.tables import markdown
from benchmarks.server.load_clients import SHARES, Tally, Visitor, bad_files, photos
from segmentation.argument_types import bounded_float, bounded_int
from tests.helpers.server import resident_mb, start_app

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_REQUESTS, MAX_MINUTES, MAX_VISITORS = 20_000, 60.0, 200
FAULTS = ("lost", "failed in the server", "responses with 5xx")
"""Rows that must be 0."""


def crowd(url: str, options: argparse.Namespace, pid: int | None) -> tuple[Tally, float]:
    """Send the visitors and wait for them; return the counts and the seconds it took."""
    tally = Tally()
    rng = np.random.default_rng(options.seed)
    good = photos(options.largest)
    bad = bad_files(good, rng)
    counter = itertools.count()
    start = time.perf_counter()
    end = start + 60 * options.minutes

    def visit(number: int) -> None:
        visitor = Visitor(url, tally, options.seed * 1000 + number)
        while next(counter) < options.requests and time.perf_counter() < end:
            visitor.ask(good, bad)

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(options.visitors)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if pid:
            tally.memory.append((time.perf_counter() - start, resident_mb(pid)))
        time.sleep(1)
    return tally, time.perf_counter() - start


def rows_of(tally: Tally, seconds: float) -> dict[str, str]:
    """Return the result, row by row."""
    requests = tally.outcomes.total()
    outcomes = sorted(tally.outcomes.items())
    faults = [sum(n for name, n in outcomes if word in name) for word in ("lost", "failed")]
    faults.append(sum(n for code, n in tally.statuses.items() if code >= 500))
    rows = {"requests": f"{requests} in {seconds:.0f} s ({requests / seconds:.2f} a second)"}
    rows |= zip(FAULTS, map(str, faults), strict=True)
    if tally.seconds:
        ordered = sorted(tally.seconds)
        p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
        rows["photos labelled"] = f"{len(ordered)} ({len(ordered) / seconds:.2f} a second)"
        rows["time of a photo, including the queue"] = (
            f"median {statistics.median(ordered):.2f} s, p99 {p99:.2f} s"
        )
    return rows | {name: str(count) for name, count in outcomes}


def load_report(values: Values) -> str:
    """Return the result as Markdown."""
    return f"`{values['command']}`\n\n" + markdown(["", ""], list(values["rows"].items()))


def growth(memory: list[tuple[float, float]]) -> str:
    """Compare memory after a fifth of the time, as warm-up, and at the end: means of a tenth."""
    if len(memory) < 20:
        return "too short to tell"
    tenth = len(memory) // 10
    start = statistics.mean(mb for _, mb in memory[2 * tenth : 3 * tenth])
    end = statistics.mean(mb for _, mb in memory[-tenth:])
    return f"{start:.0f} MB after warm-up, {end:.0f} MB at the end ({end / start - 1:+.1%})"


def own_app(options: argparse.Namespace) -> tuple[Tally, float, dict[str, str]]:
    """Send the crowd to an app in a process of its own; return `crowd`'s result and more rows."""

    def folder_mb() -> float:
        files = (folder / "gradio").rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file()) / 1e6

    arguments = ["--model", options.model, "--cache-mb", str(options.cache_mb)]
    arguments += ["--keep-minutes", "1", "--max-queue", str(options.max_queue)]
    with tempfile.TemporaryDirectory(prefix="pixelwise-load-") as name:
        folder = Path(name)
        with start_app(*arguments, folder=folder) as (url, app):
            tally, seconds = crowd(url, options, app.pid)
            full = folder_mb()
            time.sleep(options.settle)
            more = {
                "memory at the start": f"{tally.memory[0][1]:.0f} MB" if tally.memory else "?",
                "memory": growth(tally.memory),
                "temporary files": f"{full:.1f} MB at the end, {folder_mb():.1f} MB "
                f"{options.settle:g} s later (limit {options.cache_mb:g} MB)",
            }
    return tally, seconds, more


def measure(options: argparse.Namespace) -> Values:
    """Return the command, the rows of the table and whether a request failed."""
    if options.url:
        tally, seconds, more = *crowd(options.url, options, None), {}
    else:
        tally, seconds, more = own_app(options)
    more["machine"] = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
    return {"command": _command(options), "rows": rows_of(tally, seconds) | more}


def main() -> int:
    """Run the command line; return 1 if a request was lost or failed."""
    options = parse()
    if options.url and urlsplit(options.url).hostname not in LOOPBACK:
        print(f"{options.url} is another machine; name a page on this one", file=sys.stderr)
        return 2
    rows = run(options, measure, load_report)["rows"]
    return int(any(rows[key] != "0" for key in FAULTS))


def _command(options: argparse.Namespace) -> str:
    """Return the command that repeats a run: the options that differ, without `--json`."""
    defaults = vars(parse([]))
    words = ["python -m benchmarks.server.load"]
    for name, value in vars(options).items():
        if name != "json" and value != defaults[name]:
            words.append(f"--{name.replace('_', '-')} {value}")
    return " ".join(words)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    command = parser("benchmarks.server.load", __doc__)
    command.add_argument("--requests", type=bounded_int(1, MAX_REQUESTS), default=200)
    command.add_argument("--minutes", type=bounded_float(0, MAX_MINUTES, above=True), default=2.0)
    command.add_argument("--visitors", type=bounded_int(1, MAX_VISITORS), default=30)
    command.add_argument("--largest", type=int, default=max(SHARES), help="longer side in pixels")
    command.add_argument("--model", default="embedded", help="which network (default: embedded)")
    command.add_argument("--max-queue", type=bounded_int(1, 1000), default=32)
    command.add_argument("--cache-mb", type=bounded_float(0, 10_000, above=True), default=512.0)
    command.add_argument("--settle", type=float, default=90.0, help="seconds to wait for tidying")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--url", help="a page that already runs on this machine")
    return command.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
