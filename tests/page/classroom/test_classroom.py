"""Each view of the classroom, driven once in a real browser, with a network of random weights."""

import json
import re

import pytest
import torch

from helpers.server import running_app
from segmentation.categories import VOC_CATEGORIES
from segmentation.networks.deeplabv3plus import deeplabv3plus_resnet18

pytestmark = pytest.mark.browser

CARD = {
    "name": "random weights",
    "categories": list(VOC_CATEGORIES),
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "resize": 64,
}


# Run within the page: a fast network would finish before a click from outside arrives.
STOP_AT_ONCE = """() => new Promise((done) => {
  new MutationObserver((_, observer) => {
    if (!document.querySelector("#cl-board-6 .cl-status")) return;
    observer.disconnect();
    document.querySelector("#cl-walk-stop").click();
    done();
  }).observe(document.body, { subtree: true, childList: true });
  document.querySelector("#cl-walk").click();
})"""


@pytest.fixture(scope="module")
def app_url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classroom")
    torch.manual_seed(0)
    torch.save(deeplabv3plus_resnet18().state_dict(), folder / "random.pth")
    (folder / "random.json").write_text(json.dumps(CARD))
    weights = str(folder / "random.pth")
    arguments = ("--model", "deeplabv3plus_resnet18", "--weights", weights)
    with running_app(*arguments, folder=folder) as url:
        yield url


@pytest.fixture(scope="module")
def room(browser, app_url):
    """The classroom with a labelled example photo and a selected pixel, shared by all tests."""
    errors = []
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(90_000)  # for a loaded machine
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(app_url)
    page.get_by_role("tab", name="Classroom").click()
    page.wait_for_selector("#cl-picker .cl-empty")
    assert "Label a photo first" in page.inner_text("#cl-picker")
    page.get_by_role("button", name="Astronaut", exact=True).click()
    page.wait_for_selector("#cl-picker .cl-picker", timeout=60_000)
    yield page
    context.close()
    assert not errors


def view(page, number: int) -> None:
    page.click(f".cl-step[data-view='{number}']")
    page.wait_for_selector(f"#cl-view-{number}", state="visible")


def board(page, number: int, found: str) -> str:
    """Return the text of a view's board once it contains `found`."""
    page.wait_for_selector(f"#cl-board-{number} {found}", timeout=60_000)
    return page.inner_text(f"#cl-board-{number}")


def choose_pixel(page) -> None:
    if page.locator("#cl-bars .pb[data-state=ready]").count():
        return
    frame = page.locator("#cl-picker .cl-frame")
    box = frame.bounding_box()
    frame.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.5})
    page.wait_for_selector("#cl-bars .pb[data-state=ready]")


def test_one_of_three_pictures_lights_up_the_others(room):
    view(room, 1)
    assert "deeplabv3plus_resnet18 (DeepLabV3+)" in board(room, 1, ".cl-mask")
    link = room.get_attribute("#cl-board-1 .cl-mask >> nth=0", "data-link")
    room.hover(f"#cl-board-1 .cl-scores [data-link={link}]")
    lit = room.locator(f"#cl-board-1 .cl-on[data-link={link}]")
    assert lit.count() >= 3
    assert room.locator(f"#cl-board-1 .cl-on:not([data-link={link}])").count() == 0


def test_a_click_shows_the_pixels_distribution_and_pins_every_photo(room):
    view(room, 2)
    choose_pixel(room)
    y, x = re.search(r"Row (\d+), column (\d+)", room.inner_text("#cl-bars")).groups()
    assert (int(y), int(x)) == pytest.approx((256, 256), abs=2)
    assert "Entropy" in room.inner_text("#cl-bars")
    assert room.locator("#cl-board-2 .cl-pin").count() == 3
    room.get_by_label("Heat map of").click()
    room.get_by_role("option", name="cow", exact=True).click()
    room.wait_for_function(
        "document.querySelector('#cl-board-2').innerText.includes('cow at most')"
    )
    room.locator("#cl-picker .cl-frame").press("ArrowRight")
    moved = f"document.querySelector('#cl-bars').innerText.includes('column {int(x) + 5}')"
    room.wait_for_function(moved)  # one per cent of 512


def test_the_microscope_shows_taps_and_answers_to_its_switches(room):
    view(room, 3)
    choose_pixel(room)
    room.click("#cl-open")
    text = board(room, 3, ".cl-taps")
    assert "0 % of the pixels changed" in text
    assert "The feature map has 4 × 4 cells at stride 16" in text
    assert room.locator("#cl-board-3 circle.cl-tap").count() == 1 + 3 * 9
    room.get_by_label("rate 12").uncheck()
    room.wait_for_function(
        "document.querySelector('#cl-board-3').innerText.includes('Without rate')"
    )
    assert room.locator("#cl-board-3 circle.cl-tap").count() == 1 + 2 * 9


