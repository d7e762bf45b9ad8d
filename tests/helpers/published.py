"""Random weights under a published name, and a local server that offers them for download."""

import dataclasses
import hashlib
import http.server
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import get_model

from segmentation import MODELS, ModelSpec

QUICK = "lraspp_mobilenet_v3_large"


def by_size(names: Iterable[str]) -> list[Any]:
    """Return networks as a test's parameters; those on ResNet-50 and ResNet-101 are marked slow."""
    large = ("resnet50", "resnet101")
    return [
        pytest.param(name, marks=pytest.mark.slow) if name.endswith(large) else name
        for name in names
    ]


def random_network(name: str, seed: int = 0, **options: object) -> torch.nn.Module:
    """Return one of torchvision's networks in eval mode, with seeded random weights."""
    torch.manual_seed(seed)
    if not name.startswith("lraspp"):
        options = {"aux_loss": True, **options}
    options = {"num_classes": 21, **options}
    return get_model(name, weights=None, weights_backbone=None, **options).eval()


def save_random(name: str, path: Path, seed: int = 0) -> Path:
    """Write the state dict of a random network; return the path."""
    torch.save(random_network(name, seed).state_dict(), path)
    return path


class Publisher(http.server.ThreadingHTTPServer):
    """Serves one file, with or without faults.

    Attributes:
        data: the file's bytes.
        mode: "good", "short" (ends early), "missing" (404), or "slow".
        asked: paths of the requests so far.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data = data
        self.mode = "good"
        self.asked: list[str] = []
        self.gate = threading.Event()

    def spec(self, name: str = QUICK, *, digest: str | None = None) -> ModelSpec:
        """Return a model's spec with this server's URL and a file named by the hash of `data`."""
        digest = digest or hashlib.sha256(self.data).hexdigest()[:8]
        file = f"{name}-{digest}.pth"
        url = f"http://127.0.0.1:{self.server_port}/{file}"
        return dataclasses.replace(MODELS[name], file=file, url=url, bytes=len(self.data))


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        publisher = self.server
        publisher.asked.append(self.path)
        if publisher.mode == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(publisher.data)))
        self.end_headers()
        half = len(publisher.data) // 2
        self.wfile.write(publisher.data[:half])
        if publisher.mode == "slow":
            self.wfile.flush()
            publisher.gate.wait(20)
        if publisher.mode != "short":
            self.wfile.write(publisher.data[half:])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def publishing(data: bytes) -> Iterator[Publisher]:
    """Run a server during the block."""
    publisher = Publisher(data)
    thread = threading.Thread(target=publisher.serve_forever, daemon=True)
    thread.start()
    try:
        yield publisher
    finally:
        publisher.gate.set()
        publisher.shutdown()
        publisher.server_close()
        thread.join()
