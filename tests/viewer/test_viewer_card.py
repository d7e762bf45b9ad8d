"""The pin and its card, in a headless Chromium."""

import numpy as np
import pytest

from helpers.viewer_driver import CAT, DOG, INSIDE, PERSON, shown_name

pytestmark = pytest.mark.browser

BOX = "e => {const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]}"


def card_of(viewer):
    return viewer.page.locator(".pw-card")


def box_of(locator):
    return locator.evaluate(BOX)


def ready(viewer):
    viewer.page.wait_for_selector(".pw-card[data-state=ready]")


def assert_beside(viewer, x, y):
    """The card lies on the stage and not on the pixel."""
    left, top, right, bottom = box_of(card_of(viewer))
    stage = box_of(viewer.stage)
    assert left >= stage[0]
    assert top >= stage[1]
    assert right <= stage[2]
    assert bottom <= stage[3]
    assert not (left <= x <= right and top <= y <= bottom)


def sentence(result, row, column):
    """The verdict's words, reckoned anew."""
    shares = result.probabilities_at(row, column)
    first, second, *_ = np.argsort(-shares, kind="stable")
    nouns = [f"a {name}" for name in result.categories]
    nouns[0] = "nothing that it knows"
    name, other = nouns[first], nouns[second]
    if shares[first] >= 0.9:
        return f"{name}. The model is sure."
    if shares[first] - shares[second] < 0.1 and shares[first] + shares[second] >= 0.5:
        return f"{name} or {other}: it cannot decide."
    if shares[first] < 0.5:
        return f"It does not really know. Its best guess is {result.categories[first]}."
    return f"{name}, probably."


def test_a_click_is_answered_beside_the_pixel(viewer, viewer_app):
    page, (result, _) = viewer.page, viewer_app.results["first"]
    for index in (DOG, PERSON, CAT, 0):
        x, y, row, column = viewer.spot(index)
        page.mouse.click(x, y)
        # At once, from the map; the rest when the server has answered.
        assert card_of(viewer).is_visible()
        ready(viewer)
        assert_beside(viewer, x, y)
        verdict = page.locator(".pw-card-verdict").inner_text()
        assert verdict.lower() == sentence(result, row, column).lower()
        shares = result.probabilities_at(row, column)
        order = np.argsort(-shares, kind="stable")
        rows = page.locator(".pw-answer")
        assert rows.count() == 3
        names = [one.lower() for one in page.locator(".pw-answer-name").all_inner_texts()]
        assert names == [shown_name(result.categories[i]).lower() for i in order[:3]]
        number = page.locator(".pw-card-number").inner_text()
        assert number in (f"{shares[order[0]] * 100:.0f} %", ">99 %")
        assert page.locator(".pw-answer-share").first.inner_text() == number
        assert page.get_by_text("Sure does not mean right.").is_visible()
    assert viewer_app.pins[0] == {"y": viewer.spot(DOG)[2], "x": viewer.spot(DOG)[3], "id": "first"}
    marker = page.locator(".pw-pin").bounding_box()
    assert abs(marker["x"] + marker["width"] / 2 - x) <= 1
    assert abs(marker["y"] + marker["height"] / 2 - y) <= 1


def test_the_first_sentence_needs_no_server(viewer, viewer_app):
    page, (result, _) = viewer.page, viewer_app.results["first"]
    held = []
    page.route("**/gradio_api/**", lambda route: held.append(route))
    x, y, row, column = viewer.spot(DOG)
    page.mouse.click(x, y)
    assert card_of(viewer).get_attribute("data-state") == "waiting"
    assert "dog" in page.locator(".pw-card-verdict").inner_text()
    assert page.locator(".pw-card-number").inner_text().endswith(" %")
    names = page.locator(".pw-answer-name").all_inner_texts()
    assert [name.lower() for name in names[:2]] == [
        shown_name(result.categories[i])
        for i in (result.class_map[row, column], result.runner_up[row, column])
    ]
    before = box_of(card_of(viewer))
    page.wait_for_timeout(100)
    for route in held:
        route.continue_()
    page.unroute("**/gradio_api/**")
    ready(viewer)
    after = box_of(card_of(viewer))
    assert after[3] - after[1] == pytest.approx(before[3] - before[1], abs=24)  # hardly a jump


