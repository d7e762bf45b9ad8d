"""A page with the viewer and made-up results: no network, no model, one button for each value."""

import itertools
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
import torch

from benchmarks.report.synthetic import made_up_result
from segmentation.inference.postprocessing import decide, decide_with_sets
from segmentation.inference.result import Segmentation
from viewer import LabelViewer, PixelAnswer, build_value, pixel_value

SMALL = (240, 320)
SET_THRESHOLD = 0.2


def own_classes() -> tuple[Segmentation, np.ndarray, np.ndarray]:
    """256 classes without a background, and a palette of their own: result, photo, palette."""
    rng = np.random.default_rng(3)
    logits = torch.from_numpy(rng.normal(0, 3, (256, 8, 12)).astype(np.float32))
    class_map, confidence, runner_up = decide(logits, (120, 200))
    names = tuple(f'"{i}", <b>tissue</b>' for i in range(256))
    result = Segmentation(class_map, confidence, runner_up, logits, names, "own", "cpu", 0.1)
    palette = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 77)], 1).astype(np.uint8)
    return result, rng.integers(0, 256, (120, 200, 3)).astype(np.uint8), palette


class ViewerApp:
    """The page, what it shows, and what the viewer told the server."""

    def __init__(self) -> None:
        self.results = {
            "first": made_up_result(*SMALL),
            "second": made_up_result(*SMALL, seed=4),
            "tall": made_up_result(260, 180, seed=2),
            "million": made_up_result(866, 1155),
        }
        # The same shapes under other names: what another model on the same photo would send.
        result, photo = self.results["first"]
        sets = decide_with_sets(result.logits, SMALL, SET_THRESHOLD)[3]
        self.results["sets"] = (replace(result, set_sizes=sets, set_threshold=SET_THRESHOLD), photo)
        doubt = np.where(np.arange(SMALL[1]) < 200, 2, 1) * np.ones((SMALL[0], 1), np.uint8)
        doubtful = replace(result, set_sizes=doubt.astype(np.uint8), set_threshold=SET_THRESHOLD)
        self.results["doubt"] = (doubtful, photo)
        self.results["late"] = (replace(result, model="late"), photo)
        # A hole of 5 x 5 pixels where the tests' person is.
        holed = result.class_map.copy()
        y, x = int(0.55 * SMALL[0]), int(0.28 * SMALL[1])
        holed[y - 2 : y + 3, x - 2 : x + 3] = 0
        self.results["specks"] = (replace(result, class_map=holed), photo)
        self.values: dict[str, dict[str, Any]] = {}
        self.pins: list[dict[str, Any]] = []
        self.numbers = itertools.count(1)
        self.current = "first"
        self.demo = self._build()
        _, self.url, _ = self.demo.launch(prevent_thread_lock=True, quiet=True)

    def _value(self, name: str) -> dict[str, Any]:
        self.current = name
        if name not in self.values:
            result, photo = self.results[name]
            self.values[name] = build_value(result, photo, cache=self.demo.GRADIO_CACHE, key=name)
        return {**self.values[name], "seq": 0 if name == "late" else next(self.numbers)}

    def _own(self) -> dict[str, Any]:
        result, photo, palette = own_classes()
        cache = self.demo.GRADIO_CACHE
        return build_value(result, photo, cache=cache, key="own", palette=palette)

    def _pin(self, event: gr.EventData) -> dict[str, Any]:
        self.pins.append(dict(event._data))
        return pixel_value(self.results[self.current][0], event.y, event.x)

    def _build(self) -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as demo:
            viewer = LabelViewer(elem_id="viewer")
            bars = PixelAnswer(elem_id="bars")
            values = {name: lambda name=name: self._value(name) for name in self.results} | {
                "own": self._own,
                "none": lambda: None,
                "work": lambda: {"status": "working", "text": "82 of 233 MB", "fraction": 0.35},
                "wait": lambda: {"status": "working", "text": "Labelling"},
                "error": lambda: {"status": "error", "text": "Not a photo: <b>x</b>."},
                "missing": lambda: {**self._value("second"), "labels": {"url": "/nowhere.png"}},
            }
            for name, value in values.items():
                button = gr.Button(name, elem_id=name)
                button.click(value, None, viewer, show_progress="hidden", queue=False)
            viewer.pin(self._pin, None, bars, queue=False, show_progress="hidden")
        return demo
