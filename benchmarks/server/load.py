"""Visitors by the dozen: good photos, bad files, people who leave, slow connections, all at once.

`python -m benchmarks.server.load` starts the app, sends a mixed crowd to it and prints a table:
requests a second, median and 99th percentile, what became of each request, memory and temporary
files at the start and at the end. Bounded in number and in time, and never to another machine.

The long form: `python -m benchmarks.server.load --requests 2000 --minutes 10`.
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.report.output import finish, parser, result
from benchmarks.report.tables import markdown
from benchmarks.server.load_clients import SIDES, Tally, Visitor, bad_files, photos
from benchmarks.server.memory_usage import resident_mb

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_REQUESTS, MOST_MINUTES, MOST_VISITORS = 20_000, 60.0, 200
MIXES = {
    "mixed": {"good": 0.66, "bad": 0.14, "leaves": 0.08, "slow": 0.06, "looks": 0.06},
    "good": {"good": 1.0},
}


def folder_mb(folder: Path | None) -> float:
    """Size of the files in a folder in megabytes."""
    files = folder.rglob("*") if folder else ()
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def crowd(url: str, options: argparse.Namespace, pid: int | None) -> tuple[Tally, float]:
    """Send the visitors and wait for them; what became of them, and how long it took."""
    tally = Tally()
    rng = np.random.default_rng(options.seed)
    good = photos(options.largest)
    bad = bad_files(good, rng)
    left = itertools.count()
    start = time.perf_counter()
    end = start + 60 * options.minutes

    def visit(number: int) -> None:
        visitor = Visitor(url, tally, options.seed * 1000 + number, MIXES[options.mix])
        while next(left) < options.requests and time.perf_counter() < end:
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
    """The result, row by row."""
    asked = sum(tally.outcomes.values())
    lost = sum(count for name, count in tally.outcomes.items() if "lost" in name)
    failed = sum(count for name, count in tally.outcomes.items() if name.endswith("failed"))
    rows = {
        "requests": f"{asked} in {seconds:.0f} s ({asked / seconds:.2f} a second)",
        "lost": str(lost),
        "failed in the server": str(failed),
        "responses with 5xx": str(sum(n for code, n in tally.statuses.items() if code >= 500)),
    }
    if tally.seconds:
        ordered = sorted(tally.seconds)
        p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
        rows["photos labelled"] = f"{len(ordered)} ({len(ordered) / seconds:.2f} a second)"
        rows["time of a photo, including the queue"] = (
            f"median {statistics.median(ordered):.2f} s, p99 {p99:.2f} s"
        )
    return rows | {name: str(count) for name, count in sorted(tally.outcomes.items())}


def load_report(values: dict[str, Any]) -> str:
    """The result as Markdown."""
    text = markdown(["", ""], list(values["rows"].items()))
    notes = [values["note"]] if "note" in values else []
    return "\n\n".join([f"`{values['command']}`", *notes, text])


def growth(memory: list[tuple[float, float]]) -> str:
    """Memory after a fifth of the time, as warm-up, and at the end: means of a tenth each."""
    if len(memory) < 20:
        return "too short to tell"
    tenth = len(memory) // 10
    start = statistics.mean(mb for _, mb in memory[2 * tenth : 3 * tenth])
    end = statistics.mean(mb for _, mb in memory[-tenth:])
    return f"{start:.0f} MB after warm-up, {end:.0f} MB at the end ({end / start - 1:+.1%})"


@contextmanager
def own_app(options: argparse.Namespace) -> Iterator[tuple[str, int, Path]]:
    """The app in a process of its own; its address, process number and temporary folder."""
    from tests.helpers.server import start_app

    with tempfile.TemporaryDirectory(prefix="pixelwise-load-") as name:
        folder = Path(name)
        words = ["--model", options.model, "--cache-mb", str(options.cache_mb)]
        words += ["--keep-minutes", "1", "--max-queue", str(options.max_queue)]
        with start_app(*words, folder=folder) as (url, app):
            yield url, app.pid, folder / "gradio"


def main() -> int:
    """Read the command line, run, print the table; 1 where a request was lost or failed."""
    options = parse()
    values = result(command=_command(options))
    if options.url and urlsplit(options.url).hostname not in LOOPBACK:
        print(f"{options.url} is another machine: this is for one's own only", file=sys.stderr)
        return 2
    more = {}
    if options.url:
        tally, seconds = crowd(options.url, options, None)
    else:
        with own_app(options) as (url, pid, folder):
            tally, seconds = crowd(url, options, pid)
            full = folder_mb(folder)
            time.sleep(options.settle)
            more["memory at the start"] = f"{tally.memory[0][1]:.0f} MB" if tally.memory else "?"
            more["memory"] = growth(tally.memory)
            more["temporary files"] = (
                f"{full:.1f} MB at the end, {folder_mb(folder):.1f} MB {options.settle:g} s later "
                f"(limit {options.cache_mb:g} MB)"
            )
    more["machine"] = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
    values["rows"] = rows_of(tally, seconds) | more
    finish(values, load_report(values), options.json)
    bad = sum(count for name, count in tally.outcomes.items() if "lost" in name or "failed" in name)
    return 1 if bad or any(code >= 500 for code in tally.statuses) else 0


def _command(options: argparse.Namespace) -> str:
    """How to repeat the run: what differs from the defaults, but for where the values went."""
    usual = vars(parse([]))
    words = ["python -m benchmarks.server.load"]
    for name, value in vars(options).items():
        if name != "json" and value != usual[name]:
            words.append(f"--{name.replace('_', '-')} {value}")
    return " ".join(words)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""

    def bounded(kind: type, most: float) -> Any:
        def read(text: str) -> Any:
            value = kind(text)
            if not 0 < value <= most:
                raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and up to {most:g}")
            return value

        return read

    command = parser("server.load", __doc__)
    command.add_argument("--requests", type=bounded(int, MOST_REQUESTS), default=200)
    command.add_argument("--minutes", type=bounded(float, MOST_MINUTES), default=2.0)
    command.add_argument("--visitors", type=bounded(int, MOST_VISITORS), default=30)
    command.add_argument("--mix", choices=sorted(MIXES), default="mixed")
    command.add_argument("--largest", type=int, default=SIDES[-1], help="longer side in pixels")
    command.add_argument("--model", default="embedded", help="which network (default: embedded)")
    command.add_argument("--max-queue", type=bounded(int, 1000), default=32)
    command.add_argument("--cache-mb", type=bounded(float, 10_000), default=512.0)
    command.add_argument("--settle", type=float, default=90.0, help="seconds to wait for tidying")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--url", help="a page that runs already, on this machine")
    return command.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
