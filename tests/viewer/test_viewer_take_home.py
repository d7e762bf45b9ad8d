"""Cut-outs, copies, shares and COCO files, in a headless Chromium."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from helpers.viewer_driver import CAT, DOG, PERSON

pytestmark = pytest.mark.browser


def open_cut(viewer, index):
    """Click into a class and open the cut-out; gives back (row, column)."""
    x, y, row, column = viewer.spot(index)
    viewer.page.mouse.click(x, y)
    viewer.page.wait_for_selector(".pw-card[data-state=ready]")
    viewer.page.get_by_role("button", name="Cut out").click()
    viewer.page.wait_for_selector(".pw-cut")
    viewer.page.locator(".pw-cut input[value=none]").check(force=True)
    return row, column


def saved_cut(viewer):
    with viewer.page.expect_download() as download:
        viewer.page.locator(".pw-cut-save").click()
    found = download.value
    with open(found.path(), "rb") as file:
        return found.suggested_filename, np.asarray(Image.open(file).convert("RGBA")).astype(int)


def region_of(result, row, column):
    return next(r.mask for r in result.regions(0, background=True) if r.mask[row, column])


def photo_of(viewer):
    url = viewer.read("v.value.photo.url")
    image = Image.open(io.BytesIO(viewer.page.request.get(url).body()))
    return np.asarray(image.convert("RGB")).astype(int)


def eroded(mask, steps):
    for _ in range(steps):
        inner = mask.copy()
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            inner &= np.roll(mask, step, axis)
        mask = inner
    return mask


def test_a_region_is_cut_out_at_full_size_with_a_soft_edge(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    row, column = open_cut(viewer, DOG)
    name, cut = saved_cut(viewer)
    assert name == "photo-dog.png"
    assert cut.shape == (*result.class_map.shape, 4)
    mask, alpha = region_of(result, row, column), cut[..., 3]
    assert (alpha[eroded(mask, 2)] == 255).all()
    assert (alpha[eroded(~mask, 2) & (result.class_map != 0)] == 0).all()
    edge = (alpha > 0) & (alpha < 255)
    assert edge.sum() > 50  # soft, and no wider than a pixel on each side
    assert not (edge & (eroded(mask, 2) | (eroded(~mask, 2) & (result.class_map != 0)))).any()
    inside = eroded(mask, 2)
    assert np.abs(cut[inside][:, :3] - photo_of(viewer)[inside]).max() <= 3


def test_behind_a_cut_out_may_be_blur_grey_or_a_colour(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    row, column = open_cut(viewer, CAT)
    inside = eroded(region_of(result, row, column), 2)
    outside = eroded(~region_of(result, row, column), 3) & (result.class_map != 0)
    photo = photo_of(viewer)
    pictures = {}
    for choice in ("blurred", "grey", "color"):
        viewer.page.locator(f".pw-cut input[value={choice}]").check(force=True)
        name, picture = saved_cut(viewer)
        assert name == f"photo-cat-{choice}.png"
        assert (picture[..., 3] == 255).all()
        assert np.abs(picture[inside][:, :3] - photo[inside]).max() <= 3
        pictures[choice] = picture[..., :3]
    grey = pictures["grey"][outside]
    assert (grey.max(axis=1) - grey.min(axis=1)).max() <= 2
    assert (pictures["color"][outside] == [0xFF, 0xD1, 0x66]).all()
    blurred = np.abs(np.diff(pictures["blurred"], axis=1)).max(axis=-1)
    plain = np.abs(np.diff(photo, axis=1)).max(axis=-1)
    assert blurred[outside[:, 1:]].mean() < 0.5 * plain[outside[:, 1:]].mean()
    assert np.abs(pictures["blurred"].mean((0, 1)) - photo.mean((0, 1))).max() < 12
    # Another pixel is another cut-out: the panel closes.
    viewer.page.keyboard.press("Escape")
    viewer.page.mouse.click(*viewer.spot(PERSON)[:2])
    assert not viewer.page.locator(".pw-cut").is_visible()


def test_a_cut_out_is_copied_and_shared(viewer):
    viewer.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_cut(viewer, DOG)
    viewer.page.locator(".pw-cut-copy").click()
    viewer.page.get_by_text("Copied. Paste it where you like.").wait_for()
    size = viewer.page.evaluate(
        """async () => {
          const [item] = await navigator.clipboard.read();
          const bitmap = await createImageBitmap(await item.getType('image/png'));
          return [bitmap.height, bitmap.width];
        }"""
    )
    assert size == viewer.read("[v.map.height, v.map.width]")
    shared = viewer.page.evaluate(
        """async () => {
          const files = [];
          navigator.share = async data => files.push(...data.files);
          document.querySelector('.pw-cut-share').click();
          while (!files.length) await new Promise(requestAnimationFrame);
          return [files[0].name, files[0].type, files[0].size > 1000];
        }"""
    )
    assert shared == ["photo-dog.png", "image/png", True]


def test_the_menu_cuts_out_all_that_is_shown(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    viewer.row(CAT).click()
    name, data = viewer.download("cutout")
    assert name == "photo-cut-out.png"
    alpha = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[..., 3]
    shown = (result.class_map != 0) & (result.class_map != CAT)
    assert (alpha[eroded(shown, 2)] == 255).all()
    assert (alpha[eroded(result.class_map == CAT, 2)] == 0).all()


# COCO, read anew: the two forms as the format's own documents and C code tell them.


def unpack_runs(text):
    counts, at = [], 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            bits = ord(text[at]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            at, shift = at + 1, shift + 5
            if not more and bits & 0x10:
                value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def mask_of_runs(segmentation):
    height, width = segmentation["size"]
    counts = unpack_runs(segmentation["counts"])
    values = np.arange(len(counts)) % 2
    return np.repeat(values, counts).reshape(width, height).T.astype(bool)


def mask_of_polygons(polygons, height, width):
    mask = np.zeros((height, width), bool)
    for polygon in polygons:
        points = np.reshape(polygon, (-1, 2))
        for (x, y), (to_x, to_y) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if x == to_x:  # flips all pixels to the left of an upright edge
                mask[min(y, to_y) : max(y, to_y), :x] ^= True
    return mask


def test_coco_files_hold_every_region(viewer, viewer_app):
    result, _ = viewer_app.results["first"]
    wanted = sorted((r.index, *map(int, r.box), int(r.mask.sum())) for r in result.regions(0))
    for what in ("coco", "masks"):
        name, data = viewer.download(what)
        assert name == {"coco": "photo-coco.json", "masks": "photo-coco-masks.json"}[what]
        coco = json.loads(data)
        assert coco["images"] == [{"id": 1, "file_name": "photo", "height": 240, "width": 320}]
        assert len(coco["categories"]) == 20
        names = {one["id"]: one["name"] for one in coco["categories"]}
        assert names[PERSON] == "person"
        assert len(coco["annotations"]) == len(wanted)
        class_map = np.zeros(result.class_map.shape, int)
        for one in coco["annotations"]:
            form = one["segmentation"]
            mask = mask_of_runs(form) if what == "masks" else mask_of_polygons(form, 240, 320)
            x, y, width, height = one["bbox"]
            rows, columns = np.nonzero(mask)
            assert [columns.min(), rows.min()] == [x, y]
            assert [columns.max() + 1 - x, rows.max() + 1 - y] == [width, height]
            own = result.class_map == one["category_id"]
            if what == "masks":
                assert mask.sum() == one["area"]
                assert own[mask].all()
            else:  # with its holes
                assert (mask & own).sum() >= one["area"]
            class_map[mask & own] = one["category_id"]
        assert np.array_equal(class_map, result.class_map)
