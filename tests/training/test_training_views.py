"""Photos in their true proportions, and views of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from helpers.shapes import make_shapes
from training.data.augment import (
    Augmentation,
    draw_windows,
    inside,
    jitter_colours,
    paste_rectangles,
    view_grid,
)
from training.data.canvases import (
    Photos,
    canvas_grid,
    exchange,
    load_photos,
    sample_labels,
    sample_pixels,
)
from training.data.crops import Views, sample_maps, stored_extents
from training.data.dataset import Sample, find_samples

IDENTITY = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])
STILL = Augmentation(brightness=0, contrast=0, saturation=0, grey=0)


def colour_blocks(count: int = 3, side: int = 32) -> Photos:
    """Photos whose left half is class 1 and red, whose right half is class 2 and blue."""
    canvases = torch.zeros(count, 3, side, side, dtype=torch.uint8)
    masks = torch.full((count + 1, side, side), 255, dtype=torch.uint8)
    canvases[:, 0, :, : side // 2] = 255
    canvases[:, 2, :, side // 2 :] = 255
    masks[1:, :, : side // 2], masks[1:, :, side // 2 :] = 1, 2
    names = tuple(str(i) for i in range(count))
    shapes = torch.full((count, 2), float(side))
    rows, transposed = torch.arange(1, count + 1), torch.zeros(count, dtype=torch.bool)
    return Photos(names, canvases, shapes, masks, rows, transposed)


def plain_views(photos: Photos, **changes: object) -> Views:
    options = {"truth": 0.75, "seed": 3, "augmentation": replace(STILL, zoom=(1, 2))} | changes
    return Views(photos, torch.ones(len(photos)).double(), 4, **options)


def save_photo(folder: Path, name: str, pixels: np.ndarray, labels: np.ndarray) -> Sample:
    photo, mask = folder / f"{name}.png", folder / f"{name}-mask.png"
    Image.fromarray(pixels).save(photo)
    Image.fromarray(labels).save(mask)
    return Sample(photo, mask)


def whole(photos: Photos, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Every photo squeezed into a square view: pixels x 255 and labels."""
    grid = exchange(view_grid(IDENTITY.expand(len(photos), 2, 3), size), photos.transposed)
    places = canvas_grid(grid, stored_extents(photos.shapes), tuple(photos.canvases.shape[2:]))
    labels = sample_labels(photos.masks[photos.rows], places)
    return sample_pixels(photos.canvases, places) * 255, labels


def test_partly_marked_photos_keep_only_what_is_marked(tmp_path):
    make_shapes(tmp_path, 2, seed=4)
    for old, new in (("000", "horse_0"), ("001", "2010_1")):
        for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
            path = tmp_path / folder / f"{old}.{ending}"
            path.rename(path.with_name(f"{new}.{ending}"))
    photos = load_photos(find_samples(tmp_path, partial_prefixes=["horse_"]), 48)
    assert photos.names == ("2010_1", "horse_0")
    assert photos.canvases.shape == (2, 3, 48, 86)
    assert photos.shapes.tolist() == [[48, 64]] * 2  # of 72 x 96
    assert photos.labelled.all()
    masks = photos.masks[photos.rows]
    assert 0 in masks[0].unique()
    marked = set(masks[1].unique().tolist())
    assert 0 not in marked
    assert 255 in marked
    assert marked & {1, 2, 3}


@pytest.mark.parametrize(
    ("sides", "shape", "transposed"),
    [
        ((40, 60), (80, 120), False),
        ((60, 40), (120, 80), True),
        ((50, 50), (80, 80), False),
        ((30, 120), (36, 144), False),  # too long for the canvas: smaller, but whole
        ((120, 30), (144, 36), True),
    ],
)
def test_photos_keep_their_proportions(tmp_path, sides, shape, transposed):
    rng = np.random.default_rng(0)
    sample = save_photo(
        tmp_path, "a", rng.integers(0, 256, (*sides, 3), np.uint8), np.ones(sides, np.uint8)
    )
    photos = load_photos([sample], 80)
    assert photos.canvases.shape == (1, 3, 80, 144)
    assert photos.shapes.tolist() == [list(shape)]
    assert photos.transposed.tolist() == [transposed]
    low, long = min(shape), max(shape)
    lying = photos.masks[1]
    assert (lying[:low, :long] == 1).all()
    assert (lying == 255).sum() == 80 * 144 - low * long


