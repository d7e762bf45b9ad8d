"""The whole app in its own process and a real browser, with a network whose answer is known."""

import io
import json
import re
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import segmentation
from helpers import tiny

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False)


@pytest.fixture
def photo_file(tmp_path) -> Path:
    path = tmp_path / "three colours.png"
    Image.fromarray(tiny.photo()).save(path)
    return path


def drop(page, url, file) -> None:
    """Open the page, if it is not open, and give it a photo."""
    if page.url != url + "/":
        page.goto(url)
    page.wait_for_selector("#photo input[type=file]", state="attached")
    page.set_input_files("#photo input[type=file]", file)


def wait_ready(page) -> None:
    page.wait_for_selector("#viewer .pw[data-state=ready]", timeout=60_000)


SHOWN = "document.querySelector('#viewer .pw').pixelwise.value.seq"
"""When the result that the viewer shows was asked for."""
SIZE = "(({height, width}) => [height, width])(document.querySelector('.pw').pixelwise.value)"


def legend(page) -> dict[str, float]:
    """Each class's name and its share of the photo in percent."""
    rows = page.locator("#viewer .pw-rows li").all()
    return {
        row.locator(".pw-name").inner_text(): float(
            row.locator(".pw-share").inner_text().removesuffix(" %")
        )
        for row in rows
    }


QUARTERS = {"everything else": 25.0, "cat": 25.0, "dog": 25.0, "person": 25.0}


def test_a_photo_is_labelled_and_the_download_equals_the_api(
    page, app_url, client, photo_file, tiny_program
):
    drop(page, app_url, photo_file)
    wait_ready(page)
    assert legend(page) == pytest.approx(QUARTERS, abs=1)
    page.click("#viewer [data-act=save]")
    with page.expect_download() as download:
        page.click("#viewer [data-save=labels]")
    saved = np.asarray(Image.open(download.value.path()))
    labels, overlay, facts = client.predict(
        handle_file(photo_file), "colour_net", api_name="/segment"
    )
    np.testing.assert_array_equal(saved, np.asarray(Image.open(labels)))
    assert facts["model"] == "colour_net"
    here = segmentation.load(tiny_program, device="cpu").predict(photo_file)
    np.testing.assert_array_equal(saved, here.class_map)
    assert Image.open(overlay).size == (192, 128)


def test_the_page_tells_no_folder_of_this_machine(app_url, tiny_program):
    with urllib.request.urlopen(app_url + "/config") as answer:
        config = json.load(answer)
    choice = next(c for c in config["components"] if c["props"].get("elem_id") == "model")
    assert choice["props"]["value"] == "colour_net.pt2"
    assert str(tiny_program.parent) not in json.dumps(choice)


def test_the_page_says_who_answered(page, app_url, photo_file):
    drop(page, app_url, photo_file)
    wait_ready(page)
    assert re.fullmatch(r"colour_net · \d+\.\d s · details", page.inner_text("#chip").strip())
    assert page.locator("#run-facts").count() == 0  # closed, under "For the curious"
    page.click("#chip [data-act=details]")
    facts = page.locator("#run-facts").inner_text()
    assert facts.startswith("colour_net on cpu in float32 · 128 × 192 px · ")


