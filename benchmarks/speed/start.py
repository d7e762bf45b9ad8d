"""How soon a page is there: `python -m benchmarks.speed.start`.

Seconds from the start of the process to the first page served and to the first photo answered:
ours with the built-in model, and a bare Gradio app that imports torch and turns a photo upside
down. In turn, each in a fresh process, asked every few milliseconds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.report.output import EXAMPLES, ROOT, RUNS, finish, parser, positive, result
from benchmarks.report.tables import markdown
from benchmarks.report.targets import Target
from benchmarks.speed.timing import Clock, in_turn, spread
from tests.helpers.server import free_port

BARE = """
import sys
import gradio as gr
import torch

with gr.Blocks(analytics_enabled=False) as demo:
    photo, turned = gr.Image(), gr.Image()
    gr.Button().click(lambda image: image[::-1], photo, turned, api_name="segment")
demo.launch(server_port=int(sys.argv[1]), quiet=True)
"""
ASK_SECONDS = 0.02
WAIT_SECONDS = 120.0
MORE = {"bare": [], "ours": [""]}
"""The call's arguments after the photo: ours takes a model's name."""
MOST = 1.15
NAMES = {"bare": "bare Gradio app with torch", "ours": "ours, built-in model"}


def commands(folder: Path) -> dict[str, list[str]]:
    """The words that start each; a port is to follow."""
    bare = folder / "bare.py"
    bare.write_text(BARE)
    ours = [sys.executable, str(ROOT / "app.py"), "--model", "embedded", "--device", "cpu"]
    return {"bare": [sys.executable, str(bare)], "ours": [*ours, "--port"]}


@contextmanager
def started(words: list[str], port: int, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with its own temporary folder, without any other host; ended afterwards."""
    quiet = {
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*words, str(port)], cwd=folder, env={**os.environ, **quiet}, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def first_page(http: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    """Ask for the page until it is there.

    Raises:
        RuntimeError: the process ended, or took more than two minutes.
    """
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if http.get("/").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(ASK_SECONDS)
    raise RuntimeError(f"no page from {process.args}")


def first_answer(http: httpx.Client, photo: Path, more: list[str]) -> None:
    """Upload a photo, ask for its labels and wait for them.

    Raises:
        RuntimeError: there is no answer.
    """
    with photo.open("rb") as file:
        path = http.post("/gradio_api/upload", files={"files": file}).json()[0]
    data = {"path": path, "meta": {"_type": "gradio.FileData"}}
    asked = http.post("/gradio_api/call/segment", json={"data": [data, *more]}).json()
    with http.stream("GET", f"/gradio_api/call/segment/{asked['event_id']}") as stream:
        for line in stream.iter_lines():
            if line == "event: complete":
                return
            if line == "event: error":
                break
    raise RuntimeError("the first photo got no answer")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both apps, as plain values for JSON: seconds to the page, and from there to the answer."""
    values = result(runs=options.runs, photo=options.photo.name)
    with tempfile.TemporaryDirectory() as name:
        words = commands(Path(name))
        contenders = {
            key: partial(one_start, words[key], options.photo, MORE[key], Path(name))
            for key in NAMES
        }
        values["times"] = in_turn(contenders, options.runs)
    return values


def one_start(words: list[str], photo: Path, more: list[str], folder: Path, clock: Clock) -> None:
    """Start an app, get its first page and its first answer, and end it.

    Args:
        words: what starts it; a port is to follow.
        photo: what is asked about.
        more: the call's arguments after the photo.
        folder: gets a folder of the app's own.
        clock: gets page and answer, both from the start.
    """
    port = free_port()
    own = Path(tempfile.mkdtemp(dir=folder))
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=WAIT_SECONDS, trust_env=False) as http:
        begin = time.perf_counter()
        with started(words, port, own) as process:
            first_page(http, process)
            clock.seconds["page"] = time.perf_counter() - begin
            first_answer(http, photo, more)
            clock.seconds["answer"] = time.perf_counter() - begin


def start_report(values: dict[str, Any]) -> str:
    """The table as Markdown."""
    times = values["times"]
    bare = {stage: spread(seconds) for stage, seconds in times["bare"].items()}
    rows = []
    for key, stages in times.items():
        cells = [NAMES[key]]
        for stage in ("page", "answer"):
            took = spread(stages[stage])
            cells += [took.text(2), f"{took.median / bare[stage].median:.2f}x"]
        rows.append(cells)
    header = ["seconds from the start", "first page", "to the bare", "first photo", "to the bare"]
    return "\n\n".join(
        [
            f"{values['runs']} runs in turn, {values['photo']}: median (minimum to maximum).",
            markdown(header, rows),
        ]
    )


def start_targets(values: dict[str, Any]) -> list[Target]:
    """The promise about the first page; by the quickest run of each."""
    ours, bare = (min(values["times"][key]["page"]) for key in ("ours", "bare"))
    return [Target("first page, time beside the bare app", MOST, ours / bare, most=True)]


def main() -> None:
    """Read the command line, measure and print."""
    command = parser("speed.start", __doc__)
    command.add_argument("--runs", type=positive, default=RUNS)
    command.add_argument("--photo", type=Path, default=EXAMPLES / "astronaut.jpg")
    options = command.parse_args()
    values = measure(options)
    finish(values, start_report(values), options.json, start_targets(values))


if __name__ == "__main__":
    main()
