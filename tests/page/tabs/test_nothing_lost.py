"""What goes wrong costs nothing: wrong files, no camera, two photos, a server that is away."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from helpers.photo_page import give, open_page, picture, read
from helpers.server import ROOT, free_port
from page.tabs.examples import examples_folder

pytestmark = pytest.mark.browser
OVERLAY = "#viewer .pw-overlay:not([hidden])"


@pytest.fixture(scope="module")
def shown(browser, app_url):
    """The page with a labelled photo, open for this module."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(app_url)
    page.wait_for_function("document.querySelector('#photo .ph')?.photoInput")
    give(page, {"name": "first.jpg", "mimeType": "image/jpeg", "buffer": picture()})
    yield page
    context.close()


def dropped(page, *files: tuple[str, str, int]) -> None:
    """Drop made-up files, (name, type, bytes), on the page."""
    page.evaluate(
        """files => {
          const transfer = new DataTransfer();
          for (const [name, type, size] of files) {
            transfer.items.add(new File([new Uint8Array(size)], name, {type}));
          }
          document.body.dispatchEvent(
            new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }""",
        files,
    )


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (
            ("notes.txt", "text/plain", 20),
            "notes.txt is no picture. Take a JPEG, PNG, WebP or a photo from your phone.",
        ),
        (
            ("paper.pdf", "application/pdf", 20),
            "paper.pdf is no picture. Take a JPEG, PNG, WebP or a photo from your phone.",
        ),
        (
            ("huge.jpg", "image/jpeg", 42 * 2**20),
            "huge.jpg is too large (42 MB; at most 32). Send a smaller copy.",
        ),
        (("walk.mp4", "video/mp4", 20), "walk.mp4 is a film."),
        (("empty.jpg", "image/jpeg", 0), "is empty"),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else "",
)
def test_a_wrong_file_is_told_on_the_stage_and_the_result_stays(shown, file, said):
    before = read(shown, "v.value.id")
    dropped(shown, file)
    shown.wait_for_selector(f"{OVERLAY}[data-kind=error]")
    assert said in shown.inner_text("#viewer .pw-overlay-text")
    assert shown.locator(".toast-wrap *").count() == 0
    assert read(shown, "v.value.id") == before
    shown.get_by_role("button", name="Back to the picture").click()
    assert shown.locator(OVERLAY).count() == 0
    assert read(shown, "v.value.id") == before
    assert shown.inner_text("#photo [data-act=choose]") == "New photo"


def test_two_photos_dropped_open_several(page, app_url):
    page.goto(app_url)
    page.wait_for_selector("#pw-banner", state="attached")  # the page's own script runs
    dropped(page, ("apple.png", "image/png", 10), ("berry.png", "image/png", 10))
    page.wait_for_function(
        "['apple', 'berry'].every("
        "name => document.querySelector('#several-photos')?.innerText.includes(name))"
    )


def test_the_camera_says_that_there_is_none_and_back_works(shown):
    before = read(shown, "v.value.id")
    shown.click("#photo [data-act=take]")
    shown.wait_for_selector(".ph-camera[open] .ph-refused:has-text('camera')")
    text = shown.inner_text(".ph-refused")
    assert "There is no camera on this device." in text or "may not use the camera" in text
    assert shown.locator("[data-act=shoot]").is_hidden()
    shown.click(".ph-camera [data-act=back]")
    assert shown.locator(".ph-camera[open]").count() == 0
    assert read(shown, "v.value.id") == before
    shown.click("#photo [data-act=take]")
    shown.keyboard.press("Escape")
    assert shown.locator(".ph-camera[open]").count() == 0


WORKERS_SHOWN = """() => {
    const viewer = document.querySelector("#viewer .pw");
    const map = viewer?.pixelwise?.map;
    return map?.height === 360 && map.width === 540 && viewer.dataset.busy === "false";
}"""
"""The labels of that photo; Gradio may have put its page together anew meanwhile."""


class Server:
    """The app on a port of its own, which can be killed and started again."""

    def __init__(self, folder, *words):
        self.port, self.folder, self.words = free_port(), folder, words
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        quiet = {"GRADIO_TEMP_DIR": str(self.folder / "gradio"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, str(ROOT / "app.py"), "--device", "cpu", *self.words]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            cwd=self.folder,
            env={**os.environ, **quiet, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(400):
            try:
                with urllib.request.urlopen(self.url + "/config", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        raise RuntimeError("the app did not serve")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def test_while_the_server_is_away_the_page_goes_on_and_the_photo_is_sent_when_it_is_back(
    page, tiny_program, tmp_path
):
    server = Server(tmp_path, "--model", "embedded")
    server.start()
    try:
        open_page(page, server.url)
        give(page, examples_folder() / "chelsea.jpg")
        server.kill()
        page.evaluate("window.dispatchEvent(new Event('offline'))")
        page.wait_for_selector("#pw-banner:not([hidden]):has-text('No connection.')")
        # what is shown goes on
        stage = page.locator("#viewer .pw-stage").bounding_box()
        page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
        page.wait_for_selector("#viewer .pw-readout:not([hidden]) :text('cat')")
        page.locator("#viewer .pw-opacity").fill("30")
        assert read(page, "v.settings.opacity") == pytest.approx(0.3)
        page.mouse.click(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
        # a photo given now waits, in sight
        page.set_input_files("#photo input[type=file]", examples_folder() / "workers.jpg")
        page.wait_for_selector("#viewer .pw-overlay-text:has-text('Your photo waits here')")
        assert page.evaluate("document.querySelector('#viewer .pw').dataset.local") == "true"
        server.start()
        page.wait_for_function(WORKERS_SHOWN)
        page.wait_for_function("document.querySelector('#pw-banner')?.hidden")
        assert page.locator(".toast-wrap *").count() == 0
    finally:
        server.kill()


@pytest.mark.slow
def test_a_photo_that_was_being_labelled_is_sent_again(page, tmp_path):
    server = Server(tmp_path, "--model", "embedded")
    server.start()
    try:
        open_page(page, server.url)
        server.process.send_signal(signal.SIGSTOP)  # it takes the photo and answers nothing
        page.set_input_files("#photo input[type=file]", examples_folder() / "workers.jpg")
        page.wait_for_function("document.querySelector('#photo .ph').photoInput.under !== null")
        server.process.send_signal(signal.SIGCONT)
        page.wait_for_function("document.querySelector('#photo .ph').photoInput.under?.sent")
        server.kill()
        page.wait_for_selector("#pw-banner:not([hidden])")
        server.start()
        page.wait_for_function(WORKERS_SHOWN)
    finally:
        server.kill()
