"""Cost of one photo, on which docs/scaling.md is based: `python -m benchmarks.server.cost`.

First the processing alone, in this process on one thread (more threads would add the seconds in
which they wait for each other): CPU seconds to decode a photo, to label it with each model (seeded
random weights: the cost does not depend on them) and to encode the page's files. Then the real
server with the built-in model and requests like a browser's: CPU seconds of its process, bytes of
a photo up and of all responses down, memory.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import segmentation
from benchmarks.report.output import Values, add_run_options, parser, run
from benchmarks.report.tables import markdown
from benchmarks.speed.baselines import MODELS, enlarged_photo, load_ours, random_network
from segmentation.images.decoding.decoder_process import decoder
from tests.helpers.client import API, Client, other_file
from tests.helpers.server import descendants_cpu, resident_mb, start_app
from viewer.payload import build_value

SIZES = {"1 MP": (866, 1155), "12 MP": (3000, 4000)}
PHOTO = "rocket.jpg"
EMBEDDED = "embedded"
QUEUED = 24


def cpu_seconds(work: Callable[[], Any], runs: int) -> float:
    """Return the median CPU seconds of this process, after one run to warm up."""
    seconds = []
    for _ in range(runs + 1):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[1:])


def processing_alone(files: dict[str, bytes], models: list[str], runs: int) -> Values:
    """Return CPU seconds: {"decode" or "show": {size: s}, "label": {model: {size: s}}}."""
    torch.set_num_threads(1)
    decoder.apart = False  # in this process, where its CPU seconds are counted
    photos = {size: segmentation.open_photo(data) for size, data in files.items()}
    values: Values = {"label": {model: {} for model in models}, "show": {}, "decode": {}}
    for size, data in files.items():
        values["decode"][size] = cpu_seconds(partial(segmentation.open_photo, data), runs)
    with tempfile.TemporaryDirectory() as cache:
        for model in models:
            if model == EMBEDDED:
                segmenter = segmentation.load(EMBEDDED, device="cpu")
            else:
                segmenter = load_ours(random_network(model), model, Path(cache))
            torch.set_num_threads(1)  # loading sets it to the machine's
            for size, photo in photos.items():
                label = partial(segmenter.predict, photo)
                values["label"][model][size] = cpu_seconds(label, runs)
                if model == EMBEDDED:
                    result, image = label(), photo.image
                    show = partial(build_value, result, image, cache=cache, key="0")
                    values["show"][size] = cpu_seconds(show, runs)
    return values


class Browser(Client):
    """Labels photos as the page does, and counts bytes of bodies.

    Attributes:
        received: bytes so far.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.received = 0

    def label(self, path: str) -> None:
        """Label an uploaded photo and download the page's files.

        Raises:
            RuntimeError: it was not labelled.
        """
        session, value = f"cost{time.monotonic_ns()}", {}
        self.join_queue(path, session)
        for message, size in self.messages(session):
            self.received += size
            if message.get("msg") in ("process_generating", "process_completed"):
                value = message["output"]["data"][0]
                if isinstance(value, dict) and "labels" in value:
                    break
                if message["msg"] == "process_completed":
                    raise RuntimeError(f"the photo was not labelled: {message}")
        for name in ("photo", "labels"):
            response = self.http.get(f"{API}/file={value[name]['path']}")
            response.raise_for_status()
            self.received += response.num_bytes_downloaded


