"""What Ray Serve adds to an answer: `python -m benchmarks.server.cost_ray` (the `ray` extra).

Starts the page with one replica of the built-in model on a Ray of this machine, asks as a browser
asks, and tells the CPU seconds of each process a photo: the ingress, the replica, Ray's proxy and
the rest of Ray; and their memory.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report.output import finish, parser, positive, result
from benchmarks.report.tables import markdown
from benchmarks.server.cost import EMBEDDED, PHOTO, SIZES, Browser, own_photo, process_cpu
from benchmarks.server.memory_usage import resident_mb
from benchmarks.speed.baselines import enlarged_photo

PARTS = ("ingress", "replica", "proxy", "rest of Ray")


def descendants() -> dict[int, str]:
    """Processes that descend from this one, and what they call themselves."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has just ended
            continue
    ours = {}
    for pid in parents:
        one = pid
        while one in parents and one != os.getpid():
            one = parents[one]
        if one == os.getpid() and pid != one:
            ours[pid] = names.get(pid, "")
    return ours


def part_of(name: str) -> str:
    """Which of `PARTS` a process is."""
    if "ServeReplica:page" in name:
        return "ingress"
    if "ServeReplica:networks" in name:
        return "replica"
    return "proxy" if "ProxyActor" in name else "rest of Ray"


def by_part(count: Any) -> dict[str, float]:
    """A number of each process, added up by part."""
    sums = dict.fromkeys(PARTS, 0.0)
    for pid, name in descendants().items():
        try:
            sums[part_of(name)] += count(pid)
        except OSError:
            continue
    return sums


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds and megabytes by part."""
    from deploy import ray_serve
    from deploy.settings import parse_settings
    from tests.helpers.server import free_port

    words = ["--model", EMBEDDED, "--device", "cpu", "--port", str(free_port())]
    settings = parse_settings([*words, "--max-replicas", "1", "--cpus", "1", "--page-cpus", "0.5"])
    values = result(photo=options.photo.name, runs=options.runs)
    values["answers"], rng = {}, np.random.default_rng(0)
    try:
        url = ray_serve.start(settings, num_cpus=2, object_store_memory=400 * 2**20)
        browser = Browser(url)
        for size, shape in SIZES.items():
            data = enlarged_photo(options.photo, shape)
            browser.label(browser.upload(own_photo(data, rng)))
            before, start = by_part(process_cpu), time.perf_counter()
            for _ in range(options.runs):
                browser.label(browser.upload(own_photo(data, rng)))
            seconds = time.perf_counter() - start
            after = by_part(process_cpu)
            cpu = {part: (after[part] - before[part]) / options.runs for part in PARTS}
            values["answers"][size] = {"cpu": cpu, "seconds": seconds / options.runs}
        values["memory_mb"] = by_part(resident_mb)
    finally:
        ray_serve.stop()
    return values


def cost_ray_report(values: dict[str, Any]) -> str:
    """The table as Markdown."""
    answers, memory = values["answers"], values["memory_mb"]
    rows = [
        [
            part,
            *(f"{answers[size]['cpu'][part]:.3f}" for size in SIZES),
            f"{memory[part]:.0f}",
        ]
        for part in PARTS
    ]
    rows.append(["seconds, one at a time", *(f"{answers[s]['seconds']:.2f}" for s in SIZES), ""])
    return markdown(["CPU seconds an answer", *SIZES, "MB resident"], rows)


def main() -> None:
    """Read the command line, measure and print."""
    command = parser("server.cost_ray", __doc__)
    command.add_argument("--runs", type=positive, default=10)
    command.add_argument("--photo", type=Path, default=PHOTO)
    options = command.parse_args()
    values = measure(options)
    finish(values, cost_ray_report(values), options.json)


if __name__ == "__main__":
    sys.exit(main())
