"""The pieces of the recipes: views, losses, schedules, optimizers, metrics, data."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from shapes import make_shapes
from training.augment import (
    Augmentation,
    draw_windows,
    jitter_colours,
    paste_rectangles,
    sample_labels,
    sample_pixels,
    view_grid,
)
from training.data import Photos, find_samples, load_photos
from training.evaluate import figures
from training.losses import balance_classes, mix_targets, soft_cross_entropy
from training.metrics import ConfusionMatrix
from training.optimizers import Muon, make_optimizers, orthogonalise
from training.schedule import WeightAverage, learning_rate_factor
from training.setup import voc_categories
from training.teacher import Teacher, TeacherMaps, corners_aligned, sample_maps
from training.views import Views, classes_shown, drawing_weights

IDENTITY = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])


def test_partly_marked_photos_keep_only_what_is_marked(tmp_path):
    make_shapes(tmp_path, 2, seed=4)
    for old, new in (("000", "horse_0"), ("001", "2010_1")):
        for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
            path = tmp_path / folder / f"{old}.{ending}"
            path.rename(path.with_name(f"{new}.{ending}"))
    samples = find_samples(tmp_path, partial_prefixes=["horse_"])
    photos = load_photos(samples, 48)
    assert photos.names == ("2010_1", "horse_0")
    assert photos.canvases.shape == (2, 3, 48, 48)
    assert photos.aspects.tolist() == pytest.approx([96 / 72] * 2)
    assert 0 in photos.masks[0].unique()
    marked = set(photos.masks[1].unique().tolist())
    assert 0 not in marked
    assert 255 in marked
    assert marked & {1, 2, 3}


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="JPEGImages is no folder"):
        find_samples(tmp_path)
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no photo"):
        find_samples(tmp_path)
    (tmp_path / "SegmentationClass").mkdir()
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        Image.new("RGB", (8, 8)).save(tmp_path / folder / f"a.{ending}")
    with pytest.raises(ValueError, match=r"a\.png is RGB: a mask is an indexed"):
        load_photos(find_samples(tmp_path), 32)


def test_the_whole_photo_as_a_view_is_the_photo():
    canvas = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    mask = torch.randint(0, 21, (1, 16, 16), dtype=torch.uint8)
    grid = view_grid(IDENTITY, 16)
    torch.testing.assert_close(sample_pixels(canvas, grid) * 255, canvas.float(), atol=1e-3, rtol=0)
    assert torch.equal(sample_labels(mask, grid), mask.long())
    mirrored = view_grid(IDENTITY * torch.tensor([-1.0, 1, 1]), 16)
    assert torch.equal(sample_labels(mask, mirrored), mask.long().flip(2))


def test_windows_lie_inside_and_keep_proportions():
    aspects = torch.full((500,), 1.5)
    augmentation = Augmentation(area=(0.2, 0.5), stretch=1.0001)
    theta = draw_windows(aspects, augmentation, torch.Generator().manual_seed(0))
    width, height = theta[:, 0, 0].abs(), theta[:, 1, 1]
    assert (theta[:, 0, 2].abs() + width).max() <= 1 + 1e-6
    assert (theta[:, 1, 2].abs() + height).max() <= 1 + 1e-6
    torch.testing.assert_close(width * 1.5, height, rtol=1e-3, atol=0)
    area = width * height
    assert area.min() >= 0.199
    assert area.max() <= 0.501
    assert 0.4 < (theta[:, 0, 0] < 0).float().mean() < 0.6


def test_colours_stay_in_range_and_some_views_are_grey():
    pixels = torch.rand(64, 3, 8, 8)
    out = jitter_colours(pixels, Augmentation(grey=1.0), torch.Generator().manual_seed(0))
    assert (out.min() >= 0, out.max() <= 1) == (True, True)
    torch.testing.assert_close(out[:, 0], out[:, 2])
    still = Augmentation(brightness=0, contrast=0, saturation=0, grey=0)
    torch.testing.assert_close(jitter_colours(pixels, still, torch.Generator()), pixels)


def colour_blocks(count: int = 3, side: int = 32) -> Photos:
    """Photos whose left half is class 1 and red, whose right half is class 2 and blue."""
    canvases = torch.zeros(count, 3, side, side, dtype=torch.uint8)
    masks = torch.ones(count, side, side, dtype=torch.uint8)
    canvases[:, 0, :, : side // 2] = 255
    canvases[:, 2, :, side // 2 :] = 255
    masks[:, :, side // 2 :] = 2
    names = tuple(str(i) for i in range(count))
    labelled = torch.ones(count, dtype=torch.bool)
    return Photos(names, canvases, masks, torch.ones(count), labelled)


def plain_views(photos: Photos, **changes: object) -> Views:
    still = Augmentation(brightness=0, contrast=0, saturation=0, grey=0)
    options = {"truth": 0.75, "seed": 3, "augmentation": still} | changes
    return Views(photos, torch.ones(len(photos)).double(), 4, **options)


def test_views_and_targets_are_of_the_same_place_and_repeat_by_step():
    views = plain_views(colour_blocks())
    batch, targets, hints = views.batch(7, 16, 32, 4)
    assert hints is None
    assert (batch.shape, targets.shape) == ((16, 3, 32, 32), (16, 4, 8, 8))
    red = F.avg_pool2d((batch[:, :1] > 0.5).float(), 4)
    torch.testing.assert_close(red, targets[:, 1:2], atol=0.51, rtol=0)
    assert ((red - targets[:, 1:2]).abs() < 0.01).float().mean() > 0.8
    again, other = views.batch(7, 16, 32, 4), views.batch(8, 16, 32, 4)
    assert torch.equal(batch, again[0])
    assert not torch.equal(batch, other[0])


def test_the_teachers_map_is_cut_like_the_photo():
    photos = colour_blocks()
    maps = np.zeros((3, 4, 9, 9), np.uint8)
    maps[:, 3, :, :4], maps[:, 0, :, 5:], maps[:, 2, :, 4] = 255, 255, 255
    nothing_known = Photos(
        photos.names, photos.canvases, torch.full_like(photos.masks, 255), photos.aspects,
        torch.zeros(3, dtype=torch.bool),
    )  # fmt: skip
    views = plain_views(nothing_known, maps=maps, maps_aligned=True)
    batch, targets, _ = views.batch(1, 16, 32, 4)
    torch.testing.assert_close(targets.sum(1), torch.ones(16, 8, 8))
    red = F.avg_pool2d((batch[:, 0] > 0.5).float(), 4)
    assert targets[:, 3][red == 1].mean() > 0.8
    assert targets[:, 0][red == 0].mean() > 0.8


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


def test_truth_and_teacher_are_mixed_where_both_speak():
    labels = torch.tensor([[[0, 255]], [[2, 255]]])
    teacher = torch.zeros(2, 3, 1, 2)
    teacher[0, 1] = 1.0  # photo 1 was never shown to the teacher
    targets = mix_targets(labels, teacher, 3, truth=0.75)
    assert targets[0, :, 0, 0].tolist() == [0.75, 0.25, 0]
    assert targets[0, :, 0, 1].tolist() == [0, 1, 0]
    assert targets[1, :, 0, 0].tolist() == [0, 0, 1]
    assert targets[1, :, 0, 1].tolist() == [0, 0, 0]


def test_soft_cross_entropy_agrees_with_torchs():
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 6, 7)
    labels = torch.randint(0, 5, (2, 6, 7))
    labels[0, :2] = 255
    weights = torch.rand(5) + 0.5
    hard = mix_targets(labels, None, 5, truth=1.0)
    expected = F.cross_entropy(logits, labels, weight=weights, ignore_index=255)
    torch.testing.assert_close(soft_cross_entropy(logits, hard, weights), expected)
    soft = torch.rand(2, 5, 6, 7).softmax(1)
    torch.testing.assert_close(soft_cross_entropy(logits, soft), F.cross_entropy(logits, soft))


def test_balanced_classes():
    frequencies = torch.tensor([0.9, 0.1, 0.0])
    assert balance_classes(frequencies, 0.0).tolist() == pytest.approx([1, 1, 1])
    weights = balance_classes(frequencies, 1.0)
    assert (weights * frequencies)[:2].tolist() == pytest.approx([0.5, 0.5])
    assert math.isfinite(weights[2])


def test_schedules():
    assert learning_rate_factor(0.01, warmup=0.02) == pytest.approx(0.5)
    assert learning_rate_factor(0.51, warmup=0.02) == pytest.approx(0.5)
    assert learning_rate_factor(1.0) == pytest.approx(0)
    assert learning_rate_factor(0.5, schedule="poly", warmup=0, power=0.9) == pytest.approx(
        0.5**0.9
    )
    with pytest.raises(ValueError, match="unknown schedule 'step': one of cosine, poly"):
        learning_rate_factor(0.5, schedule="step")


def test_weight_average_follows_and_warms_up():
    network = nn.BatchNorm2d(1)
    average = WeightAverage(network, 0.9)
    with torch.no_grad():
        network.weight.fill_(12.0)
    network.running_mean.fill_(12.0)
    network.num_batches_tracked.fill_(5)
    average.update(network)  # decay min(0.9, 2 / 11)
    assert average.network.weight.item() == pytest.approx(12 - 11 * 2 / 11)
    assert average.network.running_mean.item() == pytest.approx(12 * 9 / 11)
    assert average.network.num_batches_tracked.item() == 5
    assert not average.network.weight.requires_grad


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_orthogonalised_matrices_have_like_singular_values(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    out = orthogonalise(matrix)
    singular = torch.linalg.svdvals(out)
    assert singular.max() < 1.3
    assert singular.median() > 0.6
    kept = torch.diag(u.T @ out @ v.T)  # the singular vectors stay
    torch.testing.assert_close(kept.sort().values, singular.sort().values, atol=2e-3, rtol=0)


def test_orthogonalising_a_matrix_of_low_rank_leaves_the_null_space_alone():
    torch.manual_seed(0)
    out = orthogonalise(torch.randn(64, 3) @ torch.randn(3, 200))
    singular = torch.linalg.svdvals(out)
    assert singular[2] > 0.6
    assert singular[3] < 1e-3


def test_muon_takes_kernels_and_leaves_the_rest_to_adamw():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8))
    rest, muon = make_optimizers(network, "muon", learning_rate=0.1, weight_decay=0.01)
    assert isinstance(muon, Muon)
    assert [tuple(w.shape) for g in muon.param_groups for w in g["params"]] == [(8, 3, 3, 3)]
    decays = {g["weight_decay"]: len(g["params"]) for g in rest.param_groups}
    assert decays == {0.01: 1, 0.0: 4}
    with pytest.raises(ValueError, match="unknown optimizer 'adam': one of adamw, sgd, muon"):
        make_optimizers(network, "adam", learning_rate=0.1, weight_decay=0.0)


def test_confusion_matrix_by_hand():
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([[0, 0, 1, 255]]), torch.tensor([[0, 1, 1, 2]]))
    matrix.update(torch.tensor([[0]]), torch.tensor([[0]]))
    assert matrix.counts.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert matrix.iou()[:2].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert math.isnan(matrix.iou()[2])
    assert matrix.mean_iou() == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert matrix.mean_iou([1, 2]) == pytest.approx(1 / 2)
    assert matrix.pixel_accuracy() == pytest.approx(3 / 4)
    assert matrix.photos.tolist() == [2, 1, 0]
    given = figures(matrix, ["a", "b", "c"])
    assert given["classes"] == {"a": {"iou": 0.6667, "photos": 2}, "b": {"iou": 0.5, "photos": 1}}
    assert "miou_7" not in given


def test_seven_classes_have_their_own_mean():
    matrix = ConfusionMatrix(21)
    labels = torch.tensor([0, 3, 8, 10, 12, 13, 15, 17])
    matrix.update(labels, labels)
    matrix.update(torch.tensor([3]), torch.tensor([8]))  # a bird taken for a cat
    given = figures(matrix, voc_categories())
    assert given["miou_7"] == pytest.approx((6 + 0.5) / 7, abs=1e-4)
    assert given["miou_shown"] == pytest.approx((6 + 0.5 + 0.5) / 8, abs=1e-4)
    assert given["miou"] is None  # the photos do not show all 21 classes
    matrix.update(torch.arange(21), torch.arange(21))
    given = figures(matrix, voc_categories())
    assert given["miou"] == given["miou_shown"] == pytest.approx((19 + 2 / 3 * 2) / 21, abs=1e-4)


def test_rare_classes_are_drawn_more_often():
    photos = colour_blocks(3)
    photos.masks[1] = 0
    photos.labelled[2] = False
    maps = np.zeros((3, 4, 5, 5), np.uint8)
    maps[2, 3] = 255
    shown = classes_shown(photos, maps, 4)
    assert shown.int().tolist() == [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    weights = drawing_weights(shown, photos.labelled, {1: 2.0, 2: 3.0, 3: 4.0}, 0.5)
    assert weights.tolist() == [3.0, 1.0, 2.0]


def test_teacher_maps_are_taken_up_again(tmp_path: Path):
    make_shapes(tmp_path, 5, seed=6, masks=False)
    samples = find_samples(tmp_path)
    asked = []

    def network(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        asked.append(len(batch))
        return {
            "out": torch.log(torch.tensor([0.2, 0.8])).view(1, 2, 1, 1).expand(len(batch), 2, 5, 5)
        }

    teacher = Teacher(network, (0.5,) * 3, (0.5,) * 3, 33, "t")
    names = [sample.name for sample in samples]

    def fill(order: list[int] | None) -> TeacherMaps:
        maps = TeacherMaps(tmp_path / "cache", "t", names, (2, 5, 5))
        maps.fill(teacher, samples, device=torch.device("cpu"), order=order)
        return maps

    assert fill([3, 1]).done.tolist() == [0, 1, 0, 1, 0]
    maps = fill(None)
    assert maps.done.all()
    assert sum(asked) == 5
    assert np.unique(maps.maps[:, 1]).tolist() == [204]


def test_tensorflows_corners():
    assert corners_aligned(321, 41)
    assert not corners_aligned(320, 40)
    ramp = torch.arange(5).view(1, 1, 1, 5).expand(1, 2, 5, 5).byte()
    maps = torch.cat([ramp[:, :1] * 50, 255 - ramp[:, :1] * 50], dim=1)
    grid = view_grid(IDENTITY, 33)  # pixel centres of a 33 px photo, cells on every eighth pixel
    row = sample_maps(maps, grid, aligned=True)[0, 0, 16]
    # In [-1, 1] from corner to corner the outer pixels' centres are half a pixel inside.
    assert row[16].item() == pytest.approx(100 / 255, abs=1e-6)
    assert row[0].item() == pytest.approx(4 * (1 - 32 / 33) / 2 * 50 / 255, abs=1e-6)
