"""Blending against the formula in float64."""

import numpy as np
import pytest

from segmentation.errors import PaletteError
from segmentation.overlay import blend


@pytest.fixture
def every_pair():
    """(256, 256, 3) images in which each value meets each other value."""
    image = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, 1)
    return np.stack([image, image, image], -1), np.stack([image.T, image.T, image], -1)


@pytest.mark.parametrize("alpha", [0, 0.1, 0.25, 1 / 3, 0.5, 0.55, 0.75, 0.999, 1, np.float32(0.6)])
def test_every_pair_of_values_is_the_rounded_formula(every_pair, alpha):
    image, colors = every_pair
    alpha64 = float(alpha)
    expected = np.rint((1 - alpha64) * image.astype(np.float64) + alpha64 * colors)
    result = blend(image, colors, alpha)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


def test_the_ends_are_exact(every_pair):
    image, colors = every_pair
    np.testing.assert_array_equal(blend(image, colors, 0), image)
    np.testing.assert_array_equal(blend(image, colors, 1), colors)


def test_half_rounds_to_even():
    image, colors = np.full((1, 2, 3), 0, np.uint8), np.zeros((1, 2, 3), np.uint8)
    colors[0, 0], colors[0, 1] = 1, 3  # 0.5 and 1.5
    assert blend(image, colors, 0.5)[0, :, 0].tolist() == [0, 2]


def test_large_pictures_are_blended_alike_in_strips(rng):
    image, colors = rng.integers(0, 256, (2, 301, 777, 3), dtype=np.uint8)
    expected = np.rint((1 - 0.55) * image.astype(float) + 0.55 * colors)
    np.testing.assert_array_equal(blend(image, colors, 0.55), expected)
    turned = blend(image.swapaxes(0, 1), colors.swapaxes(0, 1), 0.55)
    np.testing.assert_array_equal(turned, expected.swapaxes(0, 1))


def test_pixels_outside_the_mask_are_untouched(rng):
    image, colors = rng.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    mask = rng.random((20, 30)) < 0.5
    result = blend(image, colors, 0.7, mask=mask)
    np.testing.assert_array_equal(result[~mask], image[~mask])
    np.testing.assert_array_equal(result[mask], blend(image, colors, 0.7)[mask])


def test_the_result_is_new_and_the_arguments_stay(rng):
    image, colors = rng.integers(0, 256, (2, 5, 6, 3), dtype=np.uint8)
    before = image.copy(), colors.copy()
    for alpha in (0, 0.5, 1):
        result = blend(image, colors, alpha, mask=np.zeros((5, 6), bool))
        result[:] = 0
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(colors, before[1])


def test_an_empty_picture_stays_empty():
    empty = np.zeros((0, 4, 3), np.uint8)
    assert blend(empty, empty, 0.5).shape == (0, 4, 3)


@pytest.mark.parametrize("alpha", [-0.01, 1.01, 55, float("nan"), float("inf")])
def test_alpha_outside_its_range_is_refused_with_the_value(alpha):
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(PaletteError, match=f"alpha is {alpha}; it goes from 0"):
        blend(image, image, alpha)


@pytest.mark.parametrize(
    ("image", "colors", "mask", "words"),
    [
        ((2, 2, 3), (2, 3, 3), None, r"image \(2, 2, 3\) and colors \(2, 3, 3\) differ"),
        ((2, 2), (2, 2, 3), None, r"image must be \(H, W, 3\) uint8, not \(2, 2\)"),
        ((2, 2, 3), (2, 2, 4), None, r"colors must be \(H, W, 3\) uint8, not \(2, 2, 4\)"),
        ((2, 2, 3), (2, 2, 3), np.zeros((2, 3), bool), r"mask must be \(2, 2\) bool"),
        ((2, 2, 3), (2, 2, 3), np.zeros((2, 2), np.uint8), r"bool, not \(2, 2\) uint8"),
    ],
)
def test_what_does_not_fit_is_refused(image, colors, mask, words):
    with pytest.raises(PaletteError, match=words):
        blend(np.zeros(image, np.uint8), np.zeros(colors, np.uint8), 0.5, mask=mask)


def test_floats_are_refused():
    with pytest.raises(PaletteError, match="float64"):
        blend(np.zeros((2, 2, 3)), np.zeros((2, 2, 3), np.uint8), 0.5)
