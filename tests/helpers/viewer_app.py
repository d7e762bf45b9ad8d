"""A page with the viewer and synthetic results: no network, no model, one button for each value.

The results are soft blobs of logits, so that sizes and classes can be chosen.
"""

import itertools
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
import torch

from segmentation.categories import VOC_CATEGORIES
from segmentation.inference.postprocessing import decide, decide_with_sets
from segmentation.inference.result import Segmentation
from viewer import LabelViewer, PixelAnswer, build_value, pixel_value

SMALL = (240, 320)
SET_THRESHOLD = 0.2
CELLS = 65  # a 520-pixel photo at stride 8
# (class, centre row, centre column, radius), in parts of the photo's height and width.
BLOBS = (
    (15, 0.55, 0.28, 0.24),
    (8, 0.6, 0.72, 0.18),
    (12, 0.25, 0.75, 0.12),
    (9, 0.9, 0.5, 0.14),
    (15, 0.18, 0.5, 0.06),
)


def made_up_logits(seed: int = 0) -> torch.Tensor:
    """Return logits (21, 65, 65): background, and a soft hill for each blob."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[0:CELLS, 0:CELLS].astype(np.float32) + 0.5) / CELLS
    logits = rng.normal(-2, 0.5, (21, CELLS, CELLS)).astype(np.float32)
    logits[0] += 4
    for index, row, column, radius in BLOBS:
        angle = np.arctan2(y - row, x - column)
        distance = np.hypot(y - row, x - column) / (radius * (1 + 0.15 * np.sin(5 * angle + seed)))
        logits[index] = np.maximum(logits[index], 14 - 10 * distance)
    return torch.from_numpy(logits)  # (21, 65, 65)


def made_up_photo(height: int, width: int, class_map: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return an image with gradients, texture and visible shapes: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    sky = np.stack([150 - 60 * y, 170 - 40 * y, 190 - 110 * y], -1)
    sky += 12 * np.sin(25 * x + 9 * np.sin(14 * y))[..., None]
    shade = np.array([[0, 0, 0], [45, -25, -45]], np.float32)
    picture = sky + shade[(class_map > 0).astype(int)]
    noise = rng.integers(-6, 7, (height, width, 1))
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def made_up_result(height: int, width: int, seed: int = 0) -> tuple[Segmentation, np.ndarray]:
    """Return a result and its photo.

    Args:
        height: rows of both.
        width: columns of both.
        seed: of the shapes and of the texture.

    Returns:
        A `Segmentation` with 21 classes, and the photo (H, W, 3) uint8.
    """
    logits = made_up_logits(seed)
    class_map, confidence, runner_up = decide(logits, (height, width))
    result = Segmentation(
        class_map=class_map,
        confidence=confidence,
        runner_up=runner_up,
        logits=logits,
        categories=VOC_CATEGORIES,
        model="made-up",
        device="cpu",
        seconds=0.42,
    )
    return result, made_up_photo(height, width, class_map, seed)


def own_classes() -> tuple[Segmentation, np.ndarray, np.ndarray]:
    """256 classes without a background, and a palette of their own: result, photo, palette."""
    rng = np.random.default_rng(3)
    logits = torch.from_numpy(rng.normal(0, 3, (256, 8, 12)).astype(np.float32))
    class_map, confidence, runner_up = decide(logits, (120, 200))
    names = tuple(f'"{i}", <b>tissue</b>' for i in range(256))
    result = Segmentation(class_map, confidence, runner_up, logits, names, "own", "cpu", 0.1)
    palette = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 77)], 1).astype(np.uint8)
    return result, rng.integers(0, 256, (120, 200, 3)).astype(np.uint8), palette


def made_up_results() -> dict[str, tuple[Segmentation, np.ndarray]]:
    """Return the tests' results and photos by name."""
    results = {
        "first": made_up_result(*SMALL),
        "second": made_up_result(*SMALL, seed=4),
        "tall": made_up_result(260, 180, seed=2),
        "million": made_up_result(866, 1155),
    }
    # The same shapes under other names: what another model on the same photo would send.
    result, photo = results["first"]
    sets = decide_with_sets(result.logits, SMALL, SET_THRESHOLD)[3]
    results["sets"] = (replace(result, set_sizes=sets, set_threshold=SET_THRESHOLD), photo)
    doubt = np.where(np.arange(SMALL[1]) < 200, 2, 1) * np.ones((SMALL[0], 1), np.uint8)
    doubtful = replace(result, set_sizes=doubt.astype(np.uint8), set_threshold=SET_THRESHOLD)
    results["doubt"] = (doubtful, photo)
    results["late"] = (replace(result, model="late"), photo)
    # A hole of 5 x 5 pixels where the tests' person is.
    holed = result.class_map.copy()
    y, x = int(0.55 * SMALL[0]), int(0.28 * SMALL[1])
    holed[y - 2 : y + 3, x - 2 : x + 3] = 0
    results["specks"] = (replace(result, class_map=holed), photo)
    return results


class ViewerApp:
    """A page with the viewer, and the events that it sent to the server.

    Attributes:
        results: name of a button -> the result and the photo that it shows.
        pins: the data of every pin event.
        url: the page's address.
    """

    def __init__(self, results: dict[str, tuple[Segmentation, np.ndarray]] | None = None) -> None:
        self.results = results or made_up_results()
        self.values: dict[str, dict[str, Any]] = {}
        self.pins: list[dict[str, Any]] = []
        self.numbers = itertools.count(1)
        self.current = next(iter(self.results))
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
