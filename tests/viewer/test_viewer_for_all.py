"""The viewer's downloads, keyboard, words, contrast, phones; numbers are the issue's points."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from helpers.viewer_driver import CAT, PERSON, color
from segmentation.export.records import result_facts
from segmentation.images.indexed_png import read_indexed_png
from segmentation.palette import safe_palette, voc_palette

pytestmark = pytest.mark.browser


# 9. Save.


def test_9_the_picture_is_saved_as_seen_at_the_photos_size(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    viewer.choose("fill")
    viewer.row(CAT).click()
    viewer.page.mouse.move(5, 5)
    viewer.page.click("[data-act=zoom-in]")
    viewer.page.click("[data-act=names]")
    viewer.mark_unsure(False)
    name, data = viewer.download("picture")
    assert name == "photo-labelled.png"
    saved = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)
    photo = np.asarray(jpeg_of(viewer)).astype(float)
    assert saved.shape == (*result.class_map.shape, 3)
    shown = (result.class_map != 0) & (result.class_map != CAT)
    mixed = 0.4 * photo + 0.6 * safe_palette()[result.class_map]
    wanted = np.where(shown[..., None], mixed, photo)
    # All but the specks of background inside a class, which take half of its colour.
    assert (np.abs(saved - wanted).max(axis=-1) > 3).mean() < 0.002


def jpeg_of(viewer):
    url = viewer.read("v.value.photo.url")
    return Image.open(io.BytesIO(viewer.page.request.get(url).body()))


def test_9_before_and_after_is_saved_too(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    viewer.choose("fill")
    viewer.slide(".pw-opacity", 100)
    viewer.page.click("[data-act=names]")
    viewer.mark_unsure(False)
    viewer.page.click("[data-act=compare]")
    saved = np.asarray(Image.open(io.BytesIO(viewer.download("picture")[1])).convert("RGB"))
    photo, half = np.asarray(jpeg_of(viewer)).astype(int), result.width // 2
    assert np.abs(saved[:, : half - 3] - photo[:, : half - 3]).max() <= 3
    right = result.class_map[:, half + 3 :]
    labels = safe_palette()[right]
    assert np.array_equal(saved[:, half + 3 :][right > 0], labels[right > 0])


def test_9_label_map_and_tables(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    name, data = viewer.download("labels")
    assert name == "photo-labels.png"
    assert np.array_equal(read_indexed_png(data), result.class_map)
    palette = np.array(Image.open(io.BytesIO(data)).getpalette()).reshape(-1, 3)
    # Files for programs keep the model's own colours, whatever the picture shows.
    assert palette[PERSON].tolist() == color(PERSON, voc_palette())
    areas = result_facts(result)["classes"]
    name, data = viewer.download("csv")
    assert name == "photo-classes.csv"
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert [row["name"] for row in rows] == [area["name"] for area in areas]
    assert [int(row["pixels"]) for row in rows] == [area["pixels"] for area in areas]
    assert float(rows[0]["fraction"]) == pytest.approx(areas[0]["fraction"], abs=1e-6)
    assert float(rows[0]["confidence"]) == pytest.approx(areas[0]["confidence"], abs=0.003)
    viewer.slide(".pw-threshold", 70)
    table = json.loads(viewer.download("json")[1])
    assert (table["model"], table["height"], table["width"]) == ("made-up", 240, 320)
    assert [row["index"] for row in table["classes"]] == [area["index"] for area in areas]
    levels = np.rint(result.confidence * 255)
    assert table["unsure"] == {"below": 0.7, "pixels": int((levels * 100 < 70 * 255).sum())}


# 10. Accessible.


def test_10_everything_is_reached_and_used_by_keyboard(viewer, viewer_app):
    page = viewer.page
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
              const e = document.activeElement;
              if (!e.closest('.pw')) return null;
              const of = e.matches('.pw-choice input') ? e.nextElementSibling : e;
              const style = getComputedStyle(of);
              const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
              return [e.dataset.act || e.dataset.index || e.value || e.className, ring];
            }"""
        )
        if found:
            reached.append(found)
    assert all(ring for _, ring in reached), "focus is not visible somewhere"
    names = [name for name, _ in reached]
    for name in ("zoom-in", "fit", "compare", "full", "save", "pw-stage", "15", "60", "clear"):
        assert name in names, f"{name} is not reached with Tab"
    page.locator("[data-act=save]").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.save") == "cutout"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.act") == "save"
    viewer.row(CAT).focus()
    page.keyboard.press("Space")
    assert viewer.read("v.hidden") == ["cat"]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # "only", beside it
    assert "person" in viewer.read("v.hidden")
    viewer.stage.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".pw-card[data-state=ready]")
    assert viewer_app.pins[-1]["y"] in (119, 120)  # the middle
    page.locator(".pw-opacity").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".pw-opacity").input_value() == "59"


