"""The viewer in a headless Chromium, on real events; numbers in names are the issue's points."""

import numpy as np
import pytest

from helpers.viewer_app import own_classes
from helpers.viewer_driver import CAT, CHAIR, DOG, PERSON, Driver, color, fingers, near, shown_name
from segmentation.palette import voc_palette

pytestmark = pytest.mark.browser


# Decoding.


def test_the_page_reads_every_index_as_the_class_map_has_it(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    assert np.array_equal(viewer.plane("classes"), result.class_map.ravel())
    assert np.array_equal(viewer.plane("runnerUp"), result.runner_up.ravel())
    levels = np.rint(result.confidence * 255).astype(np.uint8)
    assert np.array_equal(viewer.plane("confidence"), levels.ravel())


def test_256_classes_with_their_own_palette_and_odd_names(viewer, viewer_app):
    viewer.show("own")
    viewer.choose("voc")  # in the files the model's own colours are called that
    result, _, palette = own_classes()
    assert np.array_equal(viewer.plane("classes"), result.class_map.ravel())
    viewer.choose("fill")
    viewer.mark_unsure(False)
    viewer.slide(".pw-opacity", 100)
    for y, x in [(3, 5), (60, 100), (119, 199)]:
        assert viewer.pixel(y, x) == [*color(result.class_map[y, x], palette), 255]
    largest = result.areas()[0].index
    assert viewer.row(largest).locator(".pw-name").inner_text() == f'"{largest}", <b>tissue</b>'
    assert viewer.page.locator(".pw-own").inner_text() == "Model’s own colours"
    # No class is called background, so there is nothing to clear or dim.
    assert not viewer.page.locator("[data-setting=background]").is_visible()


# 1. Hover.


def test_1_hover_reads_the_pixel_and_outlines_its_region(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    for index, name in ((PERSON, "person"), (CAT, "cat")):
        x, y, row, column = viewer.spot(index)
        viewer.page.mouse.move(x, y)
        readout = viewer.page.locator(".pw-readout")
        assert readout.locator(".pw-reading-name").inner_text() == name
        percent = f"{result.confidence[row, column] * 100:.0f} %"
        assert readout.locator(".pw-reading-sure").inner_text() in (percent, ">99 %")
        runner_up = shown_name(result.categories[result.runner_up[row, column]])
        assert readout.locator(".pw-reading-next").inner_text() == f"then {runner_up}"
        swatch = readout.locator(".pw-swatch").evaluate("e => getComputedStyle(e).backgroundColor")
        assert swatch == "rgb({}, {}, {})".format(*color(index))
        box = readout.bounding_box()
        assert not (box["x"] <= x <= box["x"] + box["width"]) or not (
            box["y"] <= y <= box["y"] + box["height"]
        )
        assert viewer.row(index).locator("..").evaluate("e => e.matches('.pw-pointed')")
        assert_outlined(viewer, result, row, column)
    viewer.page.mouse.move(5, 5)
    assert not viewer.page.locator(".pw-readout").is_visible()
    assert viewer.read("v.stage.outlined") is None


def assert_outlined(viewer, result, row, column):
    """Light pixels on the outline canvas are where the pixel's own region has its border."""
    outlined = viewer.page.evaluate(
        """() => {
          const c = document.querySelector('canvas.pw-outline');
          const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
          const {view} = document.querySelector('.pw').pixelwise;
          const ratio = c.width / c.clientWidth;
          const found = [];
          for (let i = 0; i < data.length; i += 4) {
            if (data[i] !== 255 || data[i + 3] !== 255) continue;
            const p = i / 4;
            const y = Math.floor(((Math.floor(p / c.width) + 0.5) / ratio - view.top) / view.scale);
            const x = Math.floor(((p % c.width + 0.5) / ratio - view.left) / view.scale);
            found.push([y, x]);
          }
          return found;
        }"""
    )
    region = next(r for r in result.regions(0, background=True) if r.mask[row, column])
    lit = np.zeros_like(region.mask)
    lit[tuple(np.transpose(outlined))] = True
    assert lit.sum() > 100
    assert not (lit & ~region.mask).any()
    inner = region.mask.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        inner &= np.roll(region.mask, step, axis)
    border = region.mask & ~inner
    border[[0, -1]] = border[:, [0, -1]] = False
    assert (lit & border).sum() > 0.95 * border.sum()


def test_1_dragging_a_finger_probes_and_the_readout_stays_off_the_photo(phone):
    to_x, y, *_ = phone.spot(PERSON)
    x = phone.stage.bounding_box()["x"] + 5  # sideways: up and down is the page's
    fingers(phone, "touchStart", (x, y))
    for part in (0.3, 0.6, 1):
        fingers(phone, "touchMove", (x + (to_x - x) * part, y))
    dock = phone.page.locator(".pw-hint-bar .pw-reading")
    dock.wait_for()
    assert dock.locator(".pw-reading-name").inner_text() == "person"
    assert dock.locator(".pw-reading-next").inner_text().startswith("then ")
    assert not phone.page.locator(".pw-readout").is_visible()
    assert phone.read("v.stage.outlined.region") >= 0
    dock_box, stage_box = dock.bounding_box(), phone.stage.bounding_box()
    assert dock_box["y"] + dock_box["height"] <= stage_box["y"]
    fingers(phone, "touchEnd")
    assert phone.read("v.pin") is None  # a drag is no tap


# 2. Legend.


def test_2_legend_lists_the_classes_largest_first_and_everything_else_last(viewer, viewer_app):
    areas = viewer_app.results["first"][0].areas()
    ordered = [area for area in areas if area.index] + [area for area in areas if not area.index]
    rows = viewer.page.locator(".pw-row")
    assert rows.count() == len(areas)
    for i, area in enumerate(ordered):
        row = rows.nth(i)
        assert row.locator(".pw-name").inner_text() == shown_name(area.name)
        assert row.locator(".pw-share").inner_text() == f"{area.fraction * 100:.1f} %"
        swatch = row.locator(".pw-swatch").evaluate("e => getComputedStyle(e).backgroundColor")
        if area.index == 0:  # no colour, so a hollow swatch; its other name is told once
            assert swatch == "rgba(0, 0, 0, 0)"
            assert row.locator(".pw-confidence").inner_text() == "in the field: background"
            continue
        sure = row.locator(".pw-confidence")
        assert sure.inner_text() in ("sure", "fairly sure", "not so sure", "unsure")
        number = float(sure.get_attribute("title").split()[0])
        assert number == pytest.approx(area.confidence * 100, abs=0.6)
        assert swatch == "rgb({}, {}, {})".format(*color(area.index))


def test_2_a_speck_inside_a_thing_is_drawn_faintly_and_read_truly(viewer, viewer_app):
    result, _ = viewer_app.results["specks"]
    viewer.show("specks")
    viewer.choose("fill")
    y, x = viewer.spot(PERSON)[2:]
    assert result.class_map[y, x] == 0
    assert result.class_map[y, x - 8] == PERSON
    speck, around = viewer.pixel(y, x), viewer.pixel(y, x - 8)
    assert near(speck[:3], color(PERSON), 4)
    assert speck[3] == pytest.approx(around[3] / 2, abs=1)
    viewer.choose("both")
    for at in range(x - 8, x + 9):  # no line around it
        assert near(viewer.pixel(y, at)[:3], color(PERSON), 4)
    viewer.page.mouse.move(*viewer.place(y, x))
    assert viewer.page.locator(".pw-readout .pw-reading-name").inner_text() == "everything else"
    assert viewer.at(0)[3] == 0  # the background around stays clear


def test_2_click_toggles_double_click_isolates_hover_points_and_all_come_back(viewer):
    shown = viewer.at(PERSON)
    assert shown[3] > 0
    viewer.row(PERSON).click()
    assert viewer.row(PERSON).get_attribute("aria-pressed") == "false"
    viewer.page.mouse.move(5, 5)
    assert viewer.at(PERSON)[3] == 0
    assert viewer.at(CAT)[3] > 0
    viewer.page.click(".pw-all")
    assert viewer.at(PERSON) == shown
    viewer.row(CAT).dblclick()
    viewer.page.mouse.move(5, 5)
    assert viewer.at(CAT)[3] > 0
    assert viewer.at(PERSON)[3] == viewer.at(DOG)[3] == 0
    viewer.page.click(".pw-all")
    assert not viewer.page.locator(".pw-all").is_visible()
    viewer.row(CAT).hover()
    assert viewer.at(CAT) == [*viewer.at(CAT)[:3], shown[3]]
    assert viewer.at(PERSON)[3] < shown[3] / 2


def test_2_long_press_isolates(phone):
    box = phone.row(PERSON).bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    fingers(phone, "touchStart", middle)
    phone.page.wait_for_function(
        "() => document.querySelector('.pw').pixelwise.hidden.includes('cat')"
    )
    fingers(phone, "touchEnd")
    phone.page.wait_for_timeout(100)
    hidden = phone.read("v.hidden")
    assert "person" not in hidden
    assert {"cat", "dog", "__background__"} <= set(hidden)


# What survives, and what comes late.


def test_settings_survive_the_next_photo(viewer, viewer_app):
    viewer.slide(".pw-opacity", 80)
    viewer.choose("voc")
    viewer.row(CAT).click()
    x, y, row, column = viewer.spot(PERSON)
    viewer.page.mouse.click(x, y)
    viewer.page.wait_for_selector(".pw-card[data-state=ready]")
    viewer.show("second")
    assert viewer.at(PERSON) == [*viewer.at(PERSON)[:3], 204]
    assert near(viewer.at(PERSON)[:3], color(PERSON, voc_palette()))
    assert viewer.read("v.hidden") == ["cat"]
    assert viewer.row(CAT).get_attribute("aria-pressed") == "false"
    assert viewer.read("v.pin") == {"y": row, "x": column}
    viewer.page.wait_for_function("n => n", arg=1)
    assert viewer_app.pins[-1] == {"y": row, "x": column, "id": "second"}
    viewer.show("tall")
    assert viewer.read("v.pin") is None  # another size: the same place means nothing there
    viewer.page.wait_for_selector(".pw-card", state="hidden")
    assert viewer.read("v.hidden") == ["cat"]


def test_classes_hidden_before_do_not_blank_a_photo_that_has_nothing_else(viewer):
    for index in (0, PERSON, CAT, DOG, CHAIR):
        viewer.row(index).click()
    viewer.page.mouse.move(5, 5)
    assert viewer.at(PERSON)[3] == 0
    viewer.show("second")
    assert viewer.at(PERSON)[3] > 0


def test_a_late_result_never_overwrites_a_newer_one(viewer):
    page = viewer.page
    # The page's fetch is held back in the page itself, and cannot be cancelled.
    page.evaluate(
        """() => {
          window.plainFetch = window.fetch;
          window.fetch = async (url, options) => {
            if (!String(url).endsWith('labels.png') || window.held) return plainFetch(url, options);
            window.held = true;
            const answer = await plainFetch(url);
            await new Promise(done => window.letGo = done);
            return answer;
          };
        }"""
    )
    page.locator("#second").dispatch_event("click")
    page.wait_for_function("() => window.letGo")
    viewer.show("tall")
    page.evaluate("() => {letGo(); window.fetch = plainFetch;}")
    page.wait_for_timeout(300)
    assert viewer.read("v.value?.id") == "tall"
    # "late" carries an older number: it was asked for before, and arrives after.
    page.locator("#late").dispatch_event("click")
    page.wait_for_timeout(700)
    assert viewer.read("v.value?.id") == "tall"
    viewer.show("first")


# Empty, working, error.


def test_states_are_told_and_the_last_picture_stays(page, viewer_app):
    driver = Driver(page, viewer_app).open(None)
    assert page.locator(".pw-empty").is_visible()
    assert page.locator(".pw-empty-title").inner_text() == "Show it a photo"
    assert not page.locator(".pw-controls").is_visible()
    page.locator("#work").dispatch_event("click")
    veil = page.locator(".pw-overlay")
    veil.wait_for()
    assert "82 of 233 MB" in veil.inner_text()
    assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "35"
    driver.show("first")
    assert not veil.is_visible()
    page.locator("#error").dispatch_event("click")
    veil.wait_for()
    assert veil.get_attribute("role") == "alert"
    assert page.locator(".pw-overlay-text").inner_text() == "Not a photo: <b>x</b>."
    page.click(".pw-dismiss")
    assert not veil.is_visible()
    assert driver.at(PERSON)[3] > 0
    page.locator("#missing").dispatch_event("click")
    veil.wait_for()
    assert "label map did not arrive" in veil.inner_text()
    page.locator("#none").dispatch_event("click")
    page.wait_for_selector(".pw[data-state=empty]")
    assert page.locator(".pw-empty").is_visible()
