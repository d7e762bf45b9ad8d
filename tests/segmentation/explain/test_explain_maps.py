"""Receptive fields, maps, grades and perturbations, against what can be worked out by hand."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers import tiny
from segmentation.errors import ExplainError
from segmentation.explain import (
    ablation,
    colormap,
    perturbations,
    probability_maps,
    receptive_field,
)
from segmentation.inference import metrics
from segmentation.networks.unet import UNet


class Known(nn.Module):
    """Three convolutions and a pooling: a receptive field that can be worked out by hand."""

    def __init__(self, *, pooled: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2, padding=1),  # field 3, jump 2
            nn.MaxPool2d(2),  # field 3 + 1 * 2 = 5, jump 4
            nn.Conv2d(4, 4, 3, padding=2, dilation=2),  # field 5 + 4 * 4 = 21, jump 4
            nn.Conv2d(4, 2, 1),
        )
        self.pooled = pooled
        torch.manual_seed(3)
        for module in self.layers:
            if isinstance(module, nn.Conv2d):
                nn.init.uniform_(module.weight, 0.1, 1.0)  # nothing cancels

    def forward(self, batch):
        logits = self.layers(batch)
        if self.pooled:
            logits = logits + logits.mean(dim=(2, 3), keepdim=True)
        return {"out": logits}


@pytest.fixture
def ones():
    return torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(2))


# the map is 16 x 24 cells of 4 px; pixel (30, 50) lies in the middle half of cells 7 and 12
CENTRE = (30, 50)


def test_the_theoretical_field_is_the_formula(ones):
    # one cell: 5 px wide, shifted by the padding; the dilated kernel adds 8 px on each side;
    # bilinear reading of two cells adds one jump
    box = receptive_field.theoretical_receptive_field(Known().eval(), ones, CENTRE, (64, 96))
    rows = receptive_field.sample_at(CENTRE, (16, 24), (64, 96)).rows
    assert rows == (7, 8)
    # cell i of the pooled map reads input rows 4 i - 1 to 4 i + 3
    assert box == (4 * (7 - 2) - 1, 4 * (12 - 2) - 1, 4 * (8 + 2) + 4, 4 * (13 + 2) + 4)
    assert box[2] - box[0] == 21 + 4


def test_the_theoretical_field_is_cut_at_the_edges(ones):
    box = receptive_field.theoretical_receptive_field(Known().eval(), ones, (0, 0), (64, 96))
    assert box == (0, 0, 4 * 2 + 4, 4 * 2 + 4)


@pytest.mark.parametrize("pixel", [(30, 50), (0, 0), (63, 95), (17, 90)])
def test_the_gradient_never_leaves_the_theoretical_field_and_reaches_its_edges(pixel):
    # average instead of max pooling, so that every input counts
    network = Known().eval()
    network.layers[1] = nn.AvgPool2d(2)
    batch = torch.rand(1, 3, 64, 96)
    field = receptive_field.effective_receptive_field(network, batch, pixel, (64, 96), 1)
    rows, columns = np.flatnonzero(field.sum(axis=1)), np.flatnonzero(field.sum(axis=0))
    support = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    assert support == receptive_field.theoretical_receptive_field(network, batch, pixel, (64, 96))
    assert field.sum() == pytest.approx(1.0, abs=1e-5)


def test_the_field_of_a_u_net_with_transposed_convolutions_is_its_gradients_support():
    network = UNet(num_classes=2, channels=(3, 4)).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.uniform_(module.weight, 0.1, 1.0)
    batch = torch.rand(1, 3, 30, 33)
    # the largest of four is one pixel: shift the pooling's choice by asking many pixels at once
    box = receptive_field.theoretical_receptive_field(network, batch, (15, 16), (30, 33))
    reached = np.zeros((30, 33))
    for seed in range(6):
        batch = torch.rand(1, 3, 30, 33, generator=torch.Generator().manual_seed(seed))
        reached += receptive_field.effective_receptive_field(network, batch, (15, 16), (30, 33), 0)
    rows, columns = np.flatnonzero(reached.sum(axis=1)), np.flatnonzero(reached.sum(axis=0))
    assert (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) == box


def test_image_pooling_sees_everything_and_can_be_left_out(ones):
    pooled = Known(pooled=True).eval()
    assert receptive_field.theoretical_receptive_field(pooled, ones, CENTRE, (64, 96)) == (
        0,
        0,
        64,
        96,
    )
    alone = receptive_field.theoretical_receptive_field(
        pooled, ones, CENTRE, (64, 96), pooling=False
    )
    assert alone == receptive_field.theoretical_receptive_field(
        Known().eval(), ones, CENTRE, (64, 96)
    )


def test_a_program_has_a_field_too(tiny_program):
    import segmentation

    model = segmentation.load(tiny_program, device="cpu").model
    batch = torch.rand(1, 3, 64, 64)
    # stride 4 without overlap, photo as large as the batch: cells 7 and 8 are rows 28 to 35
    box = receptive_field.theoretical_receptive_field(model.network, batch, (31, 31), (64, 64))
    assert box == (28, 28, 36, 36)
    field = receptive_field.effective_receptive_field(
        model.network, batch, (31, 31), (64, 64), tiny.CAT
    )
    assert field[28:36, 28:36].sum() == pytest.approx(1.0, abs=1e-5)


def test_a_network_without_gradient_is_told():
    class Deaf(nn.Module):
        def forward(self, batch):
            return {"out": batch.detach()[:, :2]}

    with pytest.raises(ExplainError, match="this model provides no gradient"):
        receptive_field.effective_receptive_field(Deaf(), torch.rand(1, 3, 8, 8), (1, 1), (8, 8), 0)


def test_the_energy_box_holds_its_share():
    field = np.zeros((20, 30))
    field[5:15, 10:20] = 1
    assert receptive_field.energy_box(field, 1.0) == (5, 10, 15, 20)
    assert receptive_field.energy_box(field, 0.7) == (6, 11, 14, 19)
    assert receptive_field.scale_box((5, 10, 15, 20), (20, 30), (40, 90)) == (10, 30, 30, 60)


def test_bilinear_weights_equal_torchs():
    logits = torch.rand(1, 1, 5, 7)
    large = nn.functional.interpolate(logits, size=(31, 40), mode="bilinear", align_corners=False)
    for pixel in [(0, 0), (30, 39), (15, 3), (9, 21)]:
        sample = receptive_field.sample_at(pixel, (5, 7), (31, 40))
        corners = logits[0, 0].numpy()[np.ix_(sample.rows, sample.columns)]
        mixed = (corners * np.array(sample.weights)).sum()
        assert mixed == pytest.approx(large[0, 0][pixel].item(), abs=1e-5)


# ---- maps and scores


def test_maps_of_certain_and_undecided_pixels():
    logits = torch.zeros(4, 2, 2)
    logits[2, 0, 0] = 100.0
    entropy = probability_maps.entropy_map(logits, (2, 2))
    assert entropy[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert entropy[1, 1] == pytest.approx(2.0)  # four equal classes: two bits
    np.testing.assert_allclose(
        probability_maps.class_probability_map(logits, 2, (2, 2)),
        [[1, 0.25], [0.25, 0.25]],
        atol=1e-6,
    )
    with pytest.raises(ExplainError, match="no class 4: they go from 0 to 3"):
        probability_maps.class_probability_map(logits, 4, (2, 2))


def test_probabilities_agree_with_the_results_own(tiny_program):
    import segmentation

    result = segmentation.load(tiny_program, device="cpu").predict(tiny.photo())
    maps = probability_maps.probability_maps(result.logits, result.class_map.shape)
    np.testing.assert_array_equal(maps.argmax(dim=0).numpy(), result.class_map)
    np.testing.assert_allclose(maps[:, 40, 90], result.probabilities_at(40, 90), atol=1e-5)


def test_scores_name_what_is_there_and_how_sure(tiny_program):
    import segmentation

    result = segmentation.load(tiny_program, device="cpu").predict(tiny.photo())
    scores = probability_maps.class_scores(result)
    assert {s.name for s in scores[:4]} == {"__background__", "person", "cat", "dog"}
    assert sum(s.fraction for s in scores) == pytest.approx(1.0)
    assert all(s.best > 0.9 for s in scores[:4])
    assert all(s.fraction == 0 for s in scores[4:])


# ---- side by side


def test_agreement_is_symmetric_and_counts_pixels(rng):
    maps = [rng.integers(0, 3, (20, 30), dtype=np.uint8) for _ in range(3)]
    table = metrics.agreement(maps)
    np.testing.assert_array_equal(table, table.T)
    np.testing.assert_array_equal(np.diag(table), 1)
    assert table[0, 2] == (maps[0] == maps[2]).mean()


def test_disagreement_counts_different_answers():
    maps = [np.array([[0, 1, 2, 3]]), np.array([[0, 1, 5, 4]]), np.array([[0, 9, 2, 5]])]
    np.testing.assert_array_equal(metrics.disagreement(maps), [[0, 1, 1, 2]])


def test_models_with_other_numbers_are_compared_by_name():
    maps = [np.array([[0, 1, 2]], np.uint8), np.array([[0, 2, 1]], np.uint8)]
    joint, names = metrics.joint_classes(
        maps, [("__background__", "cat", "diningtable"), ("background", "dining table", "cat")]
    )
    np.testing.assert_array_equal(joint[0], joint[1])
    assert names == ("background", "cat", "dining table")


def test_changed_pixels_count_where_both_show_something():
    before = np.array([[1, 1, 2, 2]], np.uint8)
    after = np.array([[1, 3, 2, 3]], np.uint8)
    assert metrics.changed_pixels(before, after)[1] == 0.5
    changed, share = metrics.changed_pixels(before, after, np.array([[True, True, True, False]]))
    assert share == pytest.approx(1 / 3)
    np.testing.assert_array_equal(changed, [[False, True, False, False]])
    with pytest.raises(ExplainError, match="label the same photo"):
        metrics.changed_pixels(before, after.T)


# ---- grades


def test_iou_on_masks_made_by_hand():
    mask = np.zeros((4, 6), bool)
    truth = np.zeros((4, 6), bool)
    mask[1:3, 0:4] = True  # 8 pixels
    truth[1:3, 2:6] = True  # 8 pixels, 4 in common
    found = metrics.grade(mask, truth)
    assert (found.true_positive, found.false_negative, found.false_positive) == (4, 4, 4)
    assert found.iou == pytest.approx(1 / 3)
    assert found.precision == found.recall == 0.5
    marks = metrics.confusion_map(mask, truth)
    np.testing.assert_array_equal(marks[1], [3, 3, 1, 1, 2, 2])
    assert not marks[0].any()


def test_iou_of_equal_disjoint_and_empty_masks():
    mask = np.eye(3, dtype=bool)
    assert metrics.grade(mask, mask).iou == 1
    assert metrics.grade(mask, ~mask).iou == 0
    assert metrics.grade(~(mask | True), ~(mask | True)).iou == 1


def test_pixels_that_the_truth_leaves_open_count_for_nobody():
    mask, truth = np.array([[True, True, False]]), np.array([[True, False, True]])
    found = metrics.grade(mask, truth, np.array([[False, True, True]]))
    assert (found.true_positive, found.false_negative, found.false_positive) == (1, 0, 0)
    with pytest.raises(ExplainError, match="cannot be graded"):
        metrics.grade(mask, truth.T)


# ---- breaking


def coded(height=32, width=48) -> np.ndarray:
    """A picture that carries each pixel's label in red."""
    rows, columns = np.mgrid[:height, :width]
    red = (rows // 16 * 3 + columns // 16) * 40
    return np.stack([red, red * 0, red * 0], axis=2).astype(np.uint8)


@pytest.mark.parametrize("name", ["rotate_90", "rotate_180", "corner", "patch", "shrink"])
def test_labels_come_back_to_the_pixels_that_they_belong_to(name):
    # a "network" that reads the label out of red: where nothing is covered, nothing may change
    one = perturbations.PERTURBATIONS[name]
    image = coded()
    before = image[..., 0]
    kept = image.copy()
    after = one.back(one.apply(image)[..., 0], before.shape)
    valid = one.valid(before.shape)
    changed, share = metrics.changed_pixels(before, after, valid)
    assert share == 0, changed
    np.testing.assert_array_equal(image, kept)  # the photo itself is never painted


def test_each_perturbation_does_what_it_says(rng):
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    changed = {name: one.apply(image) for name, one in perturbations.PERTURBATIONS.items()}
    assert len(changed) == 8
    np.testing.assert_array_equal(changed["rotate_90"], np.rot90(image))
    np.testing.assert_array_equal(changed["rotate_180"], image[::-1, ::-1])
    assert changed["shrink"].shape == (5, 7, 3)
    grey = changed["grey"]
    assert (grey[..., 0] == grey[..., 2]).all()
    np.testing.assert_array_equal(changed["corner"], image[:20, :30])
    assert (changed["patch"][12:28, 18:42] == 127).all()
    assert (changed["patch"][:12] == image[:12]).all()
    assert perturbations.PERTURBATIONS["patch"].valid((40, 60)).sum() == 40 * 60 - 16 * 24
    assert changed["blur"].std() < image.std() / 2
    assert changed["jpeg_5"].shape == image.shape
    assert not np.array_equal(changed["jpeg_5"], image)


def test_tiny_pictures_survive_every_perturbation():
    for one in perturbations.PERTURBATIONS.values():
        out = one.apply(np.zeros((1, 1, 3), np.uint8))
        assert one.back(out[..., 0], (1, 1)).shape == (1, 1)


def test_the_heat_scale_rises_evenly_in_lightness():
    scale = colormap.apply_colormap(np.linspace(0, 1, 256)[None])[0]
    grey = np.asarray(Image.fromarray(scale[None]).convert("L"), int)[0]
    assert (np.diff(grey) >= 0).all()
    assert grey[-1] - grey[0] > 150
    np.testing.assert_array_equal(
        colormap.apply_colormap(np.array([[-1.0, 2.0, np.nan]]))[0, 2], scale[0]
    )


def test_equal_logits_give_an_equal_result(tiny_program):
    import segmentation

    result = segmentation.load(tiny_program, device="cpu").predict(tiny.photo())
    again = ablation.replace_logits(result, result.logits[None].clone())
    np.testing.assert_array_equal(again.class_map, result.class_map)
    np.testing.assert_array_equal(again.confidence, result.confidence)
    shifted = result.logits.clone()
    shifted[tiny.DOG] += 1000
    assert (ablation.replace_logits(result, shifted).class_map == tiny.DOG).all()
