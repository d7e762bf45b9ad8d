"""Driver of the viewer in a headless Chromium: actions of a visitor, and what they see."""

import base64

import numpy as np

from segmentation.palette import safe_palette

PERSON, CAT, DOG, CHAIR = 15, 8, 12, 9
INSIDE = {PERSON: (0.55, 0.28), CAT: (0.6, 0.72), DOG: (0.25, 0.75), 0: (0.08, 0.08)}
"""Row and column, as shares of the photo, well inside a class of the synthetic result."""


class Driver:
    """Actions on the viewer and readings of it."""

    def __init__(self, page, app):
        self.page, self.app = page, app
        self.stage = page.locator(".pw-stage")

    def open(self, name="first"):
        self.page.goto(self.app.url)
        self.page.wait_for_selector(".pw")
        if name:
            self.show(name)
        return self

    def reset(self):
        """Empty the viewer, reset all controls, and show the first result."""
        self.page.mouse.move(5, 5)
        self.page.evaluate(
            "document.querySelector('.pw-card:not([hidden]) [aria-expanded=true]')?.click()"
        )
        self.page.locator("#none").dispatch_event("click")
        self.page.wait_for_selector(".pw[data-state=empty]")
        self.page.evaluate(
            """() => {
              document.activeElement.blur();
              window.scrollTo(0, 0);
              const find = selector => document.querySelector('.pw ' + selector);
              for (const [selector, value] of [['.pw-opacity', 60], ['.pw-threshold', 0]]) {
                find(selector).value = value;
                find(selector).dispatchEvent(new Event('input'));
              }
              const chosen = ['labels', 'both', 'clear', 'safe'];
              for (const value of chosen) find(`[value=${value}]`).click();
            }"""
        )
        self.show("first")
        self.page.evaluate(
            """() => {
              for (const button of document.querySelectorAll(
                '.pw-all:enabled, [data-act=compare][aria-pressed=true], ' +
                '[data-act=names][aria-pressed=false], ' +
                '.pw-unsure[aria-pressed=false]')) button.click();
            }"""
        )
        self.app.pins.clear()
        return self

    def show(self, name):
        self.page.locator(f"#{name}").dispatch_event("click")
        self.page.wait_for_function(
            """name => {
              const root = document.querySelector('.pw');
              return root.pixelwise.value?.id === name && root.dataset.busy === 'false';
            }""",
            arg=name,
        )

    def read(self, expression):
        return self.page.evaluate(f"(v => {expression})(document.querySelector('.pw').pixelwise)")

    def plane(self, name):
        text = self.page.evaluate(
            """async name => {
              const bytes = document.querySelector('.pw').pixelwise.map[name];
              const reader = new FileReader();
              reader.readAsDataURL(new Blob([bytes]));
              await new Promise(done => reader.onload = done);
              return reader.result.split(',')[1];
            }""",
            name,
        )
        return np.frombuffer(base64.b64decode(text), np.uint8)

    def spot(self, index):
        """Return the centre of a photo pixel well inside a class: (page x, page y, row, column)."""
        height, width = self.read("[v.map.height, v.map.width]")
        y, x = (int(part * side) for part, side in zip(INSIDE[index], (height, width), strict=True))
        return (*self.place(y, x), y, x)

    def place(self, y, x):
        """Return the place of a photo pixel's centre on the page: (page x, page y)."""
        view, box = self.read("v.view"), self.stage.bounding_box()
        return (
            box["x"] + view["left"] + (x + 0.5) * view["scale"],
            box["y"] + view["top"] + (y + 0.5) * view["scale"],
        )

    def pixel(self, y, x, canvas="labels"):
        """Return [red, green, blue, alpha] of a canvas at a photo pixel's centre, once painted."""
        return self.page.evaluate(
            """async ([y, x, name]) => {
              const frame = () => new Promise(requestAnimationFrame);
              await frame();  // what was changed is painted in the next frame
              await frame();
              const {view} = document.querySelector('.pw').pixelwise;
              const canvas = document.querySelector('canvas.pw-' + name);
              const ratio = canvas.width / canvas.clientWidth;
              const at = [(x + 0.5) * view.scale + view.left, (y + 0.5) * view.scale + view.top];
              const [px, py] = at.map(n => Math.floor(n * ratio));
              return [...canvas.getContext('2d').getImageData(px, py, 1, 1).data];
            }""",
            [y, x, canvas],
        )

    def at(self, index, canvas="labels"):
        return self.pixel(*self.spot(index)[2:], canvas)

    def slide(self, selector, value):
        self.page.locator(selector).fill(str(value))

    def mark_unsure(self, on):
        """Show what is unsure, or leave the labels plain."""
        row = self.page.locator(".pw-unsure")
        if (row.get_attribute("aria-pressed") == "true") != on:
            row.dispatch_event("click")

    def choose(self, value):
        self.page.locator(f".pw-choice input[value={value}]").check(force=True)

    def row(self, index):
        return self.page.locator(f".pw-class[data-index='{index}']")

    def download(self, what):
        self.page.click("[data-act=save]")
        with self.page.expect_download() as download:
            self.page.click(f"[data-save={what}]")
        found = download.value
        with open(found.path(), "rb") as file:
            return found.suggested_filename, file.read()


def open_driver(browser, app, **looks):
    """Open a page for all tests, because loading Gradio's scripts takes longest."""
    context = browser.new_context(color_scheme="light", accept_downloads=True, **looks)
    page = context.new_page()
    driver = Driver(page, app).open(None)
    driver.touch = context.new_cdp_session(page)
    driver.errors = []
    page.on("pageerror", lambda error: driver.errors.append(str(error)))
    return driver


def fingers(driver, kind, *points, at=None):
    """Send one touch event with these fingers, (x, y) on the page, at a time in seconds."""
    found = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
    event = {"type": kind, "touchPoints": found} | ({"timestamp": at} if at else {})
    driver.touch.send("Input.dispatchTouchEvent", event)


def color(index, palette=None):
    return list(map(int, (safe_palette() if palette is None else palette)[index]))


def near(found, wanted, tolerance=2):
    return bool(np.abs(np.subtract(found, wanted)).max() <= tolerance)


def shown_name(name):
    """What a person reads for a made-up result's class."""
    return {"__background__": "everything else"}.get(name, name)


def edge_of(viewer, index):
    """Return the last canvas pixel (row, column) of a class, going right from its spot."""
    y, x = viewer.spot(index)[2:]
    row = viewer.app.results["first"][0].class_map[y]
    last = x + int(np.argmax(row[x:] != index)) - 1
    return y, last + 0.5 - 0.5 / viewer.read("v.view.scale")
