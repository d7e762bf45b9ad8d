"""A photo shows at once from its own file, travels once, and can be cancelled; labels follow."""

import io
import threading

import numpy as np
import pytest
from PIL import Image, ImageOps

from helpers.photo_page import give, picture, read
from page.components.photo_input import browser_shows
from page.tabs.examples import examples_folder

pytestmark = pytest.mark.browser
RED, GREEN, BLUE = (208, 32, 32), (32, 192, 32), (32, 32, 208)
# EXIF's orientation -> how the stored picture is turned, so that it is upright once turned by it
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
LOCAL = "document.querySelector('#viewer .pw-local')"


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    """A picture, red and blue below green once upright, stored as a camera does."""
    upright = Image.open(io.BytesIO(picture(kind="PNG")))
    stored = upright if STORED[orientation] is None else upright.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    assert ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue()))).size == (192, 128)
    return file.getvalue()


def colors(page, canvas: str) -> list[list[int]]:
    """Of a canvas: the colours of three places, and its height and width."""
    return page.evaluate(
        f"""() => {{
          const canvas = {canvas};
          const copy = new OffscreenCanvas(canvas.width, canvas.height);
          const context = copy.getContext("2d");
          context.drawImage(canvas, 0, 0);
          const at = (x, y) => [...context.getImageData(
            Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data].slice(0, 3);
          return [at(0.5, 0.1), at(0.25, 0.7), at(0.75, 0.7), [canvas.height, canvas.width]];
        }}"""
    )


def is_upright(found) -> bool:
    *places, size = found
    near = np.abs(np.subtract(places, [GREEN, RED, BLUE])).max() < 40
    return bool(near) and size == [128, 192]