def test_10_the_result_is_announced_in_words(viewer, viewer_app):
    summary = viewer.page.locator(".pw-summary")
    assert summary.get_attribute("aria-live") == "polite"
    areas = viewer_app.results["first"][0].areas()
    names = [f"a {area.name}" for area in areas if area.index and area.fraction >= 0.01]
    said = ", ".join(names[:-1]) + f" and {names[-1]}."
    assert 2 <= len(names) <= 4
    assert summary.inner_text() == said.capitalize()
    viewer.show("second")
    viewer.page.mouse.click(*viewer.spot(PERSON)[:2])
    spoken = viewer.page.locator(".pw-sr-status")
    assert spoken.get_attribute("aria-live") == "polite"
    assert re.match(r"Row 132, column 89: .*\. >?\d+ %$", spoken.inner_text())


def test_10_contrast_in_both_themes(viewer):
    page = viewer.page
    viewer.slide(".pw-threshold", 40)
    page.mouse.click(*viewer.spot(PERSON)[:2])
    page.wait_for_selector(".pw-card[data-state=ready]")
    page.mouse.move(*viewer.spot(CAT)[:2])
    page.emulate_media(reduced_motion="reduce")  # no colour is caught on its way to another
    for dark in (False, True):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        page.wait_for_timeout(300)
        found = page.evaluate(CONTRASTS)
        assert len(found) > 30
        poor = [item for item in found if item["ratio"] < 4.5]
        assert not poor, poor
    page.evaluate("document.body.classList.remove('dark')")
    page.emulate_media(reduced_motion="no-preference")


CONTRASTS = """
() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(
      v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
      if (a === 1 && b !== undefined) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('.pw *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const seen = {opacityProperty: true, visibilityProperty: true};
    if (!own || !element.checkVisibility(seen)) continue;
    if (element.closest('.pw-names, .pw-compare-label, :disabled, .pw-sr-status')) continue;
    const ink = parse(getComputedStyle(element).color).slice(0, 3);
    const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
    const ratio = Math.round((a + 0.05) / (b + 0.05) * 100) / 100;
    found.push({text: element.textContent.trim().slice(0, 30), name: element.className, ratio});
  }
  return found;
}
"""


def test_10_reduced_motion_stands_still(viewer):
    page = viewer.page
    moving = "() => document.querySelector('.pw').getAnimations({subtree: true}).length"
    page.locator("#wait").dispatch_event("click")
    page.wait_for_selector(".pw-overlay:not([hidden])")
    assert page.evaluate(moving) >= 1
    page.locator("#first").dispatch_event("click")
    page.wait_for_selector(".pw-overlay", state="hidden")
    page.emulate_media(reduced_motion="reduce")
    page.locator("#wait").dispatch_event("click")
    page.wait_for_selector(".pw-overlay:not([hidden])")
    assert page.evaluate(moving) == 0
    assert page.locator(".pw-button").first.evaluate(
        "e => getComputedStyle(e).transitionDuration"
    ) in ("0s", "0s, 0s")
    page.emulate_media(reduced_motion="no-preference")


# 11. Phones.


def test_11_nothing_overflows_and_controls_are_large_enough(phone):
    page = phone.page
    phone.slide(".pw-threshold", 50)
    page.click("[data-act=compare]")
    page.click("[data-act=save]")
    page.mouse.move(0, 0)
    page.wait_for_selector(".pw-menu-list:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    found = page.evaluate(
        """() => ['button', 'input', '[role=slider]']
          .flatMap(kind => [...document.querySelectorAll(`.pw ${kind}`)])
          .filter(e => e.checkVisibility())
          .map(e => [e.className + e.textContent.trim(), e.getBoundingClientRect()])
          .map(([n, r]) => [n, r.left, r.right, r.width, r.height])"""
    )
    assert len(found) > 20
    for name, left, right, width, height in found:
        assert min(left, 390 - right) >= 0, f"{name} hangs over the edge"
        assert min(width, height) >= 44, f"{name} is {width} x {height}"