def test_the_gradient_is_drawn_with_both_boxes(room):
    view(room, 4)
    choose_pixel(room)
    room.click("#cl-trace")
    text = board(room, 4, ".cl-facts")
    assert "How much each pixel moves the logit of" in text
    assert "The network saw\n64 × 64 px" in text
    assert room.locator("#cl-board-4 .cl-effect-box").count() == 1


def test_the_stages_carry_sizes_and_the_skip_can_be_cut(room):
    view(room, 5)
    room.click("#cl-dissect")
    text = board(room, 5, ".cl-linked")
    assert re.search(r"layer3 encoder: 256 channels of 4 × 4 cells, stride 16", text)
    assert "With and without the skip connection" in text
    assert re.search(r"% of the pixels changed", text)


def test_the_walk_through_sizes_stops_when_told_and_ends_with_a_chart(room):
    view(room, 6)
    room.evaluate(STOP_AT_ONCE)
    room.wait_for_selector("#cl-board-6 .cl-status", state="detached")
    room.wait_for_timeout(500)
    assert room.locator("#cl-board-6 .cl-chart").count() == 0
    room.click("#cl-walk")
    text = board(room, 6, ".cl-chart")
    assert all(f"{size} px" in text for size in (130, 260, 520, 780, 1040))
    assert room.locator("#cl-board-6 .cl-bar").count() == 5


def test_two_models_are_compared_under_one_pointer(room):
    view(room, 7)
    room.click("#cl-contest")
    text = board(room, 7, ".cl-table")
    assert "They disagree on" in text
    assert "Share of pixels on which two agree" in text
    room.hover("#cl-board-7 .cl-linked .cl-frame >> nth=0")
    assert room.locator("#cl-board-7 .cl-linked .cl-ring").count() == 2


def test_a_painting_is_graded(room):
    view(room, 8)
    room.wait_for_selector(".cl-painter[data-state=ready]")
    room.locator(".cl-canvas").scroll_into_view_if_needed()
    box = room.locator(".cl-canvas").bounding_box()
    corners = [(0.05, 0.05), (0.7, 0.05), (0.7, 0.5), (0.7, 0.95), (0.05, 0.95), (0.05, 0.07)]
    for i, (x, y) in enumerate(corners):
        room.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y, steps=3)
        if i == 0:
            room.mouse.down()
    room.mouse.up()
    room.click("[data-act=grade]")
    text = board(room, 8, ".cl-grade")
    assert "You against the truth" in text
    assert "The network against the truth" in text
    ious = [float(value) for value in re.findall(r"IoU (\d\.\d\d)", text)]
    assert len(ious) == 3
    assert ious[1] > 0.5  # the rectangle covers most of the person


def test_breaking_shows_before_after_and_the_share(room):
    view(room, 9)
    room.click("#cl-break-rotate_180")
    assert re.search(r"Rotate 180°: [\d.]+ % of the pixels", board(room, 9, ".cl-pair"))
    room.click("#cl-foreign-coffee")
    room.wait_for_selector("#cl-board-foreign .cl-note", timeout=60_000)
    assert "A cup is not among the 20 classes" in room.inner_text("#cl-board-foreign")


def test_terms_open_by_keyboard_and_the_projector_stays_on(room):
    view(room, 3)
    room.locator("#cl-view-3 .cl-term", has_text="ASPP").first.focus()
    room.keyboard.press("Enter")
    assert room.is_visible("#cl-term-aspp")
    assert "Atrous spatial pyramid pooling" in room.inner_text("#cl-term-aspp")
    room.keyboard.press("Escape")
    assert not room.is_visible("#cl-term-aspp")
    size = "parseFloat(getComputedStyle(document.documentElement).fontSize)"
    before = room.evaluate(size)
    room.click(".cl-projector")
    assert room.evaluate(size) >= before * 1.3
    room.reload()
    room.wait_for_selector("html.pw-projector")
    room.get_by_role("tab", name="Classroom").click()
    room.click(".cl-projector[aria-pressed=true]")
    assert room.evaluate(size) == before


def test_nothing_overflows_on_a_phone(browser, app_url):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(app_url)
    page.get_by_role("tab", name="Classroom").click()
    page.get_by_role("button", name="Astronaut", exact=True).click()
    page.wait_for_selector("#cl-board-1 .cl-scores", timeout=60_000)
    for number in range(1, 10):
        view(page, number)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, number
    context.close()