@pytest.fixture(scope="module")
def desk(browser, app_url):
    """The page of the tests' network, open for this module; uploads can be held back."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(app_url)
    page.wait_for_selector("#viewer .pw")
    page.wait_for_function("document.querySelector('#photo .ph')?.photoInput")
    yield page
    context.close()


@pytest.fixture
def held(desk):
    """Uploads wait until the event is set."""
    go = threading.Event()
    waiting = []
    desk.route("**/gradio_api/upload", lambda route: waiting.append(route))

    def let_go():
        go.set()
        for route in waiting:
            route.continue_()
        desk.unroute("**/gradio_api/upload")

    yield let_go
    if not go.is_set():
        let_go()


def give_data(page, data: bytes, name: str, kind: str) -> None:
    page.set_input_files(
        "#photo input[type=file]", {"name": name, "mimeType": kind, "buffer": data}
    )


def wait_shown(page, size=None) -> None:
    page.wait_for_function(
        "document.querySelector('#photo .ph').photoInput.under === null &&"
        "document.querySelector('#viewer .pw').dataset.busy === 'false'"
    )


@pytest.mark.parametrize("orientation", STORED)
def test_the_local_photo_stands_as_the_result_will(desk, held, orientation):
    give_data(desk, turned(orientation), f"turned{orientation}.jpg", "image/jpeg")
    desk.wait_for_function(f"{LOCAL} && !{LOCAL}.hidden")
    assert is_upright(colors(desk, LOCAL))
    held()
    wait_shown(desk)
    assert read(desk, "v.value.photo") is None
    assert read(desk, "[v.map.height, v.map.width]") == [128, 192]
    stage = "document.querySelector('#viewer .pw').pixelwise.stage.levels[0]"
    assert is_upright(colors(desk, stage))
    classes = read(
        desk,
        "[[10, 96], [100, 40], [100, 150]].map(([y, x]) => "
        "v.map.categories[v.map.classes[y * v.map.width + x]].name)",
    )
    assert classes == ["cat", "person", "dog"]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_turned_file_of_another_kind_stands_as_its_labels(desk, kind):
    give_data(desk, turned(6, kind), f"turned.{kind.lower()}", f"image/{kind.lower()}")
    wait_shown(desk)
    stage = "document.querySelector('#viewer .pw').pixelwise.stage.levels[0]"
    assert is_upright(colors(desk, stage))


def test_what_the_browser_cannot_show_comes_from_the_server(desk):
    give_data(desk, picture(kind="TIFF"), "scan.tif", "image/tiff")
    wait_shown(desk)
    assert read(desk, "v.value.photo.url").endswith(".jpg")
    stage = "document.querySelector('#viewer .pw').pixelwise.stage.levels[0]"
    assert is_upright(colors(desk, stage))


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("JPEG", True), ("PNG", True), ("WEBP", True), ("GIF", True), ("BMP", True), ("TIFF", False)],
)
def test_which_files_every_browser_shows(tmp_path, kind, shown):
    path = tmp_path / "file"
    path.write_bytes(picture(kind=kind))
    assert browser_shows(str(path)) == shown


def test_transparent_pictures_are_over_white_like_their_labels(desk):
    image = Image.new("RGBA", (60, 40), (255, 0, 0, 0))
    file = io.BytesIO()
    image.save(file, "PNG")
    give_data(desk, file.getvalue(), "clear.png", "image/png")
    wait_shown(desk)
    stage = "document.querySelector('#viewer .pw').pixelwise.stage.levels[0]"
    assert colors(desk, stage)[0] == [255, 255, 255]


def test_labels_bloom_unless_motion_is_unwelcome(desk):
    started = """() => { window.bloomed = 0;
      const real = Element.prototype.animate;
      Element.prototype.animate = function (...a) {
        if (this.matches('.pw-labels')) window.bloomed++;
        return real.apply(this, a);
      }; }"""
    desk.evaluate(started)
    for index, (motion, times) in enumerate([("no-preference", 1), ("reduce", 0)]):
        desk.emulate_media(reduced_motion=motion)
        desk.evaluate("window.bloomed = 0")
        give_data(desk, picture((90 + index, 60)), "small.jpg", "image/jpeg")
        wait_shown(desk)
        assert desk.evaluate("window.bloomed") == times
    desk.emulate_media(reduced_motion="no-preference")


@pytest.mark.slow
def test_twelve_megapixels_cost_little_more_than_the_photo(page, built_in_url, tmp_path):
    with Image.open(examples_folder() / "astronaut.jpg") as image:
        large = image.resize((3464, 3464), Image.Resampling.BICUBIC)
    path = tmp_path / "large.jpg"
    large.save(path, quality=88)
    page.goto(built_in_url)
    page.wait_for_selector("#viewer .pw[data-state=ready]")
    page.wait_for_timeout(500)
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    seen = {"down": 0, "up": 0}
    network.on(
        "Network.dataReceived",
        lambda event: seen.update(down=seen["down"] + event["encodedDataLength"]),
    )
    page.on(
        "request",
        lambda request: seen.update(up=seen["up"] + len(request.post_data_buffer or b"")),
    )
    give(page, path)
    page.wait_for_timeout(300)
    assert read(page, "[v.map.height, v.map.width, v.value.photo]") == [3464, 3464, None]
    up = max(seen["up"], path.stat().st_size)
    assert up < path.stat().st_size + 20_000
    assert up + seen["down"] < path.stat().st_size + 1_570_000, seen


def test_cancel_ends_the_work_and_shows_what_was_there(browser, app):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(app.url)
    page.wait_for_function("document.querySelector('#photo .ph')?.photoInput")
    give_data(page, picture(), "first.jpg", "image/jpeg")
    wait_shown(page)
    before = read(page, "v.value.id")
    app.gate.open.clear()
    give_data(page, picture((96, 64)), "second.jpg", "image/jpeg")
    page.wait_for_selector("#viewer .pw-overlay:not([hidden])")
    page.wait_for_function("document.querySelector('#viewer .pw').dataset.local === 'true'")
    queue = app.site.demo._queue
    for _ in range(100):
        if queue.event_ids_to_events:
            break
        page.wait_for_timeout(50)
    assert queue.event_ids_to_events
    page.get_by_role("button", name="Cancel").click()
    assert page.locator("#viewer .pw-overlay").is_hidden()
    assert read(page, "v.value.id") == before
    assert page.evaluate(f"{LOCAL}.hidden")
    for _ in range(100):
        if not queue.event_ids_to_events:
            break
        page.wait_for_timeout(50)
    assert not queue.event_ids_to_events  # although what labels it is still held
    app.gate.open.set()
    page.wait_for_timeout(500)
    assert read(page, "v.value.id") == before
    give_data(page, picture((96, 64)), "second.jpg", "image/jpeg")  # the same once more
    wait_shown(page)
    assert read(page, "[v.map.height, v.map.width]") == [64, 96]
    context.close()
