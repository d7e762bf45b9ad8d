"""What one answer costs: `python -m benchmarks.server.cost`; docs/scaling.md reckons with it.

First the work alone, in this process on one thread (several would add the seconds in which they
wait for each other): CPU seconds to decode a photo, to label it with each model (seeded random
weights: the cost does not depend on their values) and to make what the page shows. Then the real
server with the built-in model, asked as a browser asks: CPU seconds of its process, bytes of a
photo up and of all answers down, memory. Every file that goes up or down is also kept for a while.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch

import segmentation
from benchmarks.report.output import EXAMPLES, finish, parser, positive, result
from benchmarks.report.tables import markdown
from benchmarks.server.load_clients import API, _multipart
from benchmarks.server.memory_usage import resident_mb
from benchmarks.speed.baselines import MODELS, enlarged_photo, load_ours, random_network
from viewer.payload import build_value

SIZES = {"1 MP": (866, 1155), "12 MP": (3000, 4000)}
PHOTO = EXAMPLES / "rocket.jpg"
EMBEDDED = "embedded"
WAITING = 24
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cpu_seconds(work: Callable[[], Any], runs: int) -> float:
    """Median CPU seconds of this process, after one run to warm up."""
    work()
    taken = []
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def process_cpu(pid: int) -> float:
    """CPU seconds that a process has had so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def work_alone(files: dict[str, bytes], models: list[str], runs: int) -> dict[str, Any]:
    """CPU seconds of each step: {"decode" or "show": {size: s}, "label": {model: {size: s}}}."""
    torch.set_num_threads(1)
    images = {size: segmentation.open_photo(data) for size, data in files.items()}
    values: dict[str, Any] = {"label": {}, "show": {}}
    values["decode"] = {
        size: cpu_seconds(lambda data=data: segmentation.open_photo(data), runs)
        for size, data in files.items()
    }
    with tempfile.TemporaryDirectory() as name:
        for model in models:
            segmenter = _segmenter(model, Path(name))
            torch.set_num_threads(1)  # loading sets it by what this machine has
            values["label"][model] = {
                size: cpu_seconds(lambda photo=photo, of=segmenter: of.predict(photo), runs)
                for size, photo in images.items()
            }
            if model != EMBEDDED:
                continue
            for size, photo in images.items():
                shown = {"result": segmenter.predict(photo), "image": photo.image}
                values["show"][size] = cpu_seconds(
                    lambda shown=shown: build_value(**shown, cache=name, key="0"), runs
                )
    return values


def _segmenter(model: str, folder: Path) -> Any:
    if model == EMBEDDED:
        return segmentation.load(EMBEDDED, device="cpu")
    return load_ours(random_network(model), model, folder)


class Browser:
    """Asks for photos as the page does, and counts bytes of bodies.

    Attributes:
        up, down: bytes so far.
    """

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=180, trust_env=False)
        self.up = self.down = 0
        config = self.http.get("/config").json()
        self._number = next(d["id"] for d in config["dependencies"] if d["api_name"] == "label")
        model = next(c for c in config["components"] if c["props"].get("elem_id") == "model")
        self._model = model["props"]["value"]

    def page_bytes(self) -> int:
        """Of the page itself, without its scripts and fonts, which a browser keeps."""
        with self.http.stream("GET", "/") as answer:
            answer.read()
            return answer.num_bytes_downloaded

    def upload(self, data: bytes) -> str:
        """Upload a photo; returns its path there."""
        headers = {"Content-Type": "multipart/form-data; boundary=frontier"}
        body = _multipart(data)
        answer = self.http.post(f"{API}/upload", content=body, headers=headers)
        self.up += len(body)
        return answer.json()[0]

    def label(self, path: str) -> None:
        """Have an uploaded photo labelled and fetch what the page shows of it."""
        session = f"cost{time.monotonic_ns()}"
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = {"data": [file, self._model, 0], "fn_index": self._number, "session_hash": session}
        asked = self.http.post(f"{API}/queue/join", json=body)
        self.up += len(asked.request.content)
        value = self._listen(session)
        for name in ("photo", "labels"):
            answer = self.http.get(f"{API}/file={value[name]['path']}")
            answer.raise_for_status()
            self.down += answer.num_bytes_downloaded

    def _listen(self, session: str) -> dict[str, Any]:
        with self.http.stream("GET", f"{API}/queue/data?session_hash={session}") as stream:
            for line in stream.iter_lines():
                self.down += len(line) + 1
                message = json.loads(line.removeprefix("data: ")) if line else {}
                if message.get("msg") in ("process_generating", "process_completed"):
                    value = message["output"]["data"][0]
                    if isinstance(value, dict) and "labels" in value:
                        return value
                    if message["msg"] == "process_completed":
                        break
        raise RuntimeError(f"no labels came: {message}")


def own_photo(data: bytes, rng: np.random.Generator) -> bytes:
    """The same photo as another file: an equal one would be answered from memory."""
    return data + rng.integers(0, 256, 8, np.uint8).tobytes()


