"""Smoothing over time: what stands still does not flicker, what moves is followed at once."""

import itertools

import numpy as np
import pytest
import torch

from segmentation.video.smoothing import Smoother

HEIGHT, WIDTH = 24, 32
FRAME = 1 / 8  # seconds


def picture(left: int | None = None, rng: np.random.Generator | None = None) -> np.ndarray:
    """A grey frame of 8 pixels a cell, with a bright square of 6 cells, and camera noise."""
    image = np.full((HEIGHT * 8, WIDTH * 8, 3), 90, np.uint8)
    if left is not None:
        image[64:112, left * 8 : (left + 6) * 8] = 210
    if rng is not None:
        noise = rng.normal(0, 6, image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image


def answer(left: int | None, noise: float = 0.0, rng: np.random.Generator | None = None):
    """(2, h, w) logits: class 1 in the square, class 0 elsewhere, by two units."""
    logits = np.zeros((2, HEIGHT, WIDTH), np.float32)
    logits[0] = 2.0
    if left is not None:
        logits[0, 8:14, left : left + 6], logits[1, 8:14, left : left + 6] = 0.0, 2.0
    if noise:
        logits += rng.normal(0, noise, logits.shape).astype(np.float32)
    return torch.from_numpy(logits)


def flicker(frames: list[np.ndarray]) -> float:
    """Share of labels that change from one frame to the next."""
    return float(np.mean([a != b for a, b in itertools.pairwise(frames)]))


def test_a_static_noisy_scene_flickers_far_less(rng):
    smoother = Smoother()
    raw, smooth = [], []
    for _ in range(40):
        logits = answer(10, noise=2.0, rng=rng)
        raw.append(logits.argmax(0).numpy())
        smooth.append(smoother(logits, picture(10, rng), FRAME).argmax(0).numpy())
    assert flicker(raw) > 0.2
    assert flicker(smooth[5:]) < 0.2 * flicker(raw)
    truth = answer(10).argmax(0).numpy()
    assert np.mean(smooth[-1] == truth) > np.mean(raw[-1] == truth)


def test_two_equal_classes_do_not_take_turns(rng):
    smoother = Smoother()
    held, free = [], []
    loose = Smoother(hysteresis=1.0)
    for _ in range(40):
        logits = torch.from_numpy(rng.normal(0, 0.3, (2, HEIGHT, WIDTH)).astype(np.float32))
        held.append(smoother(logits, picture(), FRAME).argmax(0).numpy())
        free.append(loose(logits, picture(), FRAME).argmax(0).numpy())
    assert flicker(held[5:]) < 0.5 * flicker(free[5:])


def test_a_moved_object_is_followed_in_the_same_frame_and_leaves_no_ghost(rng):
    smoother = Smoother()
    for _ in range(10):
        smoother(answer(4), picture(4, rng), FRAME)
    moved = smoother(answer(16), picture(16, rng), FRAME).argmax(0).numpy()
    np.testing.assert_array_equal(moved, answer(16).argmax(0).numpy())


def test_a_new_answer_without_motion_is_followed_within_half_a_second():
    smoother = Smoother()
    for _ in range(10):
        smoother(answer(None), picture(), FRAME)
    labels = [smoother(answer(4), picture(), FRAME).argmax(0).numpy() for _ in range(4)]
    truth = answer(4).argmax(0).numpy()
    assert not np.array_equal(labels[0], truth)
    np.testing.assert_array_equal(labels[-1], truth)


def test_the_mean_is_browns_formula_in_seconds():
    smoother = Smoother(seconds=0.5, hysteresis=1.0)
    first, second = answer(None), answer(4)
    smoother(first, picture(), FRAME)
    scores = smoother(second, picture(), 0.2).numpy()
    weight = 1 - np.exp(-0.2 / 0.5)
    expected = (1 - weight) * first.softmax(0).numpy() + weight * second.softmax(0).numpy()
    np.testing.assert_allclose(np.exp(scores), expected, atol=1e-6)


def test_one_long_step_counts_as_two_short_ones():
    fine, coarse = Smoother(hysteresis=1.0), Smoother(hysteresis=1.0)
    for smoother in (fine, coarse):
        smoother(answer(None), picture(), FRAME)
    fine(answer(4), picture(), 0.1)
    twice = fine(answer(4), picture(), 0.1)
    once = coarse(answer(4), picture(), 0.2)
    np.testing.assert_allclose(twice.numpy(), once.numpy(), atol=1e-5)


def test_more_light_is_no_motion():
    smoother = Smoother(hysteresis=1.0)
    smoother(answer(None), picture(), FRAME)
    brighter = smoother(answer(4), np.minimum(picture() + np.uint8(30), 255), FRAME)
    same = Smoother(hysteresis=1.0)
    same(answer(None), picture(), FRAME)
    np.testing.assert_array_equal(brighter.numpy(), same(answer(4), picture(), FRAME).numpy())


def test_the_present_label_has_the_odds_that_were_asked_for():
    smoother = Smoother(hysteresis=1.3)
    logits = answer(None)
    smoother(logits, picture(), FRAME)
    scores = smoother(logits, picture(), FRAME).numpy()
    odds = np.exp(scores[0] - scores[1])
    np.testing.assert_allclose(odds, 1.3 * np.exp(2.0), rtol=1e-4)


def test_another_size_begins_anew_and_little_is_kept():
    smoother = Smoother()
    smoother(answer(4), picture(4), FRAME)
    logits = torch.randn(3, 10, 12, generator=torch.Generator().manual_seed(0))
    scores = smoother(logits, picture(4), FRAME)
    np.testing.assert_allclose(scores.numpy(), logits.log_softmax(0).numpy(), atol=1e-5)
    assert smoother.nbytes == 10 * 12 * (3 * 4 + 3 * 4 + 1)
    smoother.reset()
    assert smoother.nbytes == 0


def test_a_grid_that_is_finer_than_any_network_sees_is_halved():
    logits = torch.zeros(2, 192, 256)
    logits[1, 64:128, 128:] = 3.0
    scores = Smoother()(logits, picture(), FRAME)
    expected = logits[:, ::2, ::2].log_softmax(0)
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"hysteresis": 0.9}])
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="above 0"):
        Smoother(**wrong)