def test_why_opens_all_answers_in_the_classes_colours(viewer, viewer_app):
    page, (result, _) = viewer.page, viewer_app.results["first"]
    x, y, row, column = viewer.spot(DOG)
    page.mouse.click(x, y)
    ready(viewer)
    why = page.get_by_role("button", name="Why?")
    assert why.get_attribute("aria-expanded") == "false"
    why.click()
    assert why.get_attribute("aria-expanded") == "true"
    rows = page.locator(".pw-answer")
    assert rows.count() == 21
    shares = result.probabilities_at(row, column)
    order = np.argsort(-shares, kind="stable")
    width = "e => e.getBoundingClientRect().width / e.parentElement.getBoundingClientRect().width"
    drawn = [rows.nth(i).locator(".pw-answer-fill").evaluate(width) for i in range(21)]
    assert np.allclose(drawn, shares[order], atol=0.01)
    colors = [category["safe"] for category in viewer.read("v.value.categories")]
    for i in range(3):
        shade = (
            rows.nth(i)
            .locator(".pw-answer-fill")
            .evaluate("e => getComputedStyle(e).backgroundColor")
        )
        if order[i]:
            wanted = bytes.fromhex(colors[order[i]][1:])
            assert shade == f"rgb({wanted[0]}, {wanted[1]}, {wanted[2]})"
    assert_beside(viewer, x, y)
    why.click()
    assert rows.count() == 3
    for word in ("margin", "entropy", "bits"):
        assert word not in card_of(viewer).inner_text().lower()


def test_the_card_is_there_in_full_screen_and_follows_the_view(viewer):
    page = viewer.page
    page.click("[data-act=full]")
    page.wait_for_function("() => document.fullscreenElement")
    page.wait_for_timeout(150)
    x, y, row, column = viewer.spot(CAT)
    page.mouse.click(x, y)
    ready(viewer)
    assert_beside(viewer, x, y)
    assert page.evaluate(
        """() => {
          const {left, top} = document.querySelector('.pw-card').getBoundingClientRect();
          return Boolean(document.elementFromPoint(left + 9, top + 9).closest('.pw-card'));
        }"""
    )
    viewer.stage.focus()
    page.keyboard.press("+")
    assert_beside(viewer, *viewer.place(row, column))
    page.keyboard.press("0")
    page.click("[data-act=full]")
    page.wait_for_function("() => !document.fullscreenElement")
    page.wait_for_timeout(150)
    assert_beside(viewer, *viewer.place(row, column))


def test_keys_move_the_pin_reach_the_card_and_close_it(viewer, viewer_app):
    page = viewer.page
    x, y, row, column = viewer.spot(CAT)
    page.mouse.click(x, y)
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "Shift+ArrowUp"):
        page.keyboard.press(key)
    wanted = {"y": row - 8, "x": column - 1, "id": "first"}
    page.wait_for_function(
        "text => document.querySelector('.pw-sr-status').innerText.startsWith(text)",
        arg=f"Row {row - 8}, column {column - 1}:",
    )
    ready(viewer)
    assert viewer_app.pins[-1] == wanted
    assert len(viewer_app.pins) < 7  # several keys in a row ask once
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Close"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.className") == "pw-stage"
    page.keyboard.press("Escape")
    assert not card_of(viewer).is_visible()
    assert viewer.read("v.pin") is None
    page.keyboard.press("Enter")
    ready(viewer)
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")  # the same pixel once more: answered as well
    ready(viewer)
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert not card_of(viewer).is_visible()
    assert page.evaluate("document.activeElement.className") == "pw-stage"
    page.mouse.click(x, y)
    page.locator(".pw-card-only").click()
    assert "cat" not in viewer.read("v.hidden")
    assert "person" in viewer.read("v.hidden")
    page.get_by_role("button", name="Close").click()
    assert viewer.read("v.pin") is None


@pytest.mark.parametrize("index", INSIDE)
def test_on_a_phone_the_answer_is_a_sheet_at_the_bottom(phone, index):
    page = phone.page
    x, y, row, column = phone.spot(index)
    page.touchscreen.tap(x, y)
    ready(phone)
    page.wait_for_timeout(100)
    left, top, right, bottom = box_of(card_of(phone))
    assert (left, right, bottom) == (0, 390, 844)
    assert top > 844 * 0.4
    page.wait_for_timeout(400)
    x, y = phone.place(row, column)
    assert 0 < y < top  # the pixel is still to be seen
    page.locator(".pw-card-why").tap()
    y, top = phone.place(row, column)[1], box_of(card_of(phone))[1]
    assert 0 < y < top
    page.locator(".pw-card-why").tap()
    buttons = page.locator(".pw-card button:visible")
    for i in range(buttons.count()):
        box = buttons.nth(i).bounding_box()
        assert min(box["width"], box["height"]) >= 44
    page.get_by_role("button", name="Close").tap()
    assert not card_of(phone).is_visible()
