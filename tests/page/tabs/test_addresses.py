"""What is open is in the address: links, Back and Forward, and a reload bring it back."""

import io
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser
SHOWS = """([height, width]) => {
    const map = document.querySelector("#viewer .pw")?.pixelwise?.map;
    return map && map.height === height && map.width === width;
}"""


def asked(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def labelled(page, height: int, width: int) -> None:
    page.wait_for_function(SHOWS, arg=[height, width])


def selected(page, name: str) -> None:
    page.locator(f"[role=tab][aria-selected=true]:has-text('{name}')").first.wait_for()


def own_photo() -> dict:
    data = io.BytesIO()
    Image.fromarray(np.full((60, 90, 3), 128, np.uint8)).save(data, "PNG")
    return {"name": "mine.png", "mimeType": "image/png", "buffer": data.getvalue()}


def test_links_back_forward_and_reload(page, app_url):
    page.goto(f"{app_url}/?go=lesson-3&photo=astronaut&__theme=dark")
    selected(page, "Classroom")
    page.locator("#classroom .cl-step[data-view='3'][aria-current=step]").wait_for()
    labelled(page, 512, 512)
    page.locator("#classroom .cl-step[data-view='5']").click()
    page.wait_for_url("**go=lesson-5**")
    page.get_by_role("tab", name="Label").first.click()
    page.wait_for_function("!location.search.includes('go=')")
    assert asked(page) == {"photo": "astronaut", "__theme": "dark"}
    page.go_back()
    selected(page, "Classroom")
    page.go_back()
    page.locator("#classroom .cl-step[data-view='3'][aria-current=step]").wait_for()
    page.go_forward()
    page.go_forward()
    selected(page, "Label")

    page.set_input_files(".ph-file", own_photo())
    labelled(page, 60, 90)
    page.wait_for_function("!location.search.includes('photo=')")
    page.locator("#examples .ex-item[data-photo=chelsea]").click()
    page.wait_for_url("**photo=chelsea**")
    labelled(page, 300, 451)
    page.go_back()
    labelled(page, 60, 90)
    assert "photo" not in asked(page)
    page.go_forward()
    labelled(page, 300, 451)
    page.go_back()
    labelled(page, 60, 90)
    page.locator("#viewer .pw-opacity").fill("30")
    page.locator("#viewer [data-act=names]").click()
    page.locator("#viewer [data-setting=palette] label", has_text="VOC").click()
    page.reload()
    labelled(page, 60, 90)  # from this tab's session storage, as the looks
    page.wait_for_function(
        "document.querySelector('#viewer .pw').pixelwise.settings.opacity < 0.31"
    )
    looks = page.evaluate(
        "(({ names, palette }) => [names, palette])"
        "(document.querySelector('#viewer .pw').pixelwise.settings)"
    )
    assert looks == [False, "voc"]
    assert asked(page) == {"__theme": "dark"}


def test_an_address_that_names_nothing_opens_the_page(page, app_url):
    page.goto(f"{app_url}/?go=constructor&photo=no-such&model=none")
    selected(page, "Label")
    page.locator("#examples .ex-item").first.wait_for()
    assert page.locator("#viewer .pw").get_attribute("data-state") in ("empty", "ready")
