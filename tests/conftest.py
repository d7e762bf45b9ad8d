"""Fixtures that more than one test file uses."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if os.environ.get("PYTEST_XDIST_WORKER"):  # of `make test`: workers share the processors
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would the programs that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

from helpers.chromium import MISSING, find_chromium, launch_options
from helpers.server import running_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from helpers.inside import Inside
    from helpers.viewer_app import ViewerApp
    from helpers.viewer_driver import Driver

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a browser come first: one left for the end would keep one worker busy alone."""
    browsers = {item.path for item in items if item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in browsers)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """After pytest's own last line: how many tests had no browser, and what brings one."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    without = sum(MISSING in str(report.longrepr) for report in skipped)
    if without:
        tests = "1 browser test was" if without == 1 else f"{without} browser tests were"
        reporter.write_line(f"{tests} skipped: {MISSING}", yellow=True)


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
    from helpers.tiny import save_program

    return save_program(tmp_path_factory.mktemp("program") / "colour_net.pt2")


@pytest.fixture(scope="session")
def app_url(tiny_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app with the tiny network and no other option, one for all tests.

    Each visit is a session of its own; what outlives a visit (remembered results, files) changes
    no answer. A test that needs more than that starts its own: `server.running_app`.
    """
    with running_app("--model", str(tiny_program), folder=tmp_path_factory.mktemp("app")) as url:
        yield url


@pytest.fixture(scope="session")
def built_in_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app with the built-in model, one for all tests.

    It is as visitors find it: it arrives with a labelled example, which `app_url` does not.
    """
    with running_app("--model", "embedded", folder=tmp_path_factory.mktemp("built in")) as url:
        yield url


@pytest.fixture(scope="session")
def app_inside(tiny_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Inside"]:
    """The same app within this process; tests take it as `app`."""
    from helpers.inside import running_inside

    with running_inside(tiny_program, tmp_path_factory.mktemp("cache")) as app:
        os.environ.pop("GRADIO_TEMP_DIR")  # of other tests' apps
        yield app


@pytest.fixture
def app(app_inside: "Inside", monkeypatch: pytest.MonkeyPatch) -> Iterator["Inside"]:
    """The app within this process, left as it was found; a file's own `app` has other options."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(app_inside.site.folder))
    yield app_inside
    app_inside.reset()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small maps on a busy machine are faster without waiting for a second thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def need_chromium() -> None:
    """Skip the test where there is no Chromium, unless PIXELWISE_REQUIRE_BROWSER is set."""
    if find_chromium() is None and not os.environ.get("PIXELWISE_REQUIRE_BROWSER"):
        pytest.skip(MISSING)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """A headless Chromium; skips where there is none, unless PIXELWISE_REQUIRE_BROWSER is set."""
    need_chromium()
    from playwright.sync_api import sync_playwright

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


@pytest.fixture(scope="session")
def viewer_app() -> Iterator["ViewerApp"]:
    """A page with the viewer and made-up results."""
    from helpers.viewer_app import ViewerApp

    app = ViewerApp()
    yield app
    app.demo.close()


# A module a page: an idle Gradio page takes 7 % of a core, which is a lot for a whole run.
@pytest.fixture(scope="module")
def desk(browser: "Browser", viewer_app: "ViewerApp") -> Iterator["Driver"]:
    """The viewer on a large screen, open for a module's tests; they take it as `viewer`."""
    from helpers.viewer_driver import open_driver

    driver = open_driver(browser, viewer_app, viewport={"width": 1440, "height": 900})
    yield driver
    driver.page.context.close()


@pytest.fixture(scope="module")
def hand(browser: "Browser", viewer_app: "ViewerApp") -> Iterator["Driver"]:
    """The viewer on a phone, open for a module's tests; they take it as `phone`."""
    from helpers.viewer_driver import open_driver

    screen = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
    driver = open_driver(browser, viewer_app, **screen, has_touch=True, is_mobile=True)
    yield driver
    driver.page.context.close()


@pytest.fixture
def viewer(desk: "Driver") -> Iterator["Driver"]:
    """The viewer on a large screen with the first result and fresh settings."""
    yield desk.reset()
    assert not desk.errors


@pytest.fixture
def phone(hand: "Driver") -> Iterator["Driver"]:
    """The same on a phone."""
    yield hand.reset()
    assert not hand.errors
