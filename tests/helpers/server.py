"""Starts the real app in a process of its own and waits until it serves."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_app(*arguments: str, folder: Path, **environment: str) -> Iterator[str]:
    """Run `app.py` with these arguments; yields its address. See `start_app`."""
    with start_app(*arguments, folder=folder, **environment) as (url, _):
        yield url


@contextmanager
def start_app(
    *arguments: str, folder: Path, **environment: str
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run `app.py` with these arguments; yields its address and its process.

    Args:
        arguments: words for the command line.
        folder: where its temporary files and its log go.
        environment: variables to set.
    """
    port = free_port()
    quiet = {
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "HF_HUB_OFFLINE": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "TORCH_HOME": str(folder / "torch"),
        "OMP_NUM_THREADS": "1",
    }
    log = folder / "app.log"
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--device", "cpu"]
    with log.open("wb") as out:
        app = subprocess.Popen(
            [*command, *arguments],
            cwd=folder,
            env={**os.environ, **quiet, **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(app, url, log)
        yield url, app
    finally:
        app.terminate()
        try:
            app.wait(15)
        except subprocess.TimeoutExpired:
            app.kill()
            app.wait()


def _wait(app: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if app.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url + "/config", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"the app did not serve at {url}:\n{log.read_text()[-4000:]}")
