import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segmentation import postprocess
from segmentation.postprocess import decide, pixel_logits


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


@pytest.mark.parametrize("piece", [1, 1000, 1 << 30])
@pytest.mark.parametrize("threads", [1, 3])
def test_pieces_and_threads_change_nothing(monkeypatch, piece, threads):
    logits = torch.randn((21, 33, 44), generator=torch.Generator().manual_seed(1))
    expected = decide(logits, (200, 90))
    monkeypatch.setattr(postprocess, "PIECE_VALUES", piece)
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
