import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segmentation import cells, postprocess
from segmentation.postprocess import decide, pixel_logits
from segmentation.upsampling import make_taps


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


@pytest.fixture
def shortcuts(monkeypatch):
    """Small maps go the way of 12 megapixels; returns how often it was taken, block by block."""
    taken = []
    fill = postprocess.fill_confidence

    def counted(*arguments):
        taken.append(1)
        fill(*arguments)

    monkeypatch.setattr(postprocess, "ENLARGED_PIXELS", 1)
    monkeypatch.setattr(postprocess, "ENLARGED", 1)
    monkeypatch.setattr(cells, "LEAST_AGREED", -1.0)  # however many cells have to be computed
    monkeypatch.setattr(postprocess, "fill_confidence", counted)
    return taken


def smooth(classes, height, width, seed, step=1.0):
    """Blobs: noise of a coarse grid enlarged, about `step` from pixel to pixel."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn((classes, 2 + height // 8, 2 + width // 8), generator=generator)
    return whole(coarse * 8 * step, (height, width)).contiguous()


def rough(classes, height, width, seed, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((classes, height, width), generator=generator) * scale


def assert_like_torch(logits, size, atol=2e-6):
    """Classes bit for bit as without shortcuts, and all three as torch has them."""
    class_map, confidence, runner_up = decide(logits, size)
    source = logits.numpy()
    taps = [make_taps(n, target) for n, target in zip(source.shape[1:], size, strict=True)]
    plain = tuple(np.empty_like(array) for array in (class_map, confidence, runner_up))
    postprocess._decide_all(source, *taps, plain)
    np.testing.assert_array_equal(class_map, plain[0])
    np.testing.assert_array_equal(runner_up, plain[2])
    np.testing.assert_allclose(confidence, plain[1], rtol=0, atol=atol)
    values = whole(logits, size)
    expected = values.double().softmax(0).max(0).values.numpy()
    # Twice that, because torch rounds a position in another order, also without shortcuts.
    np.testing.assert_allclose(confidence, expected, rtol=0, atol=2 * atol)
    assert confidence.max() <= 1
    assert confidence.min() > 0
    ordered = values.sort(dim=0, descending=True, stable=True).indices.numpy()
    # Where torch rounds a sum of products otherwise, two nearly equal classes may change places.
    assert (class_map != ordered[0]).mean() < 1e-4
    assert (runner_up != ordered[1]).mean() < 1e-4


ENLARGED = [
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
    ((21, 9, 200), (50, 700)),  # several tiles side by side
    ((21, 90, 12), (500, 70)),  # several blocks
]


@pytest.mark.parametrize(("shape", "size"), ENLARGED)
@pytest.mark.parametrize("make", [smooth, rough])
def test_the_shortcuts_change_nothing(shortcuts, shape, size, make):
    assert_like_torch(make(*shape, seed=4), size)
    assert shortcuts


@pytest.mark.parametrize("step", [0.01, 0.1, 3.0, 30.0])
def test_the_shortcuts_at_any_steepness(shortcuts, step):
    # At large logits float32 itself has no more digits: 2**-24 of them, in each of several terms.
    logits = smooth(21, 24, 31, seed=5, step=step)
    assert_like_torch(logits, (140, 190), atol=max(2e-6, float(logits.abs().max()) * 2**-23))
    assert shortcuts


@pytest.mark.parametrize("large", [1e4, -1e4])
def test_huge_logits(shortcuts, large):
    logits = rough(6, 9, 11, seed=6, scale=1.0)
    logits[2, 3:6] += large
    logits[4, :, 5:] += large
    assert_like_torch(logits, (80, 90), atol=5e-3)  # at 1e4 a float32 has steps of 1e-3
    assert shortcuts


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_ties_inside_and_between_cells(shortcuts, levels):
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


def test_a_class_that_is_nowhere_first_at_a_corner_may_win_inside(shortcuts):
    left, right = (
        torch.tensor([5.0, 4.0, -9.0, -9.0, 1.0]),
        torch.tensor([-9.0, -9.0, 5.0, 4.0, 1.0]),
    )
    logits = torch.stack([left, right], dim=1)[:, None].repeat(1, 2, 1)  # (5, 2, 2)
    class_map, _, _ = decide(logits, (60, 60))
    assert 4 in class_map
    assert_like_torch(logits, (60, 60))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing_of_the_shortcuts(shortcuts, monkeypatch, threads):
    logits = smooth(21, 90, 100, seed=8)
    expected = decide(logits, (700, 800))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    for ours, theirs in zip(decide(logits, (700, 800)), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(shortcuts) == 8


@pytest.mark.parametrize("size", [(120, 150), (30, 20)])
def test_the_order_in_memory_changes_nothing(shortcuts, size):
    logits = smooth(21, 20, 26, seed=11)
    last = logits.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # channels_last
    for ours, theirs in zip(decide(last, size), decide(logits, size), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_pixel_asked_alone_agrees_with_the_shortcuts(shortcuts):
    logits, size = smooth(21, 20, 26, seed=9), (150, 190)
    class_map, confidence, _ = decide(logits, size)
    for y in range(0, size[0], 7):
        for x in range(0, size[1], 3):
            values = torch.from_numpy(pixel_logits(logits, size, y, x))
            assert values.argmax() == class_map[y, x]
            assert values.softmax(0).max() == pytest.approx(confidence[y, x], abs=2e-6)


def test_where_nothing_agrees_everything_is_upsampled(shortcuts, monkeypatch):
    monkeypatch.setattr(cells, "LEAST_AGREED", 0.5)
    assert_like_torch(rough(21, 20, 30, seed=10), (100, 150))
    assert not shortcuts


def test_the_shortcuts_are_taken_where_they_pay_only(monkeypatch):
    taken = []
    monkeypatch.setattr(postprocess, "_decide_enlarged", lambda *_: taken.append("enlarged"))
    monkeypatch.setattr(postprocess, "_decide_all", lambda *_: taken.append("all"))
    decide(torch.zeros(2, 65, 87), (3000, 4000))
    decide(torch.zeros(2, 1100, 1200), (3000, 4000))  # few pixels for each logit
    decide(torch.zeros(2, 65, 87), (480, 640))  # a small photo
    assert taken == ["enlarged", "all", "all"]
