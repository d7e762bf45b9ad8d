"""The article's network: its layers one by one, its taps, its conventions."""

import pytest
import torch
import torch.nn.functional as F
import torchvision.models
from torch import nn
from torchvision.models.segmentation import deeplabv3 as torchvisions

from segmentation.networks.deeplabv3plus import (
    ARTICLE_TAPS,
    ASPP,
    DeepLabV3Plus,
    DeepLabV3PlusHead,
    deeplabv3plus_mobilenet_v3_large,
    deeplabv3plus_resnet18,
)
from segmentation.networks.encoder import Encoder
from segmentation.networks.layers import (
    ALIGN_CORNERS,
    BATCH_NORM_EPSILON,
    DepthwiseConv2d,
    SqueezeExcite,
)


def randomise_norms(network: nn.Module) -> nn.Module:
    """Running statistics and affine weights as after some training."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.weight, 1.0, 0.1)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval()


def layers(network: nn.Module) -> list[str]:
    """Convolution, dense and batch-norm layers in the order in which they were made."""
    names = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            side, rate = module.kernel_size[0], module.dilation[0]
            bias = "+bias" if module.bias is not None else ""
            names.append(f"conv{side} {module.in_channels}>{module.out_channels} r{rate}{bias}")
        elif isinstance(module, nn.Linear):
            bias = "+bias" if module.bias is not None else ""
            names.append(f"dense {module.in_features}>{module.out_features}{bias}")
        elif isinstance(module, nn.BatchNorm2d):
            names.append(f"norm {module.num_features}")
    return names


def test_head_has_the_articles_layers_in_the_articles_order():
    head = DeepLabV3PlusHead(256, 1024, num_classes=21)
    aspp = [
        "conv1 1024>256 r1",
        "norm 256",
        "conv1 1024>256 r1",
        "norm 256",
        *[line for r in (6, 12, 18) for line in (f"conv3 1024>256 r{r}", "norm 256")],
        "conv1 1280>256 r1",
        "norm 256",
    ]
    assert layers(head.aspp) == aspp
    assert layers(head) == [
        *aspp,
        "conv1 256>48 r1",
        "norm 48",
        "dense 304>38",
        "dense 38>304",
        "conv3 304>256 r1",
        "norm 256",
        "conv3 256>256 r1",
        "norm 256",
        "dense 256>32",
        "dense 32>256",
        "conv1 256>21 r1+bias",
    ]


def test_epsilon_is_kerass_in_the_head_and_torchs_in_the_encoder():
    network = deeplabv3plus_resnet18()
    found = {name: module.eps for name, module in network.named_modules() if hasattr(module, "eps")}
    assert {eps for name, eps in found.items() if name.startswith("head.")} == {1e-3}
    assert {eps for name, eps in found.items() if name.startswith("encoder.")} == {1e-5}
    assert BATCH_NORM_EPSILON == 1e-3


def keras_like(
    x: torch.Tensor, weight: torch.Tensor, norm: nn.BatchNorm2d, rate: int = 1
) -> torch.Tensor:
    """Conv2D(padding="same", dilation_rate=rate), BatchNormalization, ReLU, written out."""
    padding = rate * (weight.shape[-1] // 2)
    x = F.conv2d(x, weight, padding=padding, dilation=rate)
    shape = (1, -1, 1, 1)
    x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-3).sqrt()
    return F.relu(x * norm.weight.view(shape) + norm.bias.view(shape))


def test_head_computes_what_the_article_writes_down():
    torch.manual_seed(0)
    head = randomise_norms(DeepLabV3PlusHead(8, 12, num_classes=5, channels=16)).double()
    low, high = torch.randn(2, 8, 24, 32).double(), torch.randn(2, 12, 6, 8).double()

    def block(x, sequence, rate=1):
        conv, norm = [m for m in sequence if not isinstance(m, nn.ReLU | nn.AdaptiveAvgPool2d)]
        return keras_like(x, conv.weight, norm, rate)

    def squeeze(x, module):
        s = F.relu(x.mean((2, 3)) @ module.reduce.weight.T) @ module.expand.weight.T
        return x * (1 / (1 + (-s).exp()))[:, :, None, None]

    def up(x):  # Keras: UpSampling2D((4, 4), interpolation="bilinear")
        return F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)

    a = head.aspp
    pooled = block(high.mean((2, 3), keepdim=True), a.pooling).expand(-1, -1, 6, 8)
    rates = [block(high, a.convs[i], r) for i, r in enumerate((1, 6, 12, 18))]
    x = torch.cat([up(block(torch.cat([pooled, *rates], 1), a.project)),
                   block(low, head.low_level_project)], 1)  # fmt: skip
    x = squeeze(x, head.decoder[0])
    x = block(block(x, head.decoder[1]), head.decoder[2])
    x = up(squeeze(x, head.decoder[3]))  # first upsampled, then classified
    expected = F.conv2d(x, head.classifier.weight, head.classifier.bias)

    logits = head(low, high)
    assert logits.shape == (2, 5, 96, 128)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)


def test_bilinear_corners_are_half_pixel_centres():
    row = torch.tensor([[[[0.0, 8.0]]]])
    stretched = F.interpolate(row, size=(1, 8), mode="bilinear", align_corners=ALIGN_CORNERS)
    # What keras.layers.UpSampling2D((1, 4), interpolation="bilinear") gives.
    assert stretched.flatten().tolist() == [0, 0, 1, 3, 5, 7, 8, 8]


def test_aspp_agrees_with_torchvisions_with_copied_weights():
    torch.manual_seed(1)
    ours = randomise_norms(ASPP(10, 6, atrous_rates=(2, 4, 6)))
    theirs = torchvisions.ASPP(10, [2, 4, 6], 6).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = BATCH_NORM_EPSILON
    for i in range(4):
        theirs.convs[i].load_state_dict(ours.convs[i].state_dict())
    theirs.convs[4].load_state_dict(ours.pooling.state_dict())
    project = ours.project.state_dict()
    # Ours joins the pooled branch first, torchvision's last.
    weight = project["0.weight"]
    project["0.weight"] = torch.cat([weight[:, 6:], weight[:, :6]], dim=1)
    theirs.project.load_state_dict(project)
    features = torch.randn(2, 10, 13, 17)
    torch.testing.assert_close(ours(features), theirs(features), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("separable", [False, True])
def test_aspp_branches_keep_the_size_at_every_rate(separable):
    aspp = ASPP(4, 8, atrous_rates=(1, 30), separable=separable)
    assert len(aspp.convs) == 3
    assert aspp(torch.randn(2, 4, 5, 9)).shape == (2, 8, 5, 9)
    groups = {conv.groups for conv in aspp.convs[2] if isinstance(conv, nn.Conv2d)}
    assert groups == ({4, 1} if separable else {1})


def test_squeeze_excite_by_hand():
    module = SqueezeExcite(2, reduction=2)
    with torch.no_grad():
        module.reduce.weight.copy_(torch.tensor([[1.0, -1.0]]))
        module.expand.weight.copy_(torch.tensor([[2.0], [0.0]]))
    features = torch.stack([torch.full((2, 2), 3.0), torch.full((2, 2), 1.0)])[None]
    out = module(features)  # means 3 and 1 -> ReLU(2) -> sigmoid(4), sigmoid(0)
    scale = torch.sigmoid(torch.tensor(4.0)).item()
    assert out[0, 0, 0, 0].item() == pytest.approx(3 * scale)
    assert out[0, 1, 0, 0].item() == pytest.approx(0.5)


def test_resnet101s_taps_are_the_papers_and_the_articles_on_request():
    network = torchvision.models.resnet101(weights=None)
    paper = Encoder(network, low_level="layer1", high_level="layer3")
    article = Encoder(network, **ARTICLE_TAPS)
    assert (len(paper.layer3), len(article.layer3)) == (23, 6)
    assert not hasattr(paper, "layer4")
    for encoder in (paper, article):
        assert (encoder.low_level_channels, encoder.high_level_channels) == (256, 1024)
    network.eval(), paper.eval(), article.eval()
    batch = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        x = network.maxpool(network.relu(network.bn1(network.conv1(batch))))
        second = network.layer1[:2](x)
        x = network.layer1(x)
        sixth = network.layer3[:6](network.layer2(x))
        low, high = article(batch)
        assert torch.equal(low, second)
        assert torch.equal(high, sixth)
        assert (low.shape[-2:], high.shape[-2:]) == ((16, 24), (4, 6))
        assert torch.equal(paper(batch)[0], x)


@pytest.mark.parametrize("tap", ["layer9", "layer3.7", "layer3.x"])
def test_unknown_tap_is_refused(tap):
    with pytest.raises(ValueError, match="no tap"):
        Encoder(torchvision.models.resnet18(weights=None), low_level="layer1", high_level=tap)


def test_small_networks_are_small():
    counts = {
        build: sum(p.numel() for p in build().parameters())
        for build in (deeplabv3plus_resnet18, deeplabv3plus_mobilenet_v3_large)
    }
    assert counts == {
        deeplabv3plus_resnet18: 3_096_869,
        deeplabv3plus_mobilenet_v3_large: 1_008_605,
    }


def test_coarse_logits_are_what_is_upsampled():
    network: DeepLabV3Plus = deeplabv3plus_resnet18(7).eval()
    batch = torch.randn(1, 3, 64, 80)
    with torch.no_grad():
        coarse, out = network.coarse_logits(batch), network(batch)["out"]
    assert coarse.shape == (1, 7, 16, 20)
    up = F.interpolate(coarse, size=(64, 80), mode="bilinear", align_corners=False)
    torch.testing.assert_close(out, up)


def test_encoder_keeps_torchvisions_names():
    network = torchvision.models.resnet18(weights=None)
    encoder = Encoder(network, low_level="layer1", high_level="layer3")
    names = set(network.state_dict())
    assert set(encoder.state_dict()) <= names
    assert {name for name in names if name.startswith(("layer4", "fc"))}.isdisjoint(
        encoder.state_dict()
    )


def test_separable_atrous_kernels_start_from_their_centre():
    head = DeepLabV3PlusHead(8, 8, num_classes=2, channels=8, separable=True)
    for branch in head.aspp.convs[1:]:
        taps = branch[0].weight.detach().abs().sum((0, 1))
        assert taps[1, 1] > 0
        assert taps.sum() == taps[1, 1]
    assert (head.decoder[1][0].weight != 0).all()


def test_depthwise_shortcut_on_small_maps_is_exact():
    conv = DepthwiseConv2d(4, 6)
    for size in ((6, 5), (7, 6)):
        features = torch.randn(2, 4, *size)
        plain = F.conv2d(features, conv.weight, padding=6, dilation=6, groups=4)
        torch.testing.assert_close(conv.train()(features), plain)
        torch.testing.assert_close(conv.eval()(features), plain)