def test_a_pinned_pixel_shows_its_distribution(page, app_url, photo_file):
    drop(page, app_url, photo_file)
    wait_ready(page)
    box = page.locator("#viewer .pw-stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.4)
    page.wait_for_selector("#viewer .pw-card[data-state=ready]")
    rows = page.locator("#viewer .pw-answer").all()
    assert len(rows) == 3
    assert rows[0].inner_text().startswith("Cat")
    assert page.locator("#viewer .pw-card").is_visible()
    assert "column 9" in page.locator("#viewer .pw-sr-status").inner_text()


def test_looks_cost_no_inference(page, app_url, photo_file):
    drop(page, app_url, photo_file)
    wait_ready(page)
    calls = []
    page.on("request", lambda request: calls.append(request.url))
    page.locator("#viewer .pw-opacity").fill("20")
    page.locator("#viewer [data-setting=palette] input[value=safe]").check(force=True)
    page.locator("#viewer [data-setting=mode] input[value=contour]").check(force=True)
    page.wait_for_timeout(300)
    assert [url for url in calls if url.startswith("http")] == []


def test_a_bad_file_is_told_and_the_next_photo_works(page, app_url, photo_file, tmp_path):
    bad = tmp_path / "notes.jpg"
    bad.write_text("dear diary")
    drop(page, app_url, bad)
    page.wait_for_selector("#viewer .pw-overlay:not([hidden])")
    page.wait_for_selector("#viewer .pw-overlay :text('is text, not a picture')")
    assert "Traceback" not in page.content()
    drop(page, app_url, photo_file)
    wait_ready(page)
    assert set(legend(page)) == {"everything else", "cat", "dog", "person"}


def test_an_example_runs_on_click(page, app_url):
    page.goto(app_url)
    page.get_by_label("Example photo: Cat").click()
    wait_ready(page)
    assert page.evaluate(SIZE) == [300, 451]
    assert page.locator("#example-caption").inner_text().startswith("Cat.")
    assert page.evaluate("document.querySelector('.pw').pixelwise.value.photo") is None


def test_a_caption_leaves_with_its_photo(page, app_url, photo_file):
    page.goto(app_url)
    page.get_by_label("Example photo: Rocket").click()
    page.wait_for_selector("#example-caption :text('Tricky')")
    drop(page, app_url, photo_file)
    wait_ready(page)
    page.wait_for_function(
        "document.querySelector('#example-caption').innerText.trim() === ''", timeout=10_000
    )


def test_a_photo_may_be_dropped_on_the_stage(page, app_url):
    page.goto(app_url)
    page.get_by_label("Example photo: Cat").wait_for()  # the page's own script runs
    page.wait_for_selector("#photo input[type=file]", state="attached")
    page.evaluate(
        """async () => {
            const canvas = new OffscreenCanvas(60, 40);
            const paint = canvas.getContext("2d");
            paint.fillStyle = "#00f";
            paint.fillRect(0, 0, 60, 40);
            const file = new File([await canvas.convertToBlob()], "blue.png", {type: "image/png"});
            const transfer = new DataTransfer();
            transfer.items.add(file);
            document.querySelector("#viewer .pw-stage").dispatchEvent(
                new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }"""
    )
    wait_ready(page)
    assert legend(page) == {"dog": 100.0}


def test_another_size_runs_again(page, app_url, photo_file):
    drop(page, app_url, photo_file)
    wait_ready(page)
    before = page.evaluate(SHOWN)
    page.click("#chip [data-act=details]")
    page.get_by_label("How large the model sees your photo").click()
    page.get_by_role("option", name="260 px").click()
    # not the line of facts: it changes while the viewer still fetches the new labels
    page.wait_for_function(f"old => {SHOWN} > old", arg=before)
    assert legend(page) == pytest.approx(QUARTERS, abs=1)


def test_the_switch_sharper_and_the_size_are_one_choice(page, app_url, photo_file):
    drop(page, app_url, photo_file)
    wait_ready(page)
    page.click("#chip [data-act=details]")
    size = page.get_by_label("How large the model sees your photo")
    sharper = page.locator("#sharper input[type=checkbox]")
    assert not sharper.is_checked()
    assert size.input_value() == "the size it was trained for (best)"
    sharper.check()
    # Of the tests' network nobody has measured it: the page says so and shows it one size.
    page.get_by_text("Sharper outlines were measured for the built-in model only").wait_for()
    assert size.input_value() == "two sizes averaged (sharper)"
    size.click()
    page.get_by_role("option", name="260 px").click()
    page.wait_for_function("() => document.querySelector('.pw-note').innerText === ''")
    assert not sharper.is_checked()


def test_the_page_asks_no_other_host_and_a_keyboard_skips_to_the_picture(page, app_url, photo_file):
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    drop(page, app_url, photo_file)
    wait_ready(page)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the picture"
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.matches('#viewer .pw-stage')")
    own = app_url.split("/")[2]
    assert {host for host in hosts if host and "." in host} == {own}


def test_nothing_overflows_on_a_phone(browser, app_url, photo_file):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    drop(page, app_url, photo_file)
    wait_ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", "is empty"),
        ("story.jpg", b"once upon a time", "is text, not a picture"),
        ("bomb.png", None, "60,000 x 60,000 pixels"),
    ],
)
def test_the_api_says_what_is_wrong(client, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(claims_60000() if content is None else content)
    with pytest.raises(AppError, match=message):
        client.predict(handle_file(path), "", api_name="/segment")


def claims_60000() -> bytes:
    """A small PNG whose header claims 60,000 x 60,000 pixels."""
    import struct
    import zlib

    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG")
    data = file.getvalue()
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def test_the_api_refuses_an_unknown_model(client, photo_file):
    with pytest.raises(AppError, match=r"no model 'nonesuch' on this page. Choose one of: colour"):
        client.predict(handle_file(photo_file), "nonesuch", api_name="/segment")
