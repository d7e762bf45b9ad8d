"""Make the README's screenshots from the running app: `python -m docs.screenshots`.

"preview" is the image that chats show of a link to the page (`page/static/preview.jpg`).

Needs the development requirements and a Chromium. `--model` chooses the model, `--out` the folder.
"""

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from page.http.link_preview import PICTURE_SIZE
from tests.helpers.chromium import launch_options
from tests.helpers.server import ROOT, running_app

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SCREENS = {
    "page-light": {"viewport": {"width": 1440, "height": 960}, "color_scheme": "light"},
    "page-dark": {"viewport": {"width": 1440, "height": 960}, "color_scheme": "dark"},
    "phone-light": {**PHONE, "color_scheme": "light"},
    "phone-dark": {**PHONE, "color_scheme": "dark"},
    "classroom": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "preview": {
        "viewport": dict(zip(("width", "height"), PICTURE_SIZE, strict=True)),
        "color_scheme": "light",
    },
}
PREVIEW = {"path": ROOT / "page" / "static" / "preview.jpg", "type": "jpeg", "quality": 80}
LABELLED = """() => {
  const viewer = document.querySelector("#viewer .pw");
  return viewer.dataset.busy === "false" && viewer.pixelwise.value?.id !== "example";
}"""
"""The labels of our photo show, and no longer those of the example."""


def label(page: Page, url: str, photo: Path) -> None:
    """Open the page, upload the photo, wait for its labels and pin a pixel."""
    page.goto(url)
    page.wait_for_function("document.querySelector('#photo .ph')?.photoInput")
    page.set_input_files("#photo input[type=file]", photo)
    page.wait_for_function(LABELLED, timeout=120_000)
    stage = page.locator("#viewer .pw-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.45)
    page.wait_for_selector("#viewer .pw-card[data-state=ready]", timeout=30_000)
    page.wait_for_timeout(600)


def open_sampling_view(page: Page) -> None:
    """Open the classroom's third view of the labelled photo and wait for its sampling points."""
    page.get_by_role("tab", name="Classroom").click()
    page.click(".cl-step[data-view='3']")
    frame = page.locator("#cl-picker .cl-frame")
    box = frame.bounding_box()
    frame.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.45})
    page.click("#cl-open")
    page.wait_for_selector("#cl-board-3 circle.cl-tap", state="attached", timeout=60_000)
    page.wait_for_timeout(600)


def main() -> None:
    """Run the command line: take the screenshots."""
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--model", default="embedded")
    parse.add_argument("--photo", type=Path, default=ROOT / "examples" / "chelsea.jpg")
    parse.add_argument("--out", type=Path, default=ROOT / "docs")
    parse.add_argument("--only", choices=SCREENS, nargs="*", default=list(SCREENS))
    options = parse.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app("--model", options.model, folder=Path(folder)) as url,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(**launch_options())
        for name in options.only:
            viewport = SCREENS[name]["viewport"]
            page = browser.new_context(**SCREENS[name]).new_page()
            label(page, url, options.photo)
            if name == "classroom":
                open_sampling_view(page)
            if name == "preview":
                page.screenshot(**PREVIEW)
            else:
                narrow = viewport["width"] < 900
                page.screenshot(path=options.out / f"{name}.png", full_page=narrow)
            page.context.close()
        browser.close()


if __name__ == "__main__":
    main()
