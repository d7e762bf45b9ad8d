"""What every network must do, torchvision's and ours alike."""

import copy
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.published import by_size
from segmentation.errors import ModelError
from segmentation.networks.build import NETWORKS, build_network
from segmentation.networks.deeplabv3plus import ARTICLE_TAPS, deeplabv3plus_resnet101
from segmentation.networks.unet import UNet
from training import export
from training.common import own_card

NUM_CLASSES = 4
ODD = (49, 67)
QUICK_TO_EXPORT = ("unet",)


def named(name: str) -> nn.Module:
    """A network by name; U-Net with an eighth of its channels, which its own tests count."""
    if name == "unet":
        return UNet(NUM_CLASSES, channels=(8, 16, 32, 64, 128))
    return build_network(name, NUM_CLASSES)


@pytest.fixture(scope="module", params=by_size(sorted(NETWORKS)))
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return named(request.param)


def test_odd_sizes_and_determinism(network):
    network.eval()
    batch = torch.randn(1, 3, *ODD)
    with torch.no_grad():
        first, second = network(batch)["out"], network(batch)["out"]
    assert first.shape == (1, NUM_CLASSES, *ODD)
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert torch.equal(first, second)


def test_gradients_reach_every_parameter(network):
    network.train()
    network.zero_grad()
    labels = torch.randint(0, NUM_CLASSES, (2, *ODD))
    F.cross_entropy(network(torch.randn(2, 3, *ODD))["out"], labels).backward()
    without = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.abs().sum() > 0
    ]
    network.zero_grad()
    assert without == []


def test_state_dict_round_trip(network, tmp_path):
    other = copy.deepcopy(network)
    for weight in [*other.parameters(), *other.buffers()]:
        weight.detach().fill_(0)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    state = torch.load(tmp_path / "weights.pth", weights_only=True)
    assert other.load_state_dict(state, strict=True).missing_keys == []
    batch = torch.randn(1, 3, 33, 33)
    with torch.no_grad():
        assert torch.equal(other.eval()(batch)["out"], network.eval()(batch)["out"])


def check_export(network: nn.Module, name: str, path: Path) -> None:
    """Export, load, and compare labels at sizes other than the example's."""
    card = own_card(name, NUM_CLASSES, 160)
    export.export_network(network, card, path)
    extra = {"model.json": ""}
    program = torch.export.load(path, extra_files=extra).module()
    assert json.loads(extra["model.json"]) == card
    for shape in ((1, 3, 64, 48), (3, 3, *ODD)):
        batch = torch.randn(shape)
        with torch.no_grad():
            given, expected = program(batch)["out"], network.eval()(batch)["out"]
        assert given.shape == (shape[0], NUM_CLASSES, *shape[2:])
        assert torch.equal(given.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("name", QUICK_TO_EXPORT)
def test_export_gives_the_same_labels(name, tmp_path):
    check_export(named(name), name, tmp_path / "model.pt2")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - set(QUICK_TO_EXPORT)))
def test_export_gives_the_same_labels_for_the_large_ones(name, tmp_path):
    check_export(named(name), name, tmp_path / "model.pt2")


@pytest.mark.slow
def test_articles_own_taps_are_one_call():
    network = deeplabv3plus_resnet101(NUM_CLASSES, **ARTICLE_TAPS).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, *ODD))["out"].shape == (1, NUM_CLASSES, *ODD)


def test_export_refuses_another_ending(tmp_path):
    with pytest.raises(ValueError, match=r"model\.onnx does not end on \.pt2"):
        export.export_network(nn.Identity(), {}, tmp_path / "model.onnx")


pytestmark = pytest.mark.usefixtures("one_thread")


def test_unknown_network_is_named():
    with pytest.raises(ModelError, match="unknown network 'segnet': one of deeplabv3_"):
        build_network("segnet")


def test_export_command_writes_the_weights_and_a_card(tmp_path, capsys, monkeypatch):
    torch.manual_seed(0)
    weights = tmp_path / "weights.pth"
    network = build_network("deeplabv3plus_resnet18", 21)
    torch.save({k: v.half() for k, v in network.state_dict().items()}, weights)
    written = {}

    def keep(network: nn.Module, card: dict, path: Path) -> None:
        written.update(state=network.state_dict(), card=card)
        path.write_bytes(b"x")

    monkeypatch.setattr(export, "export_network", keep)
    arguments = ["--model", "deeplabv3plus_resnet18", "--weights", str(weights), "--size", "160"]
    assert export.main([*arguments, "--out", str(tmp_path / "model.pt2")]) == 0
    card = written["card"]
    assert (card["name"], card["resize"]) == ("deeplabv3plus_resnet18", 160)
    assert card["categories"][15] == "person"
    for key, value in network.state_dict().items():
        assert torch.equal(written["state"][key], value.half().to(value.dtype)), key
    assert "0.0 MB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model", "unet", "--weights", "nowhere.pth", "--out", "x.pt2"],
            "--weights needs --size",
        ),
        (["--model", "segnet", "--out", "x.pt2"], "segnet"),
        (["--model", "unet", "--weights", "x.pth", "--size", "9", "--out", "x.pt2"], "x.pth"),
    ],
)
def test_export_command_says_what_is_wrong(arguments, message, capsys):
    assert export.main(arguments) == 1
    assert message in capsys.readouterr().err
