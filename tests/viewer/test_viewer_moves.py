"""The viewer's divider, zoom and pin; numbers are the issue's points."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from helpers.viewer_driver import PERSON, color, edge_of, fingers, near

pytestmark = pytest.mark.browser


# 5. Before and after.


def test_5_the_divider_is_dragged_and_moved_by_keys(viewer):
    page = viewer.page
    viewer.slide(".pw-opacity", 100)
    x, y, *_ = viewer.spot(PERSON)
    page.click("[data-act=names]")
    page.click("[data-act=compare]")
    divider = page.get_by_role("slider", name="Divider between photo and labels")
    assert divider.get_attribute("aria-valuenow") == "50"
    page.mouse.move(5, 5)
    assert not near(screen_pixel(page, x, y), color(PERSON), 6)  # left of it: the photo
    box, grip = viewer.stage.bounding_box(), divider.bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.1, grip["y"] + 20, steps=4)
    page.mouse.up()
    assert divider.get_attribute("aria-valuenow") == "10"
    page.mouse.move(5, 5)
    assert near(screen_pixel(page, x, y), color(PERSON))
    assert viewer.read("v.pin") is None
    divider.focus()
    page.keyboard.press("ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "12"
    page.keyboard.press("End")
    assert divider.get_attribute("aria-valuenow") == "100"
    assert not near(screen_pixel(page, x, y), color(PERSON), 6)
    page.click("[data-act=compare]")
    assert not divider.is_visible()
    assert near(screen_pixel(page, x, y), color(PERSON))


def screen_pixel(page, x, y):
    clip = {"x": int(x), "y": int(y), "width": 1, "height": 1}
    image = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
    return list(image.getpixel((0, 0)))


# 6. Zoom and pan.


def test_6_wheel_drag_keys_and_double_click(viewer):
    page = viewer.page
    x, y, row, column = viewer.spot(PERSON)
    fit = viewer.read("v.view.scale")
    page.mouse.move(x, y)
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, 150)  # the plain wheel is the page's
    page.wait_for_function("top => scrollY > top", arg=top)
    assert viewer.read("v.view.scale") == fit
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("() => scrollY === 0")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    page.wait_for_function("() => document.querySelector('.pw-zoom-value').innerText !== '1×'")
    assert viewer.read("v.view.scale") > 1.5 * fit
    assert np.allclose(viewer.place(row, column), (x, y), atol=1.5)  # the point stays put
    page.mouse.down()
    page.mouse.move(x - 60, y - 40, steps=3)
    page.mouse.up()
    assert np.allclose(viewer.place(row, column), (x - 60, y - 40), atol=1.5)
    assert viewer.read("v.pin") is None  # a drag is no click
    viewer.stage.focus()
    page.keyboard.press("0")
    assert viewer.read("v.view.scale") == fit
    page.keyboard.press("+")
    assert viewer.read("v.view.scale") == pytest.approx(1.5 * fit)
    top = viewer.read("v.view.top")
    page.keyboard.press("ArrowDown")
    assert viewer.read("v.view.top") < top
    page.keyboard.press("-")
    assert viewer.read("v.view.scale") == pytest.approx(fit)
    page.mouse.dblclick(*viewer.place(row, column))
    assert viewer.read("v.view.scale") > 2 * fit
    assert viewer.read("v.pin") is None  # its first click was no question
    page.click("[data-act=zoom-out]")
    page.click("[data-act=fit]")
    assert viewer.read("v.view.scale") == fit


def test_6_magnified_labels_are_crisp_and_the_photo_is_smooth(viewer):
    viewer.choose("fill")
    viewer.mark_unsure(False)
    viewer.slide(".pw-opacity", 100)
    y, x = edge_of(viewer, PERSON)
    viewer.page.mouse.move(*viewer.place(y, x))
    viewer.page.keyboard.down("Control")
    for _ in range(14):
        viewer.page.mouse.wheel(0, -240)
        viewer.page.wait_for_timeout(15)
    viewer.page.keyboard.up("Control")
    scale = viewer.read("v.view.scale")
    assert scale == 40
    colors = viewer.page.evaluate(
        """name => {
          const c = document.querySelector('canvas.pw-' + name);
          const data = new Uint32Array(
            c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
          return new Set(data).size;
        }""",
        "labels",
    )
    assert colors <= 3  # person, clear background, perhaps one more class; no shade between
    photo = viewer.page.evaluate(
        """() => {
          const c = document.querySelector('canvas.pw-photo');
          const row = c.getContext('2d').getImageData(0, c.height >> 1, c.width, 1).data;
          let changes = 0;
          for (let i = 4; i < row.length; i += 4) changes += row[i] !== row[i - 4];
          return changes / c.width;
        }"""
    )
    assert photo > 2 / scale  # more steps than pixel borders: blended


def test_6_pinch_and_double_tap(phone):
    x, y, row, column = phone.spot(PERSON)
    fit = phone.read("v.view.scale")
    fingers(phone, "touchStart", (x - 20, y), (x + 20, y))
    for spread in (30, 45, 60):
        fingers(phone, "touchMove", (x - spread, y), (x + spread, y))
    fingers(phone, "touchEnd")
    phone.page.wait_for_function(
        "() => document.querySelector('.pw-zoom-value').innerText !== '1×'"
    )
    assert phone.read("v.view.scale") == pytest.approx(3 * fit, rel=0.05)
    assert np.allclose(phone.place(row, column), (x, y), atol=2)
    assert phone.read("v.pin") is None
    now = time.time()
    for start in (now, now + 0.15):
        fingers(phone, "touchStart", (x, y), at=start)
        fingers(phone, "touchEnd", at=start + 0.05)
    phone.page.wait_for_function(
        "fit => document.querySelector('.pw').pixelwise.view.scale === fit", arg=fit
    )


def test_6_one_finger_scrolls_the_page_at_1x_and_pans_when_zoomed(phone):
    page = phone.page
    x, y, *_ = phone.spot(PERSON)
    touch = "getComputedStyle(document.querySelector('.pw-stage')).touchAction"
    assert page.evaluate(touch) == "pan-y"
    swipe(phone, x, y, -120)
    page.wait_for_function("() => scrollY > 60")
    assert phone.read("v.pin") is None
    page.wait_for_timeout(500)  # what is left of the swing
    page.wait_for_function("() => {scrollTo(0, 0); return scrollY === 0;}")
    page.touchscreen.tap(x, y)  # a tap reads
    page.wait_for_selector(".pw-card[data-state=ready]")
    page.get_by_role("button", name="Close").tap()
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(400)
    phone.read("v.stage.zoom(3)")
    assert page.evaluate(touch) == "none"
    top, before = phone.read("v.view.top"), page.evaluate("scrollY")
    swipe(phone, x, y, -40)
    page.wait_for_function(
        "top => document.querySelector('.pw').pixelwise.view.top < top - 30", arg=top
    )
    assert page.evaluate("scrollY") == before
    page.locator("[data-act=fit]").tap()
    assert page.evaluate(touch) == "pan-y"


def swipe(phone, x, y, down):
    """A finger that moves up or down, slowly enough to be no fling."""
    fingers(phone, "touchStart", (x, y))
    for part in range(1, 9):
        fingers(phone, "touchMove", (x, y + down * part / 8))
        phone.page.wait_for_timeout(16)
    fingers(phone, "touchEnd")
    phone.page.wait_for_timeout(100)


def test_6_full_screen_shows_the_picture_large(phone):
    page = phone.page
    page.locator("[data-act=full]").tap()
    page.wait_for_function("() => document.fullscreenElement")
    page.wait_for_timeout(200)
    box = phone.stage.bounding_box()
    height = page.evaluate("innerHeight")
    assert box["height"] > 0.75 * height
    assert box["y"] + box["height"] <= height
    assert not page.locator(".pw-controls").is_visible()
    page.locator("[data-act=full]").tap()
    page.wait_for_function("() => !document.fullscreenElement")


def test_6_full_screen(viewer):
    page = viewer.page
    before = viewer.stage.bounding_box()
    page.click("[data-act=full]")
    button = page.locator("[data-act=full]")
    page.wait_for_function(
        "() => document.querySelector('[data-act=full]').getAttribute('aria-pressed') === 'true'"
    )
    page.wait_for_timeout(100)
    after = viewer.stage.bounding_box()
    assert after["width"] > before["width"] or after["height"] > before["height"]
    assert page.locator(".pw").evaluate("e => e.getBoundingClientRect().width >= innerWidth - 1")
    assert near(viewer.at(PERSON)[:3], color(PERSON))
    button.click()
    page.wait_for_function(
        "() => document.querySelector('[data-act=full]').getAttribute('aria-pressed') === 'false'"
    )
