"""What the viewer draws: opacity, contours, threshold, palette; numbers are the issue's points."""

import numpy as np
import pytest

from benchmarks.speed.viewer import MEASURE
from helpers.viewer_driver import PERSON, color, edge_of, near, shown_name
from segmentation.palette import voc_palette

pytestmark = pytest.mark.browser


# 3. Opacity, drawing, background.


def test_3_opacity_fill_contour_both_and_the_background(viewer):
    viewer.mark_unsure(False)
    for percent in (0, 35, 100):
        viewer.slide(".pw-opacity", percent)
        assert viewer.at(PERSON)[3] == round(percent * 2.55)
        words = {0: "none", 35: "faint", 100: "strong"}[percent]
        assert viewer.page.locator(".pw-opacity-value").inner_text() == words
    assert viewer.at(PERSON)[:3] == color(PERSON)
    y, edge = edge_of(viewer, PERSON)
    beyond = edge + 1 / viewer.read("v.view.scale")  # the next pixel of the canvas
    viewer.slide(".pw-opacity", 50)
    light, dark = viewer.pixel(y, edge), viewer.pixel(y, beyond)
    assert near(light[:3], [255, 255, 255])
    assert near(dark[:3], [15, 23, 42])
    assert light[3] == dark[3] == pytest.approx(255 * (1 - 0.5**3), abs=1)
    viewer.choose("fill")
    assert viewer.pixel(y, edge)[3] == 128
    viewer.choose("contour")
    assert viewer.at(PERSON)[3] == 0
    assert (viewer.pixel(y, edge), viewer.pixel(y, beyond)) == (light, dark)
    strip = viewer.pixel(y, edge - 1 / viewer.read("v.view.scale"))
    assert near(strip[:3], color(PERSON))
    assert viewer.at(0)[3] == 0
    viewer.choose("dimmed")
    assert viewer.at(0)[3] > 100
    viewer.choose("clear")
    assert viewer.at(0)[3] == 0


# 4. Threshold.


