"""What a visitor does on the page for one photo, and what they see, in a headless Chromium."""

import io
from collections.abc import Callable

from PIL import Image

STAGE = "#viewer .pw-stage"
STATE = "document.querySelector('#viewer .pw').pixelwise"


def open_page(page, url) -> list[str]:
    """Open the page and wait for its example; returns the addresses that it asked for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_selector("#viewer .pw[data-state=ready]")
    page.wait_for_selector("#photo .ph-invite:not([hidden])")
    return asked


def read(page, expression: str):
    """An expression of the viewer's own, `v`."""
    return page.evaluate(f"(v => {expression})({STATE})")


def give(page, file, key: str | None = None) -> None:
    """Give the page a photo, and wait for its labels."""
    before = read(page, "v.value?.id ?? null")
    page.set_input_files("#photo input[type=file]", file)
    page.wait_for_function(
        f"old => {STATE}.value && {STATE}.value.id !== old && "
        "document.querySelector('#viewer .pw').dataset.busy === 'false'",
        arg=before,
    )


def picture(size=(192, 128), kind="JPEG", paint: Callable | None = None, **options) -> bytes:
    """A file of a picture: red at the left, blue at the right, the upper edge green."""
    image = Image.new("RGB", size, "#d02020")
    image.paste("#2020d0", (size[0] // 2, 0, *size))
    image.paste("#20c020", (0, 0, size[0], size[1] // 4))
    if paint:
        paint(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def box_of(page, selector: str) -> dict[str, float] | None:
    """Where an element is on the screen: x, y, width, height."""
    return page.locator(selector).first.bounding_box()


def is_on_screen(page, selector: str) -> bool:
    """Whether the whole of an element lies within the window."""
    box, size = box_of(page, selector), page.viewport_size
    return (
        box is not None
        and box["x"] >= -0.5
        and box["y"] >= -0.5
        and box["x"] + box["width"] <= size["width"] + 0.5
        and box["y"] + box["height"] <= size["height"] + 0.5
    )
