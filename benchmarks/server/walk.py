"""Print our functions that a photo passes, and a click: `python -m benchmarks.server.walk`.

From the tab's handler to the viewer's value, by Python's profile hook, in all threads; the model is
loaded already. Functions that are written within others without a name (lambdas, comprehensions)
are part of those. `tests/page/service/test_walk.py` keeps the numbers from growing.
"""

import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import gradio as gr

from page.options import Options
from page.service.labeling_service import LabelingService
from page.tabs.examples import examples_folder
from page.tabs.label_handlers import Handlers

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / name) + "/" for name in ("page", "segmentation", "viewer"))
Walk = dict[str, list[str]]
"""A file, from the folder of the checkout, to the functions of it that were called, in order."""


class _Request:
    """What a handler knows of the page that asks."""

    session_hash = "visitor"
    request = type("Scope", (), {"scope": {"path": "/queue/join"}})


def record(run: Callable[[], Any]) -> tuple[Any, Walk]:
    """What a function returns, and which of our functions it has passed."""
    passed: Walk = {}

    def hook(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        name = code.co_name
        if event != "call" or name.startswith("<") or not code.co_filename.startswith(OURS):
            return
        functions = passed.setdefault(str(Path(code.co_filename).relative_to(ROOT)), [])
        qualified = getattr(code, "co_qualname", name)
        if qualified not in functions:
            functions.append(qualified)

    before = sys.getprofile()
    threading.setprofile(hook)
    sys.setprofile(hook)
    try:
        result = run()
    finally:
        sys.setprofile(before)
        threading.setprofile(None)
    return result, passed


def walks() -> tuple[Walk, Walk]:
    """The way of an example photo, and of a click on a pixel of it, with the built-in model."""
    first, second = sorted(examples_folder().glob("*.jpg"))[:2]
    with tempfile.TemporaryDirectory() as cache:
        handlers = Handlers(LabelingService(Options(model="embedded", device="cpu")), cache)
        list(handlers.label(str(first), "embedded", 0, _Request))  # loads the model
        steps, photo = record(lambda: list(handlers.label(str(second), "embedded", 0, _Request)))
        value, key = steps[-1][0], steps[-1][3]
        event = gr.EventData(None, {"y": 3, "x": 4, "id": value["id"]})
        bars, click = record(lambda: handlers.pixel(key, event))
    if "labels" not in value or "bars" not in bars:
        raise RuntimeError(f"the photo was not labelled: {value}, {bars}")
    return photo, click


def count(walk: Walk) -> tuple[int, int]:
    """How many files, and how many functions."""
    return len(walk), sum(map(len, walk.values()))


def main() -> None:
    """Print both ways."""
    for title, walk in zip(("a photo", "a click"), walks(), strict=True):
        files, functions = count(walk)
        print(f"{title}: {files} files, {functions} functions")
        for path, names in walk.items():
            print(f"  {path} {len(names)}: {', '.join(names)}")


if __name__ == "__main__":
    main()
