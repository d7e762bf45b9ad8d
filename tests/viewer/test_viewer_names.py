"""The names on the picture, in a headless Chromium."""

import io

import numpy as np
import pytest
from PIL import Image

from helpers.viewer_driver import CAT, DOG, PERSON, color

pytestmark = pytest.mark.browser

NAMES = """() => [...document.querySelectorAll('.pw-name-here')].map(e => {
  const r = e.firstChild.getBoundingClientRect();
  return [e.textContent, r.left, r.top, r.right, r.bottom];
})"""


def names_of(viewer):
    """[text, left, top, right, bottom] of each name on the page, once they stand still."""
    viewer.page.wait_for_timeout(400)
    return viewer.page.evaluate(NAMES)


def assert_names_go(viewer):
    """They follow a change once it is over, which a busy machine may delay."""
    for _ in range(20):
        if not names_of(viewer):
            return
    raise AssertionError("the names stay")


def saved_picture(viewer):
    data = viewer.download("picture")[1]
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def region_under(viewer, x, y):
    """The class index of the photo's pixel at a point of the page."""
    view, box = viewer.read("v.view"), viewer.stage.bounding_box()
    row = int((y - box["y"] - view["top"]) / view["scale"])
    column = int((x - box["x"] - view["left"]) / view["scale"])
    return viewer.app.results["first"][0].class_map[row, column]


def assert_well_placed(viewer, found):
    """Every name lies in its class, on the stage, and on no other name."""
    names = {"Person": PERSON, "Cat": CAT, "Dog": DOG}
    stage = viewer.stage.bounding_box()
    for text, left, top, right, bottom in found:
        assert left >= stage["x"] - 1
        assert top >= stage["y"] - 1
        assert right <= stage["x"] + stage["width"] + 1
        assert bottom <= stage["y"] + stage["height"] + 1
        if text in names:
            points = [(x, y) for x in np.linspace(left, right, 7) for y in (top + 3, bottom - 3)]
            inside = [region_under(viewer, x, y) == names[text] for x, y in points]
            assert np.mean(inside) > 0.8, text
            assert region_under(viewer, (left + right) / 2, (top + bottom) / 2) == names[text]
    for i, (_, left, top, right, bottom) in enumerate(found):
        for _, other_left, other_top, other_right, other_bottom in found[:i]:
            apart = right <= other_left or other_right <= left
            assert apart or bottom <= other_top or other_bottom <= top


def test_large_regions_carry_their_names_and_follow_the_view(viewer):
    found = names_of(viewer)
    assert {"Person", "Cat", "Dog"} <= {name[0] for name in found}
    assert not {"Background", "Everything else"} & {name[0] for name in found}
    assert_well_placed(viewer, found)
    before = viewer.read("v.names")
    viewer.page.click("[data-act=zoom-in]")
    moved = viewer.page.evaluate(NAMES)  # at once with the view, at the same place of the photo
    assert moved[0][1:] != found[0][1:]
    x, y = viewer.place(before[0]["row"] - 0.5, before[0]["column"] - 0.5)
    _, left, top, right, bottom = moved[0]
    assert abs((left + right) / 2 - x) < 1.5
    assert abs((top + bottom) / 2 - y) < 1.5
    assert_well_placed(viewer, names_of(viewer))  # then where there is most room
    viewer.page.click("[data-act=fit]")
    viewer.row(CAT).click()
    assert "Cat" not in {name[0] for name in names_of(viewer)}


def test_names_have_a_switch_and_are_in_the_saved_picture(viewer):
    button = viewer.page.locator("[data-act=names]")
    assert button.get_attribute("aria-pressed") == "true"
    assert names_of(viewer)
    viewer.slide(".pw-opacity", 0)
    assert_names_go(viewer)  # nothing at all lies on the photo then
    viewer.slide(".pw-opacity", 100)
    with_names = saved_picture(viewer)
    button.click()
    assert_names_go(viewer)
    without = saved_picture(viewer)
    changed = np.abs(with_names - without).max(axis=-1) > 8
    assert 0.002 < changed.mean() < 0.1
    result, _ = viewer.app.results["first"]
    assert (result.class_map[changed] != 0).all()  # in the regions, not beside them
    white = (with_names[changed] > 240).all(axis=-1).sum()
    dark = (with_names[changed] < 70).all(axis=-1).sum()
    assert min(white, dark) > 20


def test_a_name_is_legible_on_its_colour(viewer):
    viewer.choose("fill")
    viewer.slide(".pw-opacity", 100)
    _, left, top, right, bottom = next(n for n in names_of(viewer) if n[0] == "Dog")
    clip = {"x": left - 4, "y": top - 4, "width": right - left + 8, "height": bottom - top + 8}
    seen = np.asarray(Image.open(io.BytesIO(viewer.page.screenshot(clip=clip))).convert("RGB"))
    light, dark = (seen > 225).all(axis=-1), (seen.astype(int) < 90).all(axis=-1)
    assert light.mean() > 0.05  # the letters, on the bright yellow of a dog
    assert dark.mean() > 0.05  # and what parts them from it
    yellow = np.abs(seen.astype(int) - color(DOG)).max(axis=-1) < 30
    beside = np.roll(light, 1, 0) | np.roll(light, -1, 0) | np.roll(light, 1, 1)
    assert (yellow & beside)[2:-2, 2:-2].sum() < 0.1 * light.sum()