def server(files: dict[str, bytes], runs: int) -> Values:
    """Return the real server's cost of a photo by size, and its memory."""
    rng = np.random.default_rng(0)
    values: Values = {"answers": {}}
    with (
        tempfile.TemporaryDirectory(prefix="pixelwise-cost-") as folder,
        start_app("--model", EMBEDDED, folder=Path(folder)) as (url, app),
    ):
        browser = Browser(url)
        browser.label(browser.upload(other_file(files["1 MP"], rng)))
        # without its scripts and fonts, which a browser caches
        values["page_bytes"] = browser.http.get("/").num_bytes_downloaded
        values["memory_ready_mb"] = resident_mb(app.pid)
        for size, data in files.items():
            before = browser.sent, browser.received, descendants_cpu()
            for _ in range(runs):
                browser.label(browser.upload(other_file(data, rng)))
            after = browser.sent, browser.received, descendants_cpu()
            costs = ((b - a) / runs for a, b in zip(before, after, strict=True))
            values["answers"][size] = dict(zip(("up", "down", "cpu_seconds"), costs, strict=True))
        values["memory_after_mb"] = resident_mb(app.pid)
        values["memory_peak_mb"] = resident_mb(app.pid, "VmHWM")
        photos = [other_file(files["12 MP"], rng) for _ in range(QUEUED + 1)]
        alone, together = (_peak_mb(url, app.pid, some) for some in (photos[:1], photos[1:]))
        values["memory_waiting_mb"] = (together - alone) / (QUEUED - 1)
    return values


def _peak_mb(url: str, pid: int, photos: list[bytes]) -> float:
    """Return a server's peak memory while it labels photos of as many browsers."""
    browsers = [Browser(url) for _ in photos]
    paths = [browser.upload(data) for browser, data in zip(browsers, photos, strict=True)]
    peak = 0.0
    with ThreadPoolExecutor(len(photos)) as pool:
        jobs = {pool.submit(b.label, path) for b, path in zip(browsers, paths, strict=True)}
        while jobs:
            jobs = wait(jobs, timeout=0.01).not_done
            peak = max(peak, resident_mb(pid))
    return peak


def measure(options: argparse.Namespace) -> Values:
    """Return the cost of both halves."""
    values: Values = {"photo": options.photo.name, "runs": options.runs}
    files = {size: enlarged_photo(options.photo, shape) for size, shape in SIZES.items()}
    values["file_bytes"] = {size: len(data) for size, data in files.items()}
    if options.only != "server":
        values["alone"] = processing_alone(files, [EMBEDDED, *options.models], options.runs)
    if options.only != "alone":
        values["server"] = server(files, options.runs)
    if options.only and options.json and options.json.is_file():
        before = json.loads(options.json.read_bytes())
        if options.only == "alone" and "alone" in before:  # it may have other models
            values["alone"]["label"] = before["alone"]["label"] | values["alone"]["label"]
        values = {key: before[key] for key in before if key != "machine"} | values
    return values


def cost_report(values: Values) -> str:
    """Return the tables as Markdown."""
    tables = []
    if alone := values.get("alone"):
        steps = {"decode the JPEG": alone["decode"]}
        steps |= {f"label: {model}": seconds for model, seconds in alone["label"].items()}
        steps["encode the page's files"] = alone["show"]
        rows = [[name, *(f"{took[s]:.3f}" for s in SIZES)] for name, took in steps.items()]
        tables.append(markdown(["CPU seconds, processing alone", *SIZES], rows))
    if served := values.get("server"):
        costs = [served["answers"][size] for size in SIZES]
        rows = [
            ["CPU seconds of the server", *(f"{cost['cpu_seconds']:.2f}" for cost in costs)],
            ["MB up", *(f"{cost['up'] / 1e6:.2f}" for cost in costs)],
            ["MB down", *(f"{cost['down'] / 1e6:.2f}" for cost in costs)],
        ]
        tables.append(markdown(["a photo on the server (built-in model)", *SIZES], rows))
        tables.append(
            f"Memory of the server: {served['memory_ready_mb']:.0f} MB after the first photo, "
            f"{served['memory_after_mb']:.0f} MB after the others, "
            f"{served['memory_peak_mb']:.0f} MB at most; {served['memory_waiting_mb']:.1f} MB for "
            f"each queued 12-megapixel photo. The page itself: {served['page_bytes'] / 1e6:.2f} MB."
        )
    return "\n\n".join(tables)


def main() -> None:
    """Run the command line."""
    command = add_run_options(parser("benchmarks.server.cost", __doc__), photo=PHOTO)
    command.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    command.add_argument(
        "--only", choices=("alone", "server"), help="measure one half; --json keeps the rest"
    )
    run(command.parse_args(), measure, cost_report)


if __name__ == "__main__":
    main()
