"""Calibration, temperature, prediction sets and accuracy near outlines, on numbers made by hand."""

import math

import numpy as np
import pytest
import torch

from segmentation.inference.postprocessing import (
    decide,
    decide_with_sets,
    prediction_set,
    set_sizes,
)
from training.calibration import (
    PixelSample,
    best_temperature,
    calibration_error,
    check_sets,
    reliability,
    set_threshold,
)
from training.optim.metrics import OutlineAccuracy, outline


def test_reliability_and_error_by_hand():
    confidence = torch.tensor([0.95, 0.95, 0.55, 0.55])
    right = torch.tensor([True, False, True, True])
    low, high = reliability(confidence, right)
    assert low == pytest.approx((0.5, 0.55, 1.0), abs=1e-6)
    assert high == pytest.approx((0.5, 0.95, 0.5), abs=1e-6)
    assert calibration_error(confidence, right) == pytest.approx(0.5 * 0.45 + 0.5 * 0.45, abs=1e-6)


def test_a_confidence_of_one_falls_into_the_last_bin():
    assert reliability(torch.tensor([1.0]), torch.tensor([True])) == [(1.0, 1.0, 1.0)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_sharpened_logits_is_found(temperature):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 5, generator=generator) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    assert best_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_the_threshold_is_the_quantile_with_its_correction():
    # the true class's probabilities are 0.01 to 0.99: rank ceil(100 * 0.95) = 95 of 99 scores
    true = torch.arange(1, 100).double() / 100
    probabilities = torch.stack([true, 1 - true], 1).float()
    threshold = set_threshold(probabilities, torch.zeros(99, dtype=torch.long), 0.95)
    assert threshold == pytest.approx(0.05, abs=1e-6)
    few = set_threshold(probabilities[:10], torch.zeros(10, dtype=torch.long), 0.95)
    assert few == 0.0


def test_sets_by_hand():
    probabilities = np.array([[0.7, 0.5, 0.25], [0.2, 0.4, 0.25], [0.1, 0.1, 0.25], [0, 0, 0.25]])
    sizes = set_sizes(probabilities, np.ones(3), 0.3)
    assert sizes.tolist() == [1, 2, 2]  # where none reaches the threshold, the two likeliest
    assert prediction_set(probabilities[:, 1], 0.3) == (0, 1)
    assert prediction_set(probabilities[:, 2], 0.3) == (0, 1)
    assert prediction_set(probabilities[:, 2], 0.25) == (0, 1, 2, 3)


def test_coverage_by_hand():
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1]])
    found = check_sets(probabilities, torch.tensor([0, 1, 2]), 0.3)
    assert found["coverage"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["sizes"] == pytest.approx({"1": 1 / 3, "2": 2 / 3}, abs=1e-4)
    assert found["accuracy"] == {"1": 1.0, "2": 0.0}


def test_a_sample_takes_every_fifth_pixel_that_is_known():
    labels = torch.full((10, 10), 255)
    labels[2, 2], labels[2, 7], labels[3, 3] = 0, 1, 1
    logits = torch.zeros(2, 10, 10)
    logits[0] = math.log(3)  # three to one for class 0
    sample = PixelSample(2)
    sample.update(labels, logits)
    calibration = sample.figures()["calibration"]
    assert calibration["bins"] == [{"share": 1.0, "confidence": 0.75, "accuracy": 0.5}]
    assert calibration["ece"] == pytest.approx(0.25)
    assert PixelSample(2).figures() == {}


def test_sets_are_checked_on_photos_that_the_threshold_has_not_seen():
    generator = torch.Generator().manual_seed(1)
    sample = PixelSample(3)
    for _ in range(40):
        logits = torch.randn(3, 50, 50, generator=generator) * 2
        weights = logits.softmax(0).flatten(1).T
        labels = torch.multinomial(weights, 1, generator=generator)[:, 0].view(50, 50)
        sample.update(labels, logits)
    sets = sample.figures()["sets"]
    assert sets["photos"] == [20, 20]
    assert sets["coverage"] == pytest.approx(0.95, abs=0.015)
    assert sum(sets["sizes"].values()) == pytest.approx(1, abs=1e-3)


def test_set_sizes_follow_from_the_upsampled_logits():
    logits = torch.randn(6, 7, 9, generator=torch.Generator().manual_seed(2)) * 2
    size = (33, 41)
    *maps, sizes = decide_with_sets(logits, size, 0.2)
    for ours, theirs in zip(maps, decide(logits, size), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    upsampled = torch.nn.functional.interpolate(
        logits[None].double(), size, mode="bilinear", align_corners=False
    )[0].softmax(0)
    expected = (upsampled >= 0.2).sum(0)
    expected[expected == 0] = 2
    clear = ((upsampled - 0.2).abs() > 1e-5).all(0).numpy()
    np.testing.assert_array_equal(sizes[clear], expected.numpy()[clear])
    assert clear.mean() > 0.99
    assert set(np.unique(sizes).tolist()) >= {1, 2, 3}


def test_set_sizes_of_a_large_photo_are_those_of_its_rows():
    logits = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(3))
    class_map, _, _, sizes = decide_with_sets(logits, (1800, 2000), 0.3)  # where `decide` is short
    part = torch.nn.functional.interpolate(
        logits[None], (1800, 2000), mode="bilinear", align_corners=False
    )[0, :, 900:910].softmax(0)
    expected = (part >= 0.3).sum(0)
    expected[expected == 0] = 2
    assert (torch.from_numpy(sizes[900:910]) == expected).double().mean() > 0.9999
    np.testing.assert_array_equal(class_map, decide(logits, (1800, 2000))[0])


def test_outlines_are_both_sides_of_an_edge():
    labels = torch.tensor([[0, 0, 1], [0, 0, 1], [2, 0, 1]])
    expected = torch.tensor([[0, 1, 1], [1, 1, 1], [1, 1, 1]], dtype=torch.bool)
    assert torch.equal(outline(labels), expected)
    assert not outline(torch.zeros(4, 4)).any()


def test_only_pixels_near_an_outline_count():
    labels = torch.zeros(1, 30, dtype=torch.long)
    labels[:, 15:] = 1  # outline at columns 14 and 15: within 5 px are 9 to 20
    given = labels.clone()
    given[:, 9:12] = 1  # three of twelve wrong
    given[:, 0:5] = 1  # far from the outline: not counted
    near = OutlineAccuracy(2)
    near.update(labels, given)
    assert (near.hits, near.pixels) == (9, 12)
    assert near.accuracy() == pytest.approx(0.75)
    assert math.isnan(OutlineAccuracy(2).accuracy())


def test_the_strip_that_voc_leaves_open_is_an_outline_but_does_not_count():
    labels = torch.zeros(1, 30, dtype=torch.long)
    labels[:, 14:16] = 255
    labels[:, 16:] = 1
    near = OutlineAccuracy(2)
    near.update(labels, labels)
    assert near.pixels == near.hits == 12  # from the outlines at 13 and 16: columns 8-13 and 16-21
