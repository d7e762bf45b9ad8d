"""The page as a visitor finds it: an example that is alive, one way in, and the picture first."""

import re

import pytest

from helpers.photo_page import box_of, give, is_on_screen, open_page, read
from page.tabs.examples import EXAMPLES, examples_folder

pytestmark = pytest.mark.browser
ANSWER = "#bars .pb, #viewer .pw-card"
FIRST_ANSWER = "#bars .pb-bars li, #viewer .pw-answer"
SCREENS = {
    "phone": (390, 844),
    "phone on its side": (844, 390),
    "tablet": (820, 1180),
    "small screen": (1024, 768),
    "laptop": (1280, 720),
}
ON_SCREEN = ("#viewer .pw-stage", "#viewer .pw-summary", "#photo [data-act=choose]")


@pytest.fixture(params=SCREENS)
def screen(request, browser, built_in_url):
    """The page on a screen of each kind, with its example."""
    width, height = SCREENS[request.param]
    hand = min(width, height) < 500
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=hand, is_mobile=hand
    )
    page = context.new_page()
    open_page(page, built_in_url)
    yield page
    context.close()


def test_the_example_is_alive_without_a_call(page, built_in_url):
    asked = open_page(page, built_in_url)
    assert read(page, "v.value.id") == "example"
    box = box_of(page, "#viewer .pw-stage")
    page.mouse.move(box["x"] + box["width"] * 0.42, box["y"] + box["height"] * 0.35)
    page.wait_for_selector("#viewer .pw-readout:not([hidden]) :text('dog')")
    page.locator("#viewer .pw-opacity").fill("20")
    assert read(page, "v.settings.opacity") == pytest.approx(0.2)
    assert not [url for url in asked if re.search(r"/queue/(join|data)|/run/", url)]
    page.mouse.click(box["x"] + box["width"] * 0.42, box["y"] + box["height"] * 0.35)
    page.wait_for_selector(f":is({ANSWER})[data-state=ready]")
    assert page.locator(FIRST_ANSWER).first.inner_text().lower().startswith("dog")
    assert not [url for url in asked if "/queue/" in url]


def test_the_page_invites_and_says_what_becomes_of_a_photo(page, built_in_url):
    open_page(page, built_in_url)
    said = page.locator("#sidebar").inner_text()
    assert "This is an example. Point anywhere. Then try yours." in said
    assert "nowhere else, and is deleted within an hour." in said
    assert re.search(r"The built-in model is good at cats, .+ and .+; less so at the rest\.", said)
    assert "Built-in model · details" in said
    assert page.locator("input[type=file]:visible").count() == 1  # and that one is unseen
    assert box_of(page, "#photo input[type=file]")["width"] <= 1
    assert page.locator("#curious #model").is_visible() is False


def test_examples_are_labelled_thumbnails_with_names(page, built_in_url):
    asked = open_page(page, built_in_url)
    items = page.locator("#examples .ex-item")
    assert items.all_inner_texts() == [example.title for example in EXAMPLES]
    tricky = page.locator("#examples .ex-item[data-tricky]").all_inner_texts()
    assert tricky == ["Cup", "Rocket"]
    assert "sure does not mean right" in items.last.get_attribute("title")
    loaded = page.evaluate(
        "[...document.querySelectorAll('#examples img')].map(i => i.naturalWidth)"
    )
    assert loaded == [160] * len(EXAMPLES)
    photos = {path.name for path in examples_folder().glob("*.jpg")} - {"dogs.jpg"}
    assert not [url for url in asked if url.rsplit("/", 1)[-1] in photos]


def test_the_picture_and_the_button_are_on_the_screen(screen):
    for selector in (*ON_SCREEN, "#photo [data-act=take]", "#photo .ph-invite"):
        assert is_on_screen(screen, selector), selector
    give(screen, examples_folder() / "chelsea.jpg")
    screen.wait_for_timeout(300)
    for selector in ON_SCREEN:
        assert is_on_screen(screen, selector), selector
    assert screen.locator("#photo [data-act=choose]").inner_text() == "New photo"
    small = screen.viewport_size["width"] <= 900
    assert screen.locator("#photo .ph-invite").is_hidden() == small
    assert screen.locator("#model").is_visible() is False  # closed, under "For the curious"
    stage, photo = box_of(screen, "#viewer .pw-stage"), box_of(screen, "#photo .ph-actions")
    if small:
        assert stage["y"] < screen.viewport_size["height"] / 3
    apart = photo["y"] >= stage["y"] + stage["height"] or photo["x"] + photo["width"] <= stage["x"]
    assert apart, "the buttons cover the picture"
    assert screen.evaluate("document.documentElement.scrollWidth") <= screen.viewport_size["width"]


def test_on_a_large_screen_nothing_moves(page, built_in_url):
    open_page(page, built_in_url)
    places = ["#photo [data-act=choose]", "#examples", "#viewer .pw-stage"]
    before = [box_of(page, one) for one in places]
    page.set_input_files("#photo input[type=file]", examples_folder() / "dogs.jpg")
    page.wait_for_function("document.querySelector('#photo .ph').dataset.state === 'after'")
    after = [box_of(page, one) for one in places]
    for old, new in zip(before, after, strict=True):
        assert (new["x"], new["y"]) == pytest.approx((old["x"], old["y"]), abs=1)


def test_the_end_of_the_page_is_not_behind_the_buttons(browser, built_in_url):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    open_page(page, built_in_url)
    page.evaluate("window.scrollTo(0, 1e6)")
    page.wait_for_timeout(600)
    last, bar = box_of(page, "#curious"), box_of(page, "#photo")
    assert last["y"] + last["height"] <= bar["y"]
    context.close()


def test_details_open_what_is_for_the_curious(page, built_in_url):
    open_page(page, built_in_url)
    give(page, examples_folder() / "chelsea.jpg")
    assert re.fullmatch(r"Built-in model · \d+\.\d s · details", page.inner_text("#chip").strip())
    page.click("#chip [data-act=details]")
    page.locator("#model input").wait_for()
    assert page.locator("#model input").input_value() == "The small built-in model"
    assert "embedded on cpu in float32" in page.inner_text("#run-facts")
    page.get_by_label("How large the model sees your photo").click()
    options = page.get_by_role("option").all_inner_texts()
    assert options[0].endswith("the size it was trained for (best)")
    assert all("for experiments: often worse" in one for one in options[2:])
