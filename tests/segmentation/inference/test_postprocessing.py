import numpy as np
import pytest
import torch
import torch.nn.functional as F

import segmentation
from conftest import ROOT
from segmentation.inference import postprocessing
from segmentation.inference.postprocessing import decide, interpolation_indices, pixel_logits


def whole(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """All upsampled logits at once, by torch: (C, H, W)."""
    return F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]


SIZES = [
    ((21, 13, 17), (100, 151)),  # up
    ((21, 65, 87), (65, 87)),  # as it is
    ((5, 60, 80), (23, 31)),  # down
    ((3, 40, 9), (13, 100)),  # down and up
    ((2, 1, 1), (5, 7)),
    ((21, 7, 9), (1, 1)),
    ((21, 1, 30), (1, 500)),
    ((21, 30, 1), (500, 1)),
    ((256, 4, 5), (16, 18)),
]


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_equals_upsampling_everything_then_deciding(shape, size):
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3
    class_map, confidence, runner_up = decide(logits, size)
    top = whole(logits, size).topk(2, dim=0)
    assert class_map.dtype == np.uint8
    assert runner_up.dtype == np.uint8
    assert confidence.dtype == np.float32
    np.testing.assert_array_equal(class_map, top.indices[0].numpy())
    np.testing.assert_array_equal(runner_up, top.indices[1].numpy())
    expected = whole(logits, size).softmax(0).max(0).values.numpy()
    np.testing.assert_allclose(confidence, expected, atol=1e-6)