def test_4_pixels_below_the_threshold_are_hatched_and_counted(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    levels = np.rint(result.confidence * 255)
    viewer.choose("fill")
    sure_y, sure_x = viewer.spot(PERSON)[2:]
    inside = (result.class_map == PERSON) & (levels < 0.8 * 255 - 4)
    unsure_y, unsure_x = np.argwhere(inside)[len(np.argwhere(inside)) // 2].tolist()
    plain = viewer.pixel(sure_y, sure_x)
    viewer.slide(".pw-threshold", 80)
    unsure = viewer.page.locator(".pw-unsure")
    count = int((levels * 100 < 80 * 255).sum())
    assert unsure.locator(".pw-count").inner_text() == f"{count:,} pixels"
    assert unsure.locator(".pw-share").inner_text() == f"{count / levels.size * 100:.1f} %"
    assert "80 %" in unsure.locator(".pw-name").inner_text()
    stripes = ([255, 255, 255], [30, 41, 59])
    assert any(near(viewer.pixel(unsure_y, unsure_x)[:3], stripe) for stripe in stripes)
    assert viewer.pixel(sure_y, sure_x) == plain
    viewer.page.mouse.move(*viewer.place(unsure_y, unsure_x))
    assert "unsure" in viewer.page.locator(".pw-readout").inner_text()
    viewer.slide(".pw-threshold", 0)
    row = viewer.page.locator(".pw-unsure .pw-count")
    by_itself = int((levels < 128).sum())  # a map without sets: below one half
    assert row.inner_text() == f"{by_itself:,} pixels that may be two things or more"


def test_4_what_may_be_several_classes_is_drawn_through_mist_and_counted(viewer, viewer_app):
    result, _ = viewer_app.results["sets"]
    viewer.choose("fill")
    viewer.mark_unsure(False)
    sizes, names = result.set_sizes, result.categories
    assert set(np.unique(sizes).tolist()) >= {1, 2}
    # The middle of the largest strip of person that may be something else, and a sure pixel.
    unsure = np.argwhere((result.class_map == PERSON) & (sizes == 2))
    unsure_y, unsure_x = unsure[len(unsure) // 2].tolist()
    sure_y, sure_x = viewer.spot(PERSON)[2:]
    assert sizes[sure_y, sure_x] == 1
    plain, sure = viewer.pixel(unsure_y, unsure_x), viewer.pixel(sure_y, sure_x)
    viewer.mark_unsure(True)
    viewer.show("sets")
    np.testing.assert_array_equal(viewer.plane("setSizes"), sizes.ravel())
    misty = viewer.pixel(unsure_y, unsure_x)
    assert misty != plain
    assert min(misty[:3]) > 150  # light, and no stripe
    assert viewer.pixel(sure_y, sure_x) == sure
    row = viewer.page.locator(".pw-unsure")
    count = int((sizes > 1).sum())
    text = f"{count:,} pixels that may be two things or more"
    assert row.locator(".pw-count").inner_text() == text
    assert row.locator(".pw-share").inner_text() == f"{count / sizes.size * 100:.1f} %"
    assert viewer.page.locator(".pw-threshold-value").inner_text() == "by itself"

    viewer.page.mouse.move(*viewer.place(unsure_y, unsure_x))
    runner_up = shown_name(names[result.runner_up[unsure_y, unsure_x]])
    shown = viewer.page.locator(".pw-readout").inner_text()
    assert f"person, or maybe {runner_up}" in shown
    assert "then" not in shown
    viewer.page.mouse.click(*viewer.place(unsure_y, unsure_x))
    viewer.page.wait_for_selector(".pw-card[data-state=ready]")
    assert "erson" in viewer.page.locator(".pw-card-verdict").inner_text()
    viewer.page.click(".pw-card-close")

    row.click()  # the marks go, the count stays
    assert row.get_attribute("aria-pressed") == "false"
    viewer.page.mouse.move(5, 5)
    assert viewer.pixel(unsure_y, unsure_x) == plain
    assert row.locator(".pw-count").inner_text() == text
    row.click()
    assert viewer.pixel(unsure_y, unsure_x) == misty
    viewer.slide(".pw-threshold", 80)  # a threshold of one's own is hatched instead
    assert "below 80 %" in row.locator(".pw-name").inner_text()
    assert viewer.page.locator(".pw-doubt").inner_text() == ""


def test_4_most_of_a_photo_unsure_is_said_in_a_sentence(viewer, viewer_app):
    assert (viewer_app.results["doubt"][0].set_sizes > 1).mean() > 0.5
    viewer.show("doubt")
    sentence = "The model knows 20 things. It is unsure about most of this photo."
    assert viewer.page.locator(".pw-doubt").inner_text() == sentence
    viewer.show("first")
    assert not viewer.page.locator(".pw-doubt").is_visible()


# Show: labels, or how sure.


def test_how_sure_paints_the_confidence_with_its_scale(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    scale = viewer.page.locator(".pw-scale")
    assert not scale.is_visible()
    viewer.choose("sure")
    viewer.choose("fill")
    viewer.slide(".pw-opacity", 100)
    assert scale.is_visible()
    assert scale.inner_text().split("\n") == ["a guess", "sure"]
    by_level = np.argsort(result.confidence, axis=None)
    found = []
    for part in (0.02, 0.5, 0.98):
        y, x = divmod(int(by_level[int(part * by_level.size)]), result.width)
        found.append(viewer.pixel(y, x))
    light = [0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue, _ in found]
    assert light == sorted(light)
    assert all(pixel[3] == 255 for pixel in found)  # everything else too
    viewer.choose("labels")
    assert near(viewer.at(PERSON)[:3], color(PERSON))
    assert not scale.is_visible()


# 7. Palette.


def test_7_palette_changes_everywhere_without_the_server(viewer):
    x, y, *_ = viewer.spot(PERSON)
    viewer.page.mouse.click(x, y)
    viewer.page.wait_for_selector(".pw-card[data-state=ready]")
    requests = []
    viewer.page.on("request", lambda request: requests.append(request.url))
    viewer.choose("voc")
    voc = color(PERSON, voc_palette())
    assert near(viewer.at(PERSON)[:3], voc)
    css = "rgb({}, {}, {})".format(*voc)
    for place in (
        ".pw-class[data-index='15'] .pw-swatch",
        ".pw-answer .pw-answer-fill >> nth=0",
    ):
        shade = viewer.page.locator(place).evaluate("e => getComputedStyle(e).backgroundColor")
        assert shade == css
    viewer.choose("safe")
    assert near(viewer.at(PERSON)[:3], color(PERSON))
    assert not [url for url in requests if "heartbeat" not in url]


# 12. Speed: how fast is the business of `python -m benchmarks.speed.viewer`.


def test_12_changes_ask_nothing(viewer):
    viewer.show("million")
    requests = []
    viewer.page.on("request", lambda request: requests.append(request.url))
    for change in ("opacity", "toggle", "threshold", "hover", "palette"):
        viewer.page.evaluate(MEASURE, {"change": change, "samples": 6})
    viewer.download("csv")
    viewer.page.click("[data-act=compare]")
    asked = [url for url in requests if "heartbeat" not in url and not url.startswith("blob:")]
    assert not asked
