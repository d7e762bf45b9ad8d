"""Moving pictures in a real browser, with Chromium's fake camera in the place of a real one.

The stand-in is `--use-fake-device-for-media-stream` with a film of our own: a real camera's noise,
exposure and permission dialogs are not tested here.
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from helpers import tiny
from helpers.chromium import launch_options
from helpers.server import running_app

pytestmark = pytest.mark.browser

FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def write_y4m(path: Path, frames: list[np.ndarray]) -> Path:
    """RGB frames as the uncompressed film that Chromium's fake camera plays (BT.601, 4:2:0)."""
    height, width = frames[0].shape[:2]
    matrix = np.array(
        [[65.5, 128.6, 25.0], [-37.8, -74.2, 112.0], [112.0, -93.8, -18.2]], np.float64
    )
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            planes = frame.astype(np.float64) / 255 @ matrix.T + [16, 128, 128]
            file.write(b"FRAME\n" + planes[..., 0].round().astype(np.uint8).tobytes())
            for plane in (planes[::2, ::2, 1], planes[::2, ::2, 2]):
                file.write(plane.round().clip(0, 255).astype(np.uint8).tobytes())
    return path


@pytest.fixture(scope="module")
def app_url(tiny_program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    with running_app("--model", str(tiny_program), "--live-seconds", "8", folder=folder) as url:
        yield url


@pytest.fixture(scope="module")
def camera_browser(browser, tmp_path_factory):
    """A Chromium whose fake camera shows red, green and blue thirds over black."""
    film = write_y4m(
        tmp_path_factory.mktemp("film") / "film.y4m", [tiny.photo(240, 318)[:, :318]] * 2
    )
    options = launch_options(*FAKE, f"--use-file-for-fake-video-capture={film}")
    own = browser.browser_type.launch(**options)
    yield own
    own.close()


@pytest.fixture
def cam(camera_browser):
    """An empty page that may use the fake camera; a script error in it fails the test."""
    context = camera_browser.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["camera"], accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(90_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors


def open_live(page, url) -> None:
    page.goto(url)
    page.get_by_role("tab", name="Live").click()
    page.wait_for_selector("#live .lv-start", state="visible")


def names(page) -> set[str]:
    return set(page.locator("#live .lv-name").all_inner_texts())


def test_the_fake_cameras_picture_is_labelled_and_stops_by_itself(cam, app_url):
    hosts = set()
    cam.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    open_live(cam, app_url)
    cam.click("#live .lv-start")
    cam.wait_for_function("parseFloat(document.querySelector('#live .lv-fps').textContent) > 0")
    assert cam.locator("#live .lv-start").inner_text() == "Stop"
    assert names(cam) == {"person", "cat", "dog"}
    assert cam.locator("#live .lv-latency").inner_text().endswith(" ms")
    assert cam.locator("#live .lv-reason").inner_text().startswith("colour_net answers: ")
    colours = cam.evaluate(
        """() => {
            const canvas = document.querySelector("#live .lv-labels");
            const paint = canvas.getContext("2d");
            return [1, 3, 5].map((sixth) => [...paint.getImageData(
                canvas.width * sixth / 6, canvas.height / 3, 1, 1).data]);
        }"""
    )
    assert [colour[3] for colour in colours] == [153] * 3  # the slider's 60 %
    voc = [[192, 128, 128], [64, 0, 0], [64, 0, 128]]  # person, cat, dog
    np.testing.assert_allclose([colour[:3] for colour in colours], voc, atol=2)
    cam.wait_for_selector("#live .lv[data-state=ended]")  # after the eight seconds of this page
    said = cam.locator("#live .lv-status")
    said.filter(has_text="a camera is on for 8 s at most").wait_for()
    assert cam.locator("#live .lv-start").inner_text() == "Go on"
    assert cam.evaluate("document.querySelector('#live .lv-video').srcObject === null")
    cam.click("#live .lv-start")
    cam.wait_for_selector("#live .lv[data-state=on]")
    cam.click("#live .lv-start")
    cam.wait_for_selector("#live .lv[data-state=off]")
    own = app_url.split("/")[2]
    assert {host for host in hosts if host and "." in host} == {own}


def test_one_frame_is_on_its_way_at_a_time_and_another_tab_stops_it(cam, app_url):
    under_way, most = 0, 0

    def asked(request) -> None:
        nonlocal under_way, most
        if "/live/frame" in request.url:
            under_way += 1
            most = max(most, under_way)

    def ended(request) -> None:
        nonlocal under_way
        under_way -= "/live/frame" in request.url

    cam.on("request", asked)
    cam.on("requestfinished", ended)
    cam.on("requestfailed", ended)
    open_live(cam, app_url)
    cam.click("#live .lv-start")
    cam.wait_for_function("parseFloat(document.querySelector('#live .lv-fps').textContent) > 0")
    cam.get_by_role("tab", name="Label").click()
    cam.wait_for_selector("#live .lv[data-state=ended]", state="attached")
    assert "out of sight" in cam.locator("#live .lv-status").text_content()
    assert most == 1


def test_a_second_visitors_photo_is_answered_while_a_camera_is_on(cam, page, app_url, tmp_path):
    from PIL import Image

    Image.fromarray(tiny.photo()).save(tmp_path / "photo.png")
    page.goto(app_url)
    page.wait_for_selector("#photo input[type=file]", state="attached")
    open_live(cam, app_url)
    cam.click("#live .lv-start")
    cam.wait_for_selector("#live .lv[data-state=on]")
    page.set_input_files("#photo input[type=file]", tmp_path / "photo.png")
    page.wait_for_selector("#viewer .pw[data-state=ready]")


REFUSED = {
    "NotAllowedError": "Allow it: click the camera or the lock in the address bar",
    "NotFoundError": "There is no camera on this device.",
    "NotReadableError": "another program may be using it",
    "OverconstrainedError": "That camera is not there any more.",
    "AbortError": "interrupted while it started",
}


def test_each_refusal_has_its_sentence(cam, app_url):
    """What browsers reject with is made up here: each in turn, then no camera support at all."""
    open_live(cam, app_url)
    for name, sentence in REFUSED.items():
        cam.evaluate(
            """name => { navigator.mediaDevices.getUserMedia =
                () => Promise.reject(new DOMException("made up", name)); }""",
            name,
        )
        cam.click("#live .lv-start")
        cam.wait_for_function(
            "text => document.querySelector('#live .lv-status').textContent.includes(text)",
            arg=sentence,
        )
        assert cam.locator("#live .lv-start").inner_text() == "Start the camera"
    for secure, sentence in ((False, "https://127.0.0.1"), (True, "offers no camera to web pages")):
        cam.evaluate(
            """secure => {
                const set = (where, name, value) =>
                    Object.defineProperty(where, name, {value, configurable: true});
                set(navigator, "mediaDevices", undefined);
                set(window, "isSecureContext", secure);
            }""",
            secure,
        )
        cam.click("#live .lv-start")
        cam.wait_for_function(
            "text => document.querySelector('#live .lv-status').textContent.includes(text)",
            arg=sentence,
        )


def test_a_camera_that_is_unplugged_is_told(cam, app_url):
    open_live(cam, app_url)
    cam.click("#live .lv-start")
    cam.wait_for_selector("#live .lv[data-state=on]")
    cam.evaluate(
        """() => document.querySelector("#live .lv-video").srcObject.getVideoTracks()[0]
            .dispatchEvent(new Event("ended"))"""
    )
    cam.wait_for_selector("#live .lv[data-state=off]")
    said = cam.locator("#live .lv-status")
    said.filter(has_text="it was unplugged or switched off").wait_for()


TWO_CAMERAS = """() => {
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    const list = devices.enumerateDevices.bind(devices);
    window.asked = [];
    devices.getUserMedia = (wanted) => {
        window.asked.push(wanted);
        return open({video: true});
    };
    devices.enumerateDevices = async () =>
        [...await list(), {kind: "videoinput", deviceId: "other"}];
}"""


def test_nothing_overflows_on_a_phone_and_all_can_be_reached_by_keyboard(camera_browser, app_url):
    context = camera_browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, permissions=["camera"]
    )
    page = context.new_page()
    open_live(page, app_url)
    page.evaluate(TWO_CAMERAS)
    page.locator("#live .lv-start").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#live .lv[data-state=on]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#live .lv-start").bounding_box()["height"] >= 44
    for part in ("lv-switch-camera", "lv-model", "lv-opacity", "lv-safe"):
        page.keyboard.press("Tab")
        assert part in page.evaluate("document.activeElement.className")
    page.click("#live .lv-switch-camera")
    page.wait_for_function("window.asked.at(-1).video.deviceId?.exact === 'other'")
    page.wait_for_selector("#live .lv[data-state=on]")
    context.close()


# --- a clip --------------------------------------------------------------------------------


def test_a_photo_is_taken_on_the_first_tab_and_labelled(cam, app_url):
    cam.goto(app_url)
    cam.wait_for_function("document.querySelector('#photo .ph')?.photoInput")
    cam.click("#photo [data-act=take]")
    cam.wait_for_selector(".ph-camera [data-act=shoot]:enabled")
    cam.click(".ph-camera [data-act=shoot]")
    cam.wait_for_selector("#viewer .pw[data-state=ready]")
    assert cam.locator(".ph-camera[open]").count() == 0
    assert cam.evaluate("document.querySelector('.ph-video').srcObject") is None  # switched off
    shown = cam.locator("#viewer .pw-rows .pw-name").all_inner_texts()
    assert {"person", "cat", "dog"} <= set(shown)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Three colours for two seconds, with a tone."""
    package = pytest.importorskip("imageio_ffmpeg", reason="no imageio-ffmpeg here")
    folder = tmp_path_factory.mktemp("clip")
    film = write_y4m(folder / "film.y4m", [tiny.photo(96, 144)] * 20)
    command = [package.get_ffmpeg_exe(), "-loglevel", "error", "-i", film, "-f", "lavfi"]
    command += ["-i", "sine=d=2", "-pix_fmt", "yuv420p", folder / "a walk.mp4"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return folder / "a walk.mp4"


def give_clip(page, url, file) -> None:
    page.goto(url)
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="A clip").click()
    page.wait_for_selector("#clip-file input[type=file]", state="attached")
    page.set_input_files("#clip-file input[type=file]", file)
    page.wait_for_selector("#clip-file .file-preview, #clip-file table")
    page.click("#clip-run")


def test_a_clip_comes_back_labelled_with_its_sound(page, app_url, clip, tmp_path):
    from segmentation.video.ffmpeg import probe

    give_clip(page, app_url, clip)
    assert "At most 20 s and 32 MB" in page.locator("#clip-rules").inner_text()
    page.wait_for_function("document.querySelector('#clip-status').innerText.startsWith('Done: ')")
    said = page.locator("#clip-status").inner_text()
    assert said.startswith("Done: 20 frames, 144 × 96 px, 10 frames a second, sound kept as it was")
    source = page.locator("#clip-shown video").get_attribute("src")
    data = page.request.get(source).body()
    (tmp_path / "back.mp4").write_bytes(data)
    facts = probe(tmp_path / "back.mp4", 1_000_000)
    assert (facts.height, facts.width, facts.sound) == (96, 144, "aac")
    assert "a_walk_labels" in source


def test_what_is_no_clip_is_told(page, app_url, tmp_path, clip):
    bad = tmp_path / "bad.mp4"
    bad.write_text("#EXTM3U\n/etc/passwd\n")
    give_clip(page, app_url, bad)
    page.wait_for_function(
        "document.querySelector('#clip-status').innerText.startsWith('This file is not a readable')"
    )


def test_a_clip_can_be_cancelled_and_the_next_one_works(page, app_url, clip):
    package = pytest.importorskip("imageio_ffmpeg", reason="no imageio-ffmpeg here")
    long = clip.with_name("long.mp4")
    command = [package.get_ffmpeg_exe(), "-loglevel", "error", "-y", "-f", "lavfi"]
    command += ["-i", "testsrc=s=1280x720:r=15:d=20", "-preset", "ultrafast", long]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    give_clip(page, app_url, long)
    page.wait_for_function("document.querySelector('#clip-status progress')?.value > 0")
    page.click("#clip-cancel")
    page.wait_for_function(
        "document.querySelector('#clip-status').innerText.startsWith('Cancelled')"
    )
    page.wait_for_timeout(1000)
    assert page.locator("#clip-status").inner_text().startswith("Cancelled")
    give_clip(page, app_url, clip)
    page.wait_for_function("document.querySelector('#clip-status').innerText.startsWith('Done: ')")
