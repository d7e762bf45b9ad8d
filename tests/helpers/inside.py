"""The page in the test's own process, served on the loopback address."""

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from . import tiny
from .client import API, Client, file_data
from .server import free_port

__all__ = ("API", "Gate", "Inside", "file_data", "png", "running_inside")


def png(**save: Any) -> bytes:
    """Return the tiny network's photo as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(tiny.photo()).save(file, "PNG", **save)
    return file.getvalue()


class Gate:
    """Wraps the labelling work; a test can hold photos before the network or replace the work.

    Attributes:
        open: an event; while it is cleared, photos wait.
        calls: number of photos that have started.
        inside: number of running photos.
        instead: called in place of the network, if it is set.
    """

    def __init__(self, work: Callable[..., Any]) -> None:
        self._work = work
        self.open = threading.Event()
        self.open.set()
        self.calls = 0
        self.inside = 0
        self.instead: Callable[[], Any] | None = None

    def __call__(self, request: Any, progress: Any) -> Any:
        """Run `LabelingService.work` once the gate is open."""
        self.calls += 1
        self.inside += 1
        try:
            while not self.open.wait(0.05):
                progress("waiting at the gate", None)
            if self.instead:
                return self.instead()
            return self._work(request, progress)
        finally:
            self.inside -= 1


class Inside(Client):
    """A page in this process, and a client of it.

    Attributes:
        url: its address.
        site: the mounted application.
        gate: controls when its network runs.
    """

    def __init__(self, url: str, site: Any, gate: Gate) -> None:
        super().__init__(url, timeout=30)
        self.url = url
        self.site = site
        self.gate = gate

    @property
    def model(self) -> str:
        """The default model's name in the page's dropdown."""
        return Path(self.site.demo.service.default).name

    def reset(self, seconds: float = 20) -> None:
        """Reset the page: no running or queued photo, no camera, no login."""
        self.gate.instead = None
        self.gate.open.set()
        self.http.cookies.clear()
        queue, live = self.site.demo._queue, self.site.demo.live
        for ident in list(live._cameras):
            live.stop(ident)
        end = time.monotonic() + seconds
        while self.gate.inside or queue.event_ids_to_events:
            assert time.monotonic() < end, "a photo is still running or queued"
            time.sleep(0.02)


@contextmanager
def running_inside(program: Path, folder: Path, **options: Any) -> Iterator[Inside]:
    """Serve the page from this process.

    Args:
        program: the `.pt2` file of its model.
        folder: for its temporary files.
        options: for `page.options.Options`.
    """
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        from page.demo import build_demo
        from page.http.server import start, stop
        from page.options import Options

        chosen = Options(
            model=str(program), device="cpu", host="127.0.0.1", port=free_port(), **options
        )
        demo = build_demo(chosen)
        gate = demo.service.work = Gate(demo.service.work)
        site = start(demo, chosen, quiet=True)
        url = f"http://127.0.0.1:{chosen.port}"
        page = Inside(url, site, gate)
        with page.http:
            yield page
        gate.open.set()
        stop(site)
    finally:
        if before is None:
            os.environ.pop("GRADIO_TEMP_DIR", None)
        else:
            os.environ["GRADIO_TEMP_DIR"] = before
