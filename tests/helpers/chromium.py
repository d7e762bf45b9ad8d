"""Find Chromium, and the options with which tests start it."""

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
    """Return the browser's path: `CHROMIUM` if set, else the first one on the PATH, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def launch_options(*flags: str) -> dict[str, Any]:
    """Return the arguments of Playwright's `chromium.launch`.

    Raises:
        RuntimeError: there is no Chromium on this machine.
    """
    path = find_chromium()
    if path is None:
        raise RuntimeError(MISSING)
    return {"executable_path": path, "args": [*QUIET, *flags]}
