"""Fixtures that more than one test file uses."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("PIXELWISE_SHARED", ROOT.parent / "shared"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests for a GPU or for Ray step aside where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device on this machine")
    if item.get_closest_marker("ray"):
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback only
        if not os.environ.get("PIXELWISE_REQUIRE_RAY"):
            pytest.importorskip("ray", reason="Ray is not installed: make test-ray")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with a real model and real photos, where a checkout has one beside it."""
    if not (SHARED / "models").is_dir():
        pytest.skip(f"no real model and photos at {SHARED} (set PIXELWISE_SHARED)")
    return SHARED


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of random numbers."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.pt2` file whose answer is visible in the photo; see `tiny.py`."""
    from tiny import save_program

    return save_program(tmp_path_factory.mktemp("program") / "colour_net.pt2")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small maps on a busy machine are faster without waiting for a second thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """A headless Chromium; skips where there is none, unless PIXELWISE_REQUIRE_BROWSER is set."""
    from playwright.sync_api import sync_playwright

    from chromium import find_chromium, launch_options

    if find_chromium() is None and not os.environ.get("PIXELWISE_REQUIRE_BROWSER"):
        pytest.skip("no Chromium on this machine: install it (apt install chromium)")
    with sync_playwright() as play:
        browser = play.chromium.launch(**launch_options())
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """An empty page of 1440 x 900; a script error in it fails the test."""
    errors: list[str] = []
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme="light", accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(90_000)  # a loaded machine is no failure
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors
