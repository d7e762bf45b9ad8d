"""Open the page on a machine without a network, and print the outcome as JSON.

`python -m tests.helpers.no_network PROGRAM.pt2 PHOTO FOLDER`; `test_no_network.py` runs it in a
network namespace of its own if the machine allows that.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from .chromium import launch_options
from .server import ROOT, free_port

REFUSING = "http://127.0.0.1:9"  # the discard port, on which nothing listens


def main(program: str, photo: str, folder: Path) -> dict[str, Any]:
    """Start the app with `--share`, label a photo, stop the app; return the outcome."""
    port = free_port()
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GRADIO_TEMP_DIR",)
    }
    environment |= {f"{kind}_proxy": REFUSING for kind in ("http", "https", "all")}
    environment |= {"no_proxy": "127.0.0.1,localhost", "TMPDIR": str(folder / "tmp")}
    environment |= {"HOME": str(folder), "OMP_NUM_THREADS": "1"}
    (folder / "tmp").mkdir()
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--device", "cpu"]
    with open(folder / "app.log", "wb") as log:
        app = subprocess.Popen(
            [*command, "--model", program, "--share", "--log-level", "info"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/config", app)
        wait_for_text(folder / "app.log", "No public link", app)
        visited = visit(f"http://127.0.0.1:{port}", photo)
        temporary = [path.name for path in (folder / "tmp").glob("pixelwise-*")]
        start = time.monotonic()
        app.send_signal(signal.SIGTERM)
        status = app.wait(30)
    finally:
        app.kill()
    return {
        **visited,
        "isolated": not can_leave(),
        "temporary": temporary,
        "status": status,
        "seconds_to_end": time.monotonic() - start,
        "left": [str(path) for path in (folder / "tmp").glob("pixelwise-*")],
        "log": (folder / "app.log").read_text(),
    }


def can_leave() -> bool:
    """Return whether there is a route to other hosts.

    192.0.2.1 is an address for documentation, and connecting a UDP socket sends nothing.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return False
    return True


def wait_for(url: str, app: subprocess.Popen[bytes], seconds: float = 150) -> None:
    """Wait until the app responds."""
    end = time.monotonic() + seconds
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end and app.poll() is None:
        try:
            opener.open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError("the app did not serve")


def wait_for_text(log: Path, text: str, app: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Wait until the app has logged a text."""
    end = time.monotonic() + seconds
    while text not in log.read_text() and time.monotonic() < end and app.poll() is None:
        time.sleep(0.2)


def visit(url: str, photo: str) -> dict[str, Any]:
    """Label a photo in Chromium and record every request."""
    requested: list[str] = []
    complaints: list[str] = []
    failed: list[str] = []
    with sync_playwright() as play:
        rules = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        browser = play.chromium.launch(**launch_options(rules))
        page = browser.new_page()
        page.on("request", lambda request: requested.append(request.url))
        page.on("requestfailed", lambda request: failed.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.goto(url)
        page.wait_for_selector("#photo input[type=file]", state="attached", timeout=60_000)
        page.set_input_files("#photo input[type=file]", photo)
        page.wait_for_selector("#viewer .pw[data-state=ready]", timeout=90_000)
        shown = look(page)
        browser.close()
    hosts = sorted({u.split("/")[2] for u in requested if u.startswith(("http", "ws"))})
    return {**shown, "hosts": hosts, "complaints": complaints, "failed": failed}


def look(page: Page) -> dict[str, Any]:
    """Return what the page shows: the classes, a bar of a pinned pixel, the states of its fonts."""
    box = page.locator("#viewer .pw-stage").bounding_box() or {}
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.4)
    page.wait_for_selector("#viewer .pw-card[data-state=ready]", timeout=30_000)
    return {
        "classes": sorted(page.locator("#viewer .pw-rows .pw-name").all_inner_texts()),
        "first_bar": page.locator("#viewer .pw-answer").first.inner_text(),
        "fonts": page.evaluate("[...document.fonts].map((font) => font.status)"),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
