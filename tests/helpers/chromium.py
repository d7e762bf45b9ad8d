"""Where Chromium is, and how the tests start it."""

import os
import shutil
from typing import Any

MISSING = "no Chromium on this machine (apt install chromium)"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
)


def find_chromium() -> str | None:
    """The browser's path: `CHROMIUM` where it is set, else the first one on the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def launch_options(*flags: str) -> dict[str, Any]:
    """What Playwright's `chromium.launch` takes.

    Raises:
        RuntimeError: there is no Chromium here.
    """
    path = find_chromium()
    if path is None:
        raise RuntimeError(MISSING)
    return {"executable_path": path, "args": [*QUIET, *flags]}
