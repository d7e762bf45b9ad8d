"""What the classroom computes: values that can be worked out by hand or by another way."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.segmentation import (
    deeplabv3_mobilenet_v3_large,
    fcn_resnet50,
    lraspp_mobilenet_v3_large,
)

from segmentation.errors import ExplainError
from segmentation.explain import ablation
from segmentation.explain.aspp import ablated, aspp_of, cell_of, sampling_taps
from segmentation.explain.feature_maps import (
    feature_maps,
    pca_rgb,
    stages_of,
    strongest_channels,
)
from segmentation.models.exported.program import ProgramNetwork
from segmentation.networks.deeplabv3plus import deeplabv3plus_resnet18
from segmentation.networks.unet import UNet

SIZE = (96, 128)
PHOTO = (192, 256)


def seeded(build):
    torch.manual_seed(0)
    return build().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def v3():
    return seeded(
        lambda: deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21)
    )


@pytest.fixture(scope="module")
def plus():
    return seeded(deeplabv3plus_resnet18)


@pytest.fixture(scope="module")
def lraspp():
    return seeded(
        lambda: lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21)
    )


@pytest.fixture(scope="module")
def batch():
    return torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def run(network, batch):
    with torch.inference_mode():
        return network(batch)["out"]


def hooks(network) -> int:
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
        for m in network.modules()
    )


# ---- taking networks apart


@pytest.mark.parametrize("name", ["v3", "plus", "lraspp"])
def test_the_two_halves_give_the_very_numbers_of_the_whole(name, batch, request):
    network = request.getfixturevalue(name)
    halves = ablation.decode(network, ablation.encode(network, batch))
    assert torch.equal(halves, run(network, batch))


def test_a_network_without_halves_is_told(batch):
    with pytest.raises(ExplainError, match="a U-Net cannot be split"):
        ablation.encode(UNet(channels=(4, 8)), batch)


# ---- ASPP


def test_branches_are_found_in_both_kinds(v3, plus):
    names = ["1 × 1", "rate 12", "rate 24", "rate 36", "image pooling"]
    assert [b.name for b in aspp_of(v3).branches] == names
    assert aspp_of(v3).rates == (12, 24, 36)
    assert aspp_of(plus).rates == (6, 12, 18)
    assert [b.kernel for b in aspp_of(plus).branches] == [1, 3, 3, 3, 0]


def test_models_without_aspp_get_a_sentence(lraspp):
    with pytest.raises(ExplainError, match="an LR-ASPP has no atrous spatial pyramid pooling"):
        aspp_of(lraspp)
    with pytest.raises(ExplainError, match="an exported program runs as one piece"):
        aspp_of(ProgramNetwork(nn.Identity(), torch.float32, 1))


@pytest.mark.parametrize("name", ["v3", "plus"])
def test_with_all_branches_on_nothing_changes(name, batch, request):
    network = request.getfixturevalue(name)
    plain = run(network, batch)
    with ablated(network, off=()):
        assert torch.equal(run(network, batch), plain)
    assert torch.equal(run(network, batch), plain)


@pytest.mark.parametrize("name", ["v3", "plus"])
def test_without_any_branch_the_head_sees_zeros(name, batch, request):
    network = request.getfixturevalue(name)
    aspp = aspp_of(network).module
    every = [b.name for b in aspp_of(network).branches]
    seen = []
    handle = aspp.project.register_forward_hook(lambda _m, i, o: seen.append((i[0], o.clone())))
    with ablated(network, off=every):
        run(network, batch)
    handle.remove()
    joined, projected = seen[0]
    assert not joined.any()
    with torch.inference_mode():
        assert torch.equal(projected, aspp.project(torch.zeros_like(joined)))


def test_all_branches_off_equals_the_head_on_zeros(v3, batch):
    every = [b.name for b in aspp_of(v3).branches]
    with ablated(v3, off=every):
        logits = run(v3, batch)
    encoded = ablation.encode(v3, batch)
    aspp, *rest = v3.classifier
    zeros = torch.zeros(1, 5 * 256, *encoded.last.shape[-2:])
    with torch.inference_mode():
        expected = nn.functional.interpolate(
            nn.Sequential(*rest)(aspp.project(zeros)),
            size=SIZE,
            mode="bilinear",
            align_corners=False,
        )
    assert torch.equal(logits, expected)


def test_one_branch_off_changes_the_logits_and_comes_back(plus, batch):
    plain = run(plus, batch)
    with ablated(plus, off=["rate 12"]):
        assert not torch.equal(run(plus, batch), plain)
    assert torch.equal(run(plus, batch), plain)


def test_hooks_are_gone_after_an_exception(v3, plus, batch):
    for network in (v3, plus):
        before = hooks(network)
        with ablated(network, off=["rate 12"]):
            assert hooks(network) == before + 1
        with pytest.raises(ZeroDivisionError), ablated(network, off=["rate 12"]):
            raise ZeroDivisionError
        assert hooks(network) == before
    before = hooks(plus)
    with pytest.raises(ZeroDivisionError), ablation.without_skip(plus):
        raise ZeroDivisionError
    with pytest.raises(RuntimeError):  # a batch that the network refuses, half-way in
        feature_maps(plus, torch.zeros(1, 7, 64, 64))
    assert hooks(plus) == before


def test_an_unknown_branch_is_named_and_leaves_no_hook(plus):
    before = hooks(plus)
    with (
        pytest.raises(ExplainError, match="no branch 'rate 7': this ASPP has 1 × 1, rate 6"),
        ablated(plus, off=["rate 7"]),
    ):
        pass
    assert hooks(plus) == before


def test_taps_lie_rate_times_stride_apart(v3):
    # 96 x 128 at output stride 16 is a map of 6 x 8 cells, each 32 px of a photo of 192 x 256
    aspp = aspp_of(v3)
    taps = {t.branch: t for t in sampling_taps(aspp, (100, 130), (6, 8), PHOTO)}
    assert cell_of((100, 130), (6, 8), PHOTO) == (3, 4)
    np.testing.assert_array_equal(taps["1 × 1"].points, [[112, 144]])
    ys = [112 - 12 * 32, 112, 112 + 12 * 32]
    xs = [144 - 12 * 32, 144, 144 + 12 * 32]
    np.testing.assert_array_equal(taps["rate 12"].points, [[y, x] for y in ys for x in xs])
    assert taps["rate 12"].inside.tolist() == [False] * 4 + [True] + [False] * 4
    assert taps["image pooling"].whole
    assert taps["image pooling"].points.shape == (0, 2)


def test_taps_inside_read_the_cells_that_they_are_drawn_on(plus):
    # a 3 x 3 kernel of ones at rate 6 adds up exactly the cells under the taps that lie inside
    grid, pixel = (14, 20), (3, 150)
    aspp = aspp_of(plus)
    taps = {t.branch: t for t in sampling_taps(aspp, pixel, grid, (140, 200))}["rate 6"]
    features = torch.rand(1, 1, *grid, dtype=torch.float64)
    added = nn.functional.conv2d(
        features, torch.ones(1, 1, 3, 3, dtype=torch.float64), padding=6, dilation=6
    )
    cells = (taps.points[taps.inside] / 10).astype(int)  # a cell is 10 px
    row, column = cell_of(pixel, grid, (140, 200))
    assert taps.inside.sum() == 4
    assert added[0, 0, row, column].item() == pytest.approx(
        features[0, 0][cells[:, 0], cells[:, 1]].sum().item()
    )


# ---- the skip connection


def test_without_the_skip_its_channels_are_zeros(plus, batch):
    plain = run(plus, batch)
    seen = []
    handle = plus.head.decoder.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0]))
    with ablation.without_skip(plus):
        cut = run(plus, batch)
    handle.remove()
    assert not seen[0][:, 128:].any()
    assert seen[0][:, :128].any()
    assert not torch.equal(cut, plain)
    assert torch.equal(run(plus, batch), plain)


def test_unet_and_lraspp_have_a_skip_and_deeplabv3_has_none(lraspp, v3, batch):
    for network in (seeded(lambda: UNet(channels=(4, 8, 16))), lraspp):
        plain = run(network, batch)
        with ablation.without_skip(network):
            assert not torch.equal(run(network, batch), plain)
        assert hooks(network) == 0
    with (
        pytest.raises(ExplainError, match="DeepLabV3 has no skip connection"),
        ablation.without_skip(v3),
    ):
        pass


# ---- feature maps


def test_stages_carry_their_sizes_and_strides(plus, v3, batch):
    found = {m.name: m for m in feature_maps(plus, batch)}
    assert list(found) == ["layer1", "layer2", "layer3", "ASPP", "skip, projected", "decoder"]
    assert tuple(found["layer1"].features.shape) == (64, 24, 32)
    assert tuple(found["skip, projected"].features.shape) == (48, 24, 32)
    assert [m.stride for m in found.values()] == [4, 8, 16, 16, 4, 4]
    strides = [m.stride for m in feature_maps(v3, batch)]
    assert strides == [2, 4, 8, 16, 16]


def test_every_family_shows_its_stages(lraspp, batch):
    unet = seeded(lambda: UNet(channels=(4, 8, 16)))
    assert [m.stride for m in feature_maps(unet, batch)] == [1, 2, 4, 2, 1]
    assert feature_maps(lraspp, batch)[-1].part == "decoder"
    fcn = fcn_resnet50(weights=None, weights_backbone=None, num_classes=3)
    assert [s.name for s in stages_of(fcn)] == [f"layer{i}" for i in range(1, 5)] + ["head"]
    with pytest.raises(ExplainError, match="are not accessible"):
        stages_of(ProgramNetwork(nn.Identity(), torch.float32, 1))


def test_the_strongest_channel_has_the_most_energy():
    features = torch.zeros(3, 2, 2)
    features[1] = 2.0
    features[2, 0, 0] = -3.0
    (first, picture), (second, other), _ = strongest_channels(features)
    assert (first, second) == (1, 2)
    np.testing.assert_array_equal(picture, np.ones((2, 2)))
    np.testing.assert_array_equal(other, [[1, 0], [0, 0]])


def test_three_components_find_three_directions(rng):
    # 40 channels that mix three independent maps: three components hold everything
    maps = rng.normal(size=(3, 12, 9)) * np.array([9.0, 5.0, 2.0])[:, None, None]
    mixed = torch.tensor(np.einsum("kc,khw->chw", rng.normal(size=(3, 40)), maps)).float()
    picture, share = pca_rgb(mixed)
    assert picture.shape == (12, 9, 3)
    assert share == pytest.approx(1.0, abs=1e-5)
    assert picture.min() == 0
    assert picture.max() == 1
    again, _ = pca_rgb(mixed)
    np.testing.assert_array_equal(picture, again)


def test_three_components_equal_the_exact_ones(rng):
    features = torch.tensor(rng.normal(size=(30, 8, 8)) * np.geomspace(50, 1, 30)[:, None, None])
    cells = features.flatten(1).T
    cells = cells - cells.mean(dim=0)
    energies = torch.linalg.svdvals(cells).pow(2)
    _, share = pca_rgb(features)
    assert share == pytest.approx((energies[:3].sum() / energies.sum()).item(), abs=1e-3)


def test_features_that_are_all_equal_give_a_flat_picture():
    picture, share = pca_rgb(torch.ones(5, 4, 4))
    assert not picture.any()
    assert share == 0


def test_strides_are_meant_as_powers_of_two():
    assert ablation.nominal_stride(520, 33) == 16
    assert ablation.nominal_stride(520, 65) == 8
    assert ablation.nominal_stride(30, 30) == 1