@pytest.mark.parametrize("sides", [(16, 24), (24, 16), (16, 16)])
def test_the_whole_photo_as_a_view_is_the_photo(tmp_path, sides):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (*sides, 3), np.uint8)
    labels = rng.integers(0, 21, sides, np.uint8)
    photos = load_photos([save_photo(tmp_path, "a", pixels, labels)], 16)
    view, view_labels = whole(photos, 48)  # each pixel is an exact block of the view
    high, wide = 48 // sides[0], 48 // sides[1]
    centres = view_labels[0, high // 2 :: high, wide // 2 :: wide]
    assert torch.equal(centres, torch.from_numpy(labels).long())
    upright = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    expected = F.interpolate(upright, (48, 48), mode="bilinear", align_corners=False)
    torch.testing.assert_close(view, expected, atol=2e-2, rtol=0)


def test_a_mirrored_window_mirrors():
    photos = colour_blocks(1, 16)
    grid = view_grid(IDENTITY * torch.tensor([-1.0, 1, 1]), 16)
    labels = sample_labels(photos.masks[1:], canvas_grid(grid, photos.shapes, (16, 16)))
    assert torch.equal(labels, photos.masks[1:].long().flip(2))


def test_windows_keep_proportions_and_lie_in_the_photo():
    shapes = torch.tensor([[200.0, 300.0], [300.0, 200.0]]).repeat(250, 1)
    augmentation = Augmentation(zoom=(1, 2), stretch=1.0, rotation=30.0, rotated=0.5)
    theta = draw_windows(shapes, augmentation, torch.Generator().manual_seed(0))
    pixels = theta[..., :2] * shapes.flip(1)[:, :, None] / 2  # (N, 2, 2): steps in photo pixels
    across, down = pixels[..., 0], pixels[..., 1]
    torch.testing.assert_close(across.norm(dim=1), down.norm(dim=1), rtol=1e-4, atol=0)
    torch.testing.assert_close((across * down).sum(1), torch.zeros(500), rtol=0, atol=0.1)
    zoom = 100 / down.norm(dim=1)
    assert (zoom.min() >= 0.999, zoom.max() <= 2.001) == (True, True)
    assert 0.3 < (zoom < 1.001).float().mean() < 0.45
    upright = (across[:, 1] == 0) & (down[:, 0] == 0)
    assert 0.4 < upright.float().mean() < 0.6
    assert 0.4 < (across[:, 0] < 0).float().mean() < 0.6
    corners = theta[upright, :, 2].abs() + theta[upright][:, [0, 1], [0, 1]].abs()
    assert corners.max() <= 1 + 1e-5


def test_a_window_larger_than_the_photo_holds_all_of_it():
    shapes = torch.tensor([[200.0, 300.0]]).repeat(300, 1)
    augmentation = Augmentation(zoom=(0.5, 0.5), plain=0, stretch=1.0, rotation=0.0)
    theta = draw_windows(shapes, augmentation, torch.Generator().manual_seed(0))
    seen = inside(view_grid(theta, 64)).float().mean((1, 2))
    # 200 x 300 pixels in a window of 400 x 400, but for cells that an edge cuts
    torch.testing.assert_close(seen, torch.full((300,), 0.375), atol=0.02, rtol=0)
    assert theta[:, 1, 2].std() > 0.2  # and not always in the middle


def test_what_is_beyond_a_photo_never_counts():
    photos = colour_blocks(4, 32)
    canvases = torch.full((4, 3, 48, 80), 255, dtype=torch.uint8)  # white, and of class 3
    masks = torch.full((5, 48, 80), 3, dtype=torch.uint8)
    canvases[:, :, :32, :32], masks[:, :32, :32] = photos.canvases, photos.masks
    photos = replace(photos, canvases=canvases, masks=masks)
    hints = torch.full((4, 2, 3, 4), 160, dtype=torch.uint8)
    augmentation = replace(STILL, zoom=(0.5, 1), plain=0)
    views = plain_views(photos, augmentation=augmentation, hints=hints)
    batch = views.batch(0, 32, 64, 4)
    told = batch.targets.sum(1)
    assert set(told.unique().tolist()) == {0.0, 1.0}
    assert 0.3 < told.mean() < 0.95
    assert (batch.targets[:, 3] == 0).all()
    fine = told.repeat_interleave(4, 1).repeat_interleave(4, 2)
    outside = F.max_pool2d(fine[:, None], 9, 1, 4)[:, 0] == 0  # away from edges
    assert (batch.pixels.abs().sum(1)[outside] == 0).all()
    white = (batch.pixels > 2.0).all(1)
    assert not white.any()
    assert 0.3 < batch.hinted.float().mean() < 0.95
    assert batch.hinted.shape == (32, 1, 4, 4)


def test_colours_stay_in_range_and_some_views_are_grey():
    pixels = torch.rand(64, 3, 8, 8)
    out = jitter_colours(pixels, Augmentation(grey=1.0), torch.Generator().manual_seed(0))
    assert (out.min() >= 0, out.max() <= 1) == (True, True)
    torch.testing.assert_close(out[:, 0], out[:, 2])
    torch.testing.assert_close(jitter_colours(pixels, STILL, torch.Generator()), pixels)


def test_views_and_targets_are_of_the_same_place_and_repeat_by_step():
    views = plain_views(colour_blocks())
    batch, targets, hints, hinted = views.batch(7, 16, 32, 4)
    assert hints is None
    assert hinted is None
    assert (batch.shape, targets.shape) == ((16, 3, 32, 32), (16, 4, 8, 8))
    red = F.avg_pool2d((batch[:, :1] > 0.5).float(), 4)
    inner = targets.sum(1, keepdim=True) > 0  # rotated views reach past a corner
    same = ((red - targets[:, 1:2]).abs() < 0.51) | ~inner
    assert same.float().mean() > 0.98
    assert ((red - targets[:, 1:2]).abs() < 0.01)[inner].float().mean() > 0.8
    again, other = views.batch(7, 16, 32, 4), views.batch(8, 16, 32, 4)
    assert torch.equal(batch, again[0])
    assert not torch.equal(batch, other[0])


def test_the_teachers_map_is_cut_like_the_photo():
    photos = colour_blocks()
    maps = torch.zeros(3, 4, 8, 10, dtype=torch.uint8)
    maps[:, 3, :, :5], maps[:, 0, :, 5:] = 255, 255
    views = plain_views(replace(photos, rows=torch.zeros(3, dtype=torch.long)), maps=maps)
    batch, targets, *_ = views.batch(1, 16, 32, 4)
    inner = targets.sum(1) > 0
    torch.testing.assert_close(targets.sum(1)[inner], torch.ones(int(inner.sum())))
    red = F.avg_pool2d((batch[:, 0] > 0.5).float(), 4)
    assert targets[:, 3][(red == 1) & inner].mean() > 0.8
    assert targets[:, 0][(red == 0) & inner].mean() > 0.8


def test_a_high_photos_view_is_upright_and_all_its_targets_are_too():
    """Upper half red, class 1 and hinted; stored lying, in a canvas with something beyond it."""
    canvases = torch.full((1, 3, 40, 80), 255, dtype=torch.uint8)
    canvases[:, :, :32, :48] = 0
    canvases[:, 0, :32, :24], canvases[:, 2, :32, 24:48] = 255, 255
    masks = torch.full((2, 40, 80), 255, dtype=torch.uint8)
    masks[1, :32, :24], masks[1, :32, 24:48] = 1, 2
    maps = torch.zeros(1, 4, 6, 8, dtype=torch.uint8)
    maps[:, 1, :, :4], maps[:, 2, :, 4:] = 255, 255
    hints = torch.full((1, 1, 6, 8), 128, dtype=torch.uint8)
    hints[..., :4] = 160
    photos = Photos(
        ("high",), canvases, torch.tensor([[48.0, 32.0]]), masks, torch.tensor([1]),
        torch.tensor([True]),
    )  # fmt: skip
    unmasked = replace(photos, rows=torch.tensor([0]))
    for known, given in ((photos, None), (unmasked, maps)):
        augmentation = replace(STILL, zoom=(0.6, 0.7), plain=0, rotation=0.0)
        views = plain_views(known, maps=given, hints=hints, augmentation=augmentation)
        pixels, targets, told, counted = views.batch(0, 16, 64, 4)
        seen = targets.sum(1) > 0
        assert 0.3 < seen.float().mean() < 0.9
        red, blue = (F.avg_pool2d(pixels[:, c], 4) > 1 for c in (0, 2))
        assert (targets[:, 1] > 0.5)[seen & red & ~blue].float().mean() > 0.97
        assert (targets[:, 2] > 0.5)[seen & blue & ~red].float().mean() > 0.97
        heights = torch.arange(16.0)[None, :, None]
        upper, lower = ((m * heights).sum((1, 2)) / m.sum((1, 2)) for m in (red, blue))
        assert (upper + 2 < lower).all()
        cells = counted[:, 0]
        assert ((told[:, 0] > 0.5) == red[:, ::4, ::4])[cells].float().mean() > 0.8
        assert not (red & blue).any()  # nothing white, from beyond the photo


def test_maps_of_high_photos_are_exchanged_like_the_photos():
    maps = torch.zeros(1, 2, 6, 8, dtype=torch.uint8)
    maps[0, 0, :3], maps[0, 1, 3:] = 255, 255  # the stored upper half: left, if transposed
    grid = view_grid(IDENTITY, 6)
    left = sample_maps(maps, exchange(grid, torch.tensor([True])))[0, 0]
    assert left[:, :2].tolist() == [[1, 1]] * 6
    assert left[:, -2:].tolist() == [[0, 0]] * 6
    upper = sample_maps(maps, exchange(grid, torch.tensor([False])))[0, 0]
    assert upper[:2].tolist() == [[1] * 6] * 2


def test_pasted_rectangles_carry_their_targets():
    generator = torch.Generator().manual_seed(3)
    values = torch.arange(8.0).view(8, 1, 1, 1)
    pixels, targets = values.expand(8, 3, 32, 32), values.expand(8, 4, 8, 8)
    mixed, mixed_targets = paste_rectangles([pixels, targets], 0.5, generator)
    assert torch.equal(F.avg_pool2d(mixed[:, :1], 4), mixed_targets[:, :1])
    foreign = (mixed_targets[:, 0] != values[:, 0]).flatten(1).float().mean(1)
    assert 0 < (foreign > 0).sum() < 8  # some views, not all
    assert foreign[foreign > 0].min() > 0.08
    assert foreign.max() < 0.55
    others = [set(view.unique().tolist()) for view in mixed_targets[:, 0]]
    assert all(found <= {float(i), float((i - 1) % 8)} for i, found in enumerate(others))
    same, same_targets = paste_rectangles([pixels, targets], 0.0, generator)
    assert torch.equal(same, pixels)
    assert torch.equal(same_targets, targets)
