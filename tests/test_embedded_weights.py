"""The weights in the package: what the card says of them, and how both are written."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from segmentation.networks import build_network
from shapes import make_shapes
from training import embed, evaluate
from training.checkpoint import save_checkpoint
from training.recipe import describe
from training.recipe import make_parser as train_parser

FOLDER = embed.FOLDER


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads((FOLDER / "embedded.json").read_text())


def test_weights_are_small_half_and_those_of_the_card(card):
    data = (FOLDER / "embedded.pth").read_bytes()
    assert len(data) == card["bytes"] < 10_000_000
    assert hashlib.sha256(data).hexdigest() == card["sha256"]
    state = torch.load(FOLDER / "embedded.pth", weights_only=True)
    assert {v.dtype for v in state.values() if v.is_floating_point()} == {torch.float16}
    network = build_network(card["network"], len(card["categories"]))
    network.load_state_dict(state)
    assert sum(p.numel() for p in network.parameters()) == card["parameters"]
    assert all(torch.isfinite(v).all() for v in network.state_dict().values())


def test_card_says_how_good_and_from_what(card):
    figures = card["figures"]
    assert figures["photos"] == 223
    assert figures["size"] == card["resize"]
    assert figures["miou_7"] >= 0.6
    assert card["miou"] == pytest.approx(100 * figures["miou_7"], abs=0.06)
    focus = [figures["classes"][name]["iou"] for name in evaluate.FOCUS]
    assert sum(focus) / 7 == pytest.approx(figures["miou_7"], abs=1e-3)
    assert figures["classes"]["cat"]["photos"] == 56
    trained = card["trained"]
    assert trained["initialisation"] in ("random", "embedded")
    if trained["initialisation"] == "embedded":  # then the note tells of the runs before
        assert "from random weights" in trained["note"]
    for path in ("/work", "/tmp", "/home"):
        assert path not in json.dumps(card)
    page = (FOLDER / "README.md").read_text()
    assert f"mean IoU of seven classes {figures['miou_7']:.3f}" in page
    assert card["trained"]["command"] in page


@pytest.mark.slow
@pytest.mark.shared
def test_figures_of_the_card_can_be_repeated(card, shared, tmp_path):
    data = ["--data", str(shared / "photos" / "val"), "--model", "embedded", "--quiet"]
    assert evaluate.main([*data, "--device", "cpu", "--json", str(tmp_path / "f.json")]) == 0
    again = json.loads((tmp_path / "f.json").read_text())
    for key in ("miou_7", "miou", "pixel_accuracy"):
        assert again[key] == pytest.approx(card["figures"][key], abs=5e-4)


def run_state(tmp_path: Path, *more: str) -> Path:
    """A checkpoint as a run would leave it, of a network that gives one class everywhere."""
    data = ["--data", "../shared/photos/train", "--model", "deeplabv3plus_resnet18"]
    options = train_parser().parse_args(
        [*data, "--num-classes", "4", "--size", "96:0.5,128", "--boost", "3:2", *more]
    )
    network = build_network("deeplabv3plus_resnet18", 4)
    with torch.no_grad():
        network.head.classifier.weight.zero_()
        network.head.classifier.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0]))
    state = {
        "step": 7,
        "samples_seen": 224,
        "elapsed": 90.0,
        "recipe": describe(options),
        "average": {"steps": 7, "network": network.state_dict()},
    }
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    return tmp_path / "checkpoint.pt"


def test_embedding_measures_what_it_writes(tmp_path, capsys):
    val = make_shapes(tmp_path / "val", 4, seed=8)
    checkpoint = run_state(tmp_path)
    out = tmp_path / "weights"
    arguments = ["--checkpoint", str(checkpoint), "--val", str(val), "--size", "64"]
    assert embed.main([*arguments, "--out", str(out), "--note", "A note.", "--quiet"]) == 0
    assert "mean IoU" in capsys.readouterr().out
    card = json.loads((out / "embedded.json").read_text())
    figures = card["figures"]
    assert (figures["photos"], card["resize"], card["trained"]["samples"]) == (4, 64, 224)
    # Everything is called class 2: its IoU is its share of the pixels, and so is the accuracy.
    assert figures["classes"]["2"]["iou"] == figures["pixel_accuracy"] > 0
    assert figures["classes"]["0"]["iou"] == 0
    assert card["trained"]["command"].startswith(
        "python -m training.train --data ../shared/photos/train --model deeplabv3plus_resnet18 "
        "--num-classes 4"
    )
    assert "--size 96:0.5,128:1" in card["trained"]["command"]
    assert "--boost 3:2" in card["trained"]["command"]
    page = (out / "README.md").read_text()
    assert "A note." in page
    assert "224 views" in page
    assert "Hardly finds 0, 1," in page
    assert hashlib.sha256((out / "embedded.pth").read_bytes()).hexdigest() == card["sha256"]


def test_embedding_says_what_is_wrong(tmp_path, capsys):
    arguments = ["--checkpoint", str(tmp_path / "none.pt"), "--val", ".", "--size", "64"]
    assert embed.main(arguments) == 1
    assert "none.pt" in capsys.readouterr().err