def server(files: dict[str, bytes], runs: int) -> dict[str, Any]:
    """The real server's cost of an answer by size, and its memory."""
    from tests.helpers.server import start_app

    rng = np.random.default_rng(0)
    values: dict[str, Any] = {"answers": {}}
    with tempfile.TemporaryDirectory(prefix="pixelwise-cost-") as name:
        folder = Path(name)
        with start_app("--model", EMBEDDED, folder=folder) as (url, app):
            browser = Browser(url)
            browser.label(browser.upload(own_photo(files["1 MP"], rng)))
            values["page_bytes"] = browser.page_bytes()
            values["memory_ready_mb"] = resident_mb(app.pid)
            for size, data in files.items():
                before = browser.up, browser.down, process_cpu(app.pid)
                for _ in range(runs):
                    browser.label(browser.upload(own_photo(data, rng)))
                after = browser.up, browser.down, process_cpu(app.pid)
                up, down, cpu = ((b - a) / runs for a, b in zip(before, after, strict=True))
                values["answers"][size] = {"up": up, "down": down, "cpu_seconds": cpu}
            values["memory_after_mb"] = resident_mb(app.pid)
            values["memory_peak_mb"] = resident_mb(app.pid, "VmHWM")
            values["memory_waiting_mb"] = _waiting_mb(url, app.pid, files["12 MP"], rng)
    return values


def _waiting_mb(url: str, pid: int, data: bytes, rng: np.random.Generator) -> float:
    """Resident memory at most while `WAITING` photos wait, above that while one alone is asked."""
    browsers = [Browser(url) for _ in range(WAITING)]
    paths = [browser.upload(own_photo(data, rng)) for browser in browsers]
    one = Browser(url)
    alone = _most_mb(pid, [lambda: one.label(one.upload(own_photo(data, rng)))])
    together = [
        lambda browser=browser, path=path: browser.label(path)
        for browser, path in zip(browsers, paths, strict=True)
    ]
    return (_most_mb(pid, together) - alone) / (WAITING - 1)


def _most_mb(pid: int, calls: list[Callable[[], None]]) -> float:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    most = 0.0
    while any(thread.is_alive() for thread in threads):
        most = max(most, resident_mb(pid))
        time.sleep(0.01)
    return most


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as plain values for JSON."""
    values = result(photo=options.photo.name, runs=options.runs)
    files = {size: enlarged_photo(options.photo, shape) for size, shape in SIZES.items()}
    values["file_bytes"] = {size: len(data) for size, data in files.items()}
    if options.only != "server":
        values["alone"] = work_alone(files, [EMBEDDED, *options.models], options.runs)
    if options.only != "alone":
        values["server"] = server(files, options.runs)
    if options.only and options.json and options.json.is_file():
        before = json.loads(options.json.read_bytes())
        if options.only == "alone" and "alone" in before:  # other models may be in there
            values["alone"]["label"] = before["alone"]["label"] | values["alone"]["label"]
        values = before | values
    return values


def cost_report(values: dict[str, Any]) -> str:
    """The tables as Markdown."""
    made = []
    if "alone" in values:
        made.append(_alone_table(values["alone"], list(SIZES)))
    if "server" in values:
        made += _server_table(values["server"], list(SIZES))
    return "\n\n".join(made)


def _alone_table(alone: dict[str, Any], sizes: list[str]) -> str:
    rows = [["decode the JPEG", *(f"{alone['decode'][s]:.3f}" for s in sizes)]]
    for model, took in alone["label"].items():
        rows.append([f"label: {model}", *(f"{took[s]:.3f}" for s in sizes)])
    rows.append(["make what the page shows", *(f"{alone['show'][s]:.3f}" for s in sizes)])
    return markdown(["CPU seconds, the work alone", *sizes], rows)


def _server_table(served: dict[str, Any], sizes: list[str]) -> list[str]:
    answers = served["answers"]
    asked = [
        ["CPU seconds of the server", *(f"{answers[s]['cpu_seconds']:.2f}" for s in sizes)],
        ["MB up", *(f"{answers[s]['up'] / 1e6:.2f}" for s in sizes)],
        ["MB down", *(f"{answers[s]['down'] / 1e6:.2f}" for s in sizes)],
    ]
    memory = (
        f"Memory of the server: {served['memory_ready_mb']:.0f} MB after the first photo, "
        f"{served['memory_after_mb']:.0f} MB after the others, {served['memory_peak_mb']:.0f} MB "
        f"at most; {served['memory_waiting_mb']:.1f} MB for each 12-megapixel photo that waits. "
        f"The page itself: {served['page_bytes'] / 1e6:.2f} MB."
    )
    return [markdown(["an answer of the server (built-in model)", *sizes], asked), memory]


def main() -> None:
    """Read the command line, measure and print."""
    command = parser("server.cost", __doc__)
    command.add_argument("--runs", type=positive, default=5)
    command.add_argument("--photo", type=Path, default=PHOTO)
    command.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    command.add_argument(
        "--only", choices=("alone", "server"), help="measure one half; --json keeps the rest"
    )
    options = command.parse_args()
    values = measure(options)
    finish(values, cost_report(values), options.json)


if __name__ == "__main__":
    main()