@pytest.mark.parametrize("strip", [1, 1000, 1 << 30])
@pytest.mark.parametrize("threads", [1, 3])
def test_strips_and_threads_change_nothing(monkeypatch, strip, threads):
    logits = torch.randn((21, 33, 44), generator=torch.Generator().manual_seed(1))
    expected = decide(logits, (200, 90))
    monkeypatch.setattr(postprocessing, "STRIP_VALUES", strip)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    for ours, theirs in zip(decide(logits, (200, 90)), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_equal_logits_go_to_the_lowest_classes():
    class_map, confidence, runner_up = decide(torch.zeros(4, 2, 2), (3, 3))
    assert (class_map == 0).all()
    assert (runner_up == 1).all()
    np.testing.assert_allclose(confidence, 0.25)


def test_winner_and_runner_up_differ_and_a_sure_winner_has_confidence_one():
    logits = torch.full((256, 1, 1), -1000.0)
    logits[255], logits[7] = 1000.0, 500.0
    class_map, confidence, runner_up = decide(logits, (2, 2))
    assert (class_map == 255).all()
    assert (runner_up == 7).all()
    assert (confidence == 1).all()


@pytest.mark.parametrize(("shape", "size"), SIZES[:5])
def test_every_pixel_asked_alone_agrees_with_the_whole(shape, size):
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    class_map, _, _ = decide(logits, size)
    expected = whole(logits, size).numpy()
    for y in range(0, size[0], 7):
        for x in range(size[1]):
            values = pixel_logits(logits, size, y, x)
            assert values.argmax() == class_map[y, x]
            np.testing.assert_allclose(values, expected[:, y, x], atol=1e-5)


def test_the_logits_are_left_alone():
    logits = torch.randn(3, 4, 5)
    before = logits.clone()
    decide(logits, (4, 5))
    pixel_logits(logits, (4, 5), 1, 1)
    assert torch.equal(logits, before)


def test_three_megapixels_agree_but_for_rounding():
    logits = torch.randn((3, 52, 69), generator=torch.Generator().manual_seed(3))
    class_map, _, _ = decide(logits, (1500, 2000))
    expected = whole(logits, (1500, 2000)).argmax(0).numpy()
    assert (class_map != expected).mean() < 1e-6


def smooth(classes, height, width, seed, step=1.0):
    """Blobs: noise of a coarse grid enlarged, about `step` from pixel to pixel."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn((classes, 2 + height // 8, 2 + width // 8), generator=generator)
    return whole(coarse * 8 * step, (height, width)).contiguous()


def rough(classes, height, width, seed, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((classes, height, width), generator=generator) * scale


def exact_confidence(logits, size):
    """From the same float32 positions, all the rest in float64."""
    source = logits.double().numpy()
    for axis in (1, 2):
        at = interpolation_indices(source.shape[axis], size[axis - 1])
        weight = at.weight.astype(np.float64).reshape(-1, *[1] * (2 - axis))
        left, right = (source.take(index, axis) for index in (at.left, at.right))
        source = left * (1 - weight) + right * weight
    return torch.from_numpy(source).softmax(0).max(0).values.numpy()


def assert_like_torch(logits, size, atol=2e-6):
    """All three maps as torch has them."""
    class_map, confidence, runner_up = decide(logits, size)
    values = whole(logits, size)
    expected = values.double().softmax(0).max(0).values.numpy()
    # Three times that, because torch rounds a position in another order.
    np.testing.assert_allclose(confidence, expected, rtol=0, atol=3 * atol)
    np.testing.assert_allclose(confidence, exact_confidence(logits, size), rtol=0, atol=atol)
    assert confidence.max() <= 1
    assert confidence.min() > 0
    ordered = values.sort(dim=0, descending=True, stable=True).indices.numpy()
    # Where torch rounds a sum of products otherwise, two nearly equal classes may change places.
    assert (class_map != ordered[0]).mean() < 1e-4
    assert (runner_up != ordered[1]).mean() < 1e-4


SHAPES = [
    ((21, 13, 17), (100, 151)),
    ((21, 20, 26), (120, 150)),
    ((2, 13, 17), (100, 151)),
    ((3, 7, 9), (350, 400)),
    ((5, 33, 44), (33, 44)),
    ((21, 30, 40), (47, 61)),
    ((21, 1, 30), (1, 500)),
    ((21, 30, 1), (500, 1)),
    ((5, 2, 2), (61, 67)),
    ((4, 1, 1), (9, 10)),
    ((256, 9, 11), (50, 70)),
    ((21, 9, 200), (50, 700)),
    ((21, 90, 12), (500, 70)),  # several blocks
]


@pytest.mark.parametrize(("shape", "size"), SHAPES)
@pytest.mark.parametrize("make", [smooth, rough])
def test_blobs_and_noise_are_as_torch_has_them(shape, size, make):
    assert_like_torch(make(*shape, seed=4), size)


@pytest.mark.parametrize("step", [0.01, 0.1, 3.0, 30.0])
def test_logits_of_any_steepness(step):
    # At large logits float32 itself has no more digits: 2**-24 of them, in each of several terms.
    logits = smooth(21, 24, 31, seed=5, step=step)
    assert_like_torch(logits, (140, 190), atol=max(2e-6, float(logits.abs().max()) * 2**-23))


@pytest.mark.parametrize("large", [1e4, -1e4])
def test_huge_logits(large):
    logits = rough(6, 9, 11, seed=6, scale=1.0)
    logits[2, 3:6] += large
    logits[4, :, 5:] += large
    assert_like_torch(logits, (80, 90), atol=5e-3)  # at 1e4 a float32 has steps of 1e-3


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_ties_inside_and_between_the_logits(levels):
    generator = torch.Generator().manual_seed(7)
    logits = torch.randint(0, levels, (5, 19, 18), generator=generator).float()
    size = (130, 121)
    assert_like_torch(logits, size)
    class_map, _, runner_up = decide(logits, size)
    for y in range(0, size[0], 11):
        for x in range(0, size[1], 5):
            values = pixel_logits(logits, size, y, x)
            order = np.argsort(-values, kind="stable")
            assert (class_map[y, x], runner_up[y, x]) == tuple(order[:2])


def test_a_class_that_is_nowhere_first_at_a_corner_may_win_inside():
    left, right = (
        torch.tensor([5.0, 4.0, -9.0, -9.0, 1.0]),
        torch.tensor([-9.0, -9.0, 5.0, 4.0, 1.0]),
    )
    logits = torch.stack([left, right], dim=1)[:, None].repeat(1, 2, 1)  # (5, 2, 2)
    class_map, _, _ = decide(logits, (60, 60))
    assert 4 in class_map
    assert_like_torch(logits, (60, 60))


@pytest.mark.parametrize("size", [(120, 150), (30, 20)])
def test_the_order_in_memory_changes_nothing(size):
    logits = smooth(21, 20, 26, seed=11)
    last = logits.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # channels_last
    for ours, theirs in zip(decide(last, size), decide(logits, size), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_pixel_asked_alone_has_its_confidence():
    logits, size = smooth(21, 20, 26, seed=9), (150, 190)
    class_map, confidence, _ = decide(logits, size)
    for y in range(0, size[0], 7):
        for x in range(0, size[1], 3):
            values = torch.from_numpy(pixel_logits(logits, size, y, x))
            assert values.argmax() == class_map[y, x]
            assert values.softmax(0).max() == pytest.approx(confidence[y, x], abs=2e-6)


@pytest.mark.parametrize("photo", ["rocket.jpg", "coffee.jpg"])
def test_logits_of_real_photos(photo):
    logits = segmentation.load("embedded", device="cpu").logits(ROOT / "examples" / photo)
    assert_like_torch(logits, (900, 850))
    assert len(np.unique(decide(logits, (900, 850))[0])) > 1  # there is something to decide
