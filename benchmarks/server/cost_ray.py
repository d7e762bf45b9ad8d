"""Cost that Ray Serve adds to a photo: `python -m benchmarks.server.cost_ray` (the `ray` extra).

Starts the page with one replica of the built-in model on a Ray of this machine and sends requests
like a browser's. Prints the CPU seconds a photo and the memory of each process: the ingress, the
replica, Ray's proxy and the rest of Ray.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from benchmarks.report.output import Values, add_run_options, parser, run
from benchmarks.report.tables import markdown
from benchmarks.server.cost import EMBEDDED, PHOTO, SIZES, Browser
from benchmarks.speed.baselines import enlarged_photo
from tests.helpers.client import other_file
from tests.helpers.server import descendants, free_port, process_cpu, resident_mb

REST = "rest of Ray"
PARTS = {"ServeReplica:page": "ingress", "ServeReplica:networks": "replica", "ProxyActor": "proxy"}
"""What a process's command line contains -> its part."""


def by_part(count: Callable[[int], float]) -> dict[str, float]:
    """Return the sum over the processes of each part."""
    sums = dict.fromkeys((*PARTS.values(), REST), 0.0)
    for pid, name in descendants().items():
        part = next((PARTS[mark] for mark in PARTS if mark in name), REST)
        try:
            sums[part] += count(pid)
        except OSError:  # it has just ended
            continue
    return sums


def measure(options: argparse.Namespace) -> Values:
    """Return CPU seconds and megabytes by part."""
    from deploy import ray_serve
    from deploy.settings import parse_settings

    arguments = ["--model", EMBEDDED, "--device", "cpu", "--port", str(free_port())]
    arguments += ["--max-replicas", "1", "--cpus", "1", "--page-cpus", "0.5"]
    settings, rng = parse_settings(arguments), np.random.default_rng(0)
    values: Values = {"photo": options.photo.name, "runs": options.runs, "answers": {}}
    try:
        browser = Browser(ray_serve.start(settings, num_cpus=2, object_store_memory=400 * 2**20))
        for size, shape in SIZES.items():
            data = enlarged_photo(options.photo, shape)
            browser.label(browser.upload(other_file(data, rng)))
            before, start = by_part(process_cpu), time.perf_counter()
            for _ in range(options.runs):
                browser.label(browser.upload(other_file(data, rng)))
            seconds = (time.perf_counter() - start) / options.runs
            after = by_part(process_cpu)
            cpu = {part: (after[part] - before[part]) / options.runs for part in after}
            values["answers"][size] = {"cpu": cpu, "seconds": seconds}
        values["memory_mb"] = by_part(resident_mb)
    finally:
        ray_serve.stop()
    return values


def cost_ray_report(values: Values) -> str:
    """Return the table as Markdown."""
    costs = [values["answers"][size] for size in SIZES]
    rows = [
        [part, *(f"{cost['cpu'][part]:.3f}" for cost in costs), f"{memory:.0f}"]
        for part, memory in values["memory_mb"].items()
    ]
    rows.append(["seconds, one at a time", *(f"{cost['seconds']:.2f}" for cost in costs), ""])
    return markdown(["CPU seconds a photo", *SIZES, "MB resident"], rows)


def main() -> None:
    """Run the command line."""
    command = add_run_options(parser("benchmarks.server.cost_ray", __doc__), photo=PHOTO, runs=10)
    run(command.parse_args(), measure, cost_ray_report)


if __name__ == "__main__":
    main()
