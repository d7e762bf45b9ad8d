"""Seconds from a start to the first page and the first result: `python -m benchmarks.speed.start`.

Our app with the built-in model alternates with a bare Gradio app that imports torch and turns a
photo upside down. Each start is a fresh process, requested every 20 ms.
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.report.output import ROOT, Values, add_run_options, parser, run
from benchmarks.report.tables import Target, markdown, ratio
from benchmarks.speed.timing import Clock, alternate, spread
from tests.helpers.client import Client
from tests.helpers.server import free_port, start_server

BARE = """
import sys
import gradio as gr
import torch

with gr.Blocks(analytics_enabled=False) as demo:
    photo, turned = gr.Image(), gr.Image()
    gr.Button().click(lambda image: image[::-1], photo, turned, api_name="segment")
demo.launch(server_port=int(sys.argv[1]), quiet=True)
"""
OURS = [str(ROOT / "app.py"), "--model", "embedded", "--device", "cpu", "--port"]
POLL_SECONDS = 0.02
LIMIT = 1.15
NAMES = {"bare": "bare Gradio app with torch", "ours": "ours, built-in model"}


def measure_start(script: list[str], model: str | None, photo: Path, clock: Clock) -> None:
    """Start an app, request its first page and its first result, and stop it.

    Args:
        script: what Python runs; a port follows.
        model: second argument of the app's endpoint, if it has one.
        photo: the file to label.
        clock: gets "page" and "answer", both from the start.

    Raises:
        RuntimeError: no page or no result came.
    """
    port = free_port()
    command = [sys.executable, *script, str(port)]
    with tempfile.TemporaryDirectory() as name:
        client = Client(f"http://127.0.0.1:{port}")
        begin = time.perf_counter()
        with start_server(command, port, Path(name), {}, path="/", poll_seconds=POLL_SECONDS):
            clock.seconds["page"] = time.perf_counter() - begin
            path = client.upload(photo.read_bytes(), photo.name)
            event = client.call(path, model).json()["event_id"]
            if client.answer(event, 120)[0] != "complete":
                raise RuntimeError(f"{script[0]} returned no result for {photo.name}")
            clock.seconds["answer"] = time.perf_counter() - begin


def measure(options: argparse.Namespace) -> Values:
    """Return the times of both apps."""
    with tempfile.TemporaryDirectory() as name:
        bare = Path(name) / "bare.py"
        bare.write_text(BARE)
        contenders = {
            "bare": partial(measure_start, [str(bare)], None, options.photo),
            "ours": partial(measure_start, OURS, "", options.photo),
        }
        times = alternate(contenders, options.runs)
    return {"runs": options.runs, "photo": options.photo.name, "times": times}


def start_report(values: Values) -> str:
    """Return the table as Markdown."""
    times = values["times"]
    rows = []
    for key, stages in times.items():
        cells = [NAMES[key]]
        for stage in ("page", "answer"):
            seconds, bare = spread(stages[stage]), spread(times["bare"][stage])
            cells += [seconds.text(2), ratio(seconds.median / bare.median)]
        rows.append(cells)
    header = ["seconds from the start", "first page", "to the bare", "first photo", "to the bare"]
    return (
        f"{values['runs']} alternating runs, {values['photo']}: median (minimum to maximum).\n\n"
        + markdown(header, rows)
    )


def start_targets(values: Values) -> list[Target]:
    """Return the target of the first page, by the quickest run of each app."""
    ours, bare = (min(values["times"][key]["page"]) for key in ("ours", "bare"))
    return [Target("first page, time beside the bare app", LIMIT, ours / bare, upper=True)]


def main() -> None:
    """Run the command line."""
    command = add_run_options(parser("benchmarks.speed.start", __doc__), photo="astronaut.jpg")
    run(command.parse_args(), measure, start_report, start_targets)


if __name__ == "__main__":
    main()
