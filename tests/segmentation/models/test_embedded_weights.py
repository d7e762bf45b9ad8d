"""The weights in the package: what the card says of them, and how both are written."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from helpers.shapes import make_shapes
from segmentation.networks.build import build_network
from training import embed, evaluate
from training.checkpoint import save_checkpoint
from training.history import read_stages
from training.model_card_text import describe_model
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
    assert (figures["photos"], figures["size"]) == (334, card["resize"])
    assert figures["data"] == "PASCAL VOC 2012 val and COCO 2017"
    assert len(figures["classes"]) == 21
    mean = sum(row["iou"] for row in figures["classes"].values()) / 21
    assert figures["miou"] == pytest.approx(mean, abs=1e-4)
    assert figures["miou"] >= 0.5
    assert card["miou"] == pytest.approx(100 * figures["miou"], abs=0.06)
    focus = [figures["classes"][name]["iou"] for name in evaluate.FOCUS]
    assert sum(focus) / 7 == pytest.approx(figures["miou_7"], abs=1e-3)
    assert figures["classes"]["train"]["photos"] == 6
    assert 0.9 < figures["sets"]["coverage"] < 1
    for path in ("/work", "/tmp", "/home"):
        assert path not in json.dumps(card)


def test_card_tells_every_stage_of_the_training(card):
    stages = card["trained"]["stages"]
    assert stages[0]["from"] == "random weights"
    assert all(stage["what"] for stage in stages)
    page = (FOLDER / "README.md").read_text()
    for stage in stages:
        assert stage["what"] in page
        assert stage.get("command", "") in page
    assert page == describe_model(card)


@pytest.mark.slow
@pytest.mark.shared
def test_figures_of_the_card_can_be_repeated(card, shared, tmp_path):
    folders = [str(shared / "photos" / name) for name in card["figures"]["folders"]]
    data = ["--data", *folders, "--model", "embedded", "--quiet"]
    assert evaluate.main([*data, "--device", "cpu", "--json", str(tmp_path / "f.json")]) == 0
    again = json.loads((tmp_path / "f.json").read_text())
    for key in ("miou_7", "miou", "pixel_accuracy", "outline_accuracy"):
        assert again[key] == pytest.approx(card["figures"][key], abs=5e-4)
    for part, key in (("calibration", "ece"), ("sets", "threshold"), ("sets", "coverage")):
        assert again[part][key] == pytest.approx(card["figures"][part][key], abs=2e-3)


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
    figures, (stage,) = card["figures"], card["trained"]["stages"]
    assert (figures["photos"], card["resize"], figures["data"]) == (4, 64, "val")
    assert (stage["views"], stage["from"], stage["note"]) == (224, "random weights", "A note.")
    # Everything is called class 2: its IoU is its share of the pixels, and so is the accuracy.
    assert figures["classes"]["2"]["iou"] == figures["pixel_accuracy"] > 0
    assert figures["classes"]["0"]["iou"] == 0
    assert stage["command"].startswith(
        "python -m training.train --data ../shared/photos/train --model deeplabv3plus_resnet18 "
        "--num-classes 4"
    )
    assert "--size 96:0.5,128:1" in stage["command"]
    assert "--boost 3:2" in stage["command"]
    page = (out / "README.md").read_text()
    assert "A note." in page
    assert "224 views" in page
    assert hashlib.sha256((out / "embedded.pth").read_bytes()).hexdigest() == card["sha256"]


def test_a_run_from_the_embedded_weights_goes_on_with_their_history(tmp_path):
    val = make_shapes(tmp_path / "val", 3, seed=8)
    out = tmp_path / "weights"
    data = ["--val", str(val), "--size", "64", "--out", str(out), "--quiet"]
    assert embed.main(["--checkpoint", str(run_state(tmp_path)), *data]) == 0
    again = run_state(tmp_path, "--init", "embedded")
    assert embed.main(["--checkpoint", str(again), *data]) == 0
    stages = json.loads((out / "embedded.json").read_text())["trained"]["stages"]
    assert [stage["from"] for stage in stages] == ["random weights", "embedded"]


def test_a_state_dict_is_embedded_with_its_written_history(tmp_path):
    parts = [make_shapes(tmp_path / name, 3, seed=seed) for name, seed in (("a", 8), ("b", 9))]
    torch.manual_seed(0)
    network = build_network("deeplabv3plus_resnet18", 4)
    weights, history = tmp_path / "weights.pth", tmp_path / "history.json"
    torch.save(network.state_dict(), weights)
    stages = [{"what": "Drawn at random.", "from": "nothing", "machine": "a coin"}]
    history.write_text(json.dumps(stages))
    out = tmp_path / "out"
    given = ["--weights", str(weights), "--model", "deeplabv3plus_resnet18", "--num-classes", "4"]
    more = ["--history", str(history), "--size", "64", "--out", str(out), "--quiet"]
    val = ["--val", *(str(part) for part in parts), "--data-name", "coloured shapes"]
    assert embed.main([*given, *more, *val]) == 0
    card = json.loads((out / "embedded.json").read_text())
    assert card["trained"]["stages"] == stages
    assert card["figures"]["photos"] == 6
    assert card["figures"]["folders"] == ["a", "b"]
    assert "1. Drawn at random. (began from nothing; a coin.)" in (out / "README.md").read_text()
    assert "6 photos of coloured shapes at 64 px" in (out / "README.md").read_text()
    written = torch.load(out / "embedded.pth", weights_only=True)
    for key, value in network.state_dict().items():
        expected = value.half() if value.is_floating_point() else value
        assert torch.equal(written[key], expected)


@pytest.mark.parametrize("text", ["{}", "[]", '[{"from": "x"}]', '["x"]'])
def test_what_is_no_history_is_refused(text, tmp_path):
    (tmp_path / "history.json").write_text(text)
    with pytest.raises(ValueError, match="is no history"):
        read_stages(tmp_path / "history.json")


def test_embedding_says_what_is_wrong(tmp_path, capsys):
    arguments = ["--checkpoint", str(tmp_path / "none.pt"), "--val", ".", "--size", "64"]
    assert embed.main(arguments) == 1
    assert "none.pt" in capsys.readouterr().err
    assert embed.main(["--weights", "x.pth", "--val", ".", "--size", "64"]) == 1
    assert "--weights needs --model, the network, and --history" in capsys.readouterr().err


def test_other_weights_are_mixed_in_before_they_are_measured(tmp_path):
    val = make_shapes(tmp_path / "val", 3, seed=8)
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        states.append(build_network("deeplabv3plus_resnet18", 4).state_dict())
        torch.save(states[-1], tmp_path / f"{seed}.pth")
    (tmp_path / "history.json").write_text('[{"what": "Drawn at random."}]')
    given = ["--weights", str(tmp_path / "0.pth"), "--model", "deeplabv3plus_resnet18"]
    more = ["--num-classes", "4", "--history", str(tmp_path / "history.json"), "--size", "64"]
    out = ["--val", str(val), "--out", str(tmp_path / "out"), "--quiet"]
    assert embed.main([*given, *more, *out, "--mix", f"{tmp_path / '1.pth'}:0.25"]) == 0
    written = torch.load(tmp_path / "out" / "embedded.pth", weights_only=True)
    key = "head.classifier.weight"
    expected = 0.75 * states[0][key] + 0.25 * states[1][key]
    torch.testing.assert_close(written[key].float(), expected, atol=1e-3, rtol=1e-3)
    stages = json.loads((tmp_path / "out" / "embedded.json").read_text())["trained"]["stages"]
    assert [stage["what"] for stage in stages] == [
        "Drawn at random.",
        "Mixed: 0.75 of these weights + 0.25 of 1.pth.",
    ]


def test_more_than_all_cannot_be_mixed_in():
    weights = embed.Weights("deeplabv3plus_resnet18", 4, {}, [])
    with pytest.raises(ValueError, match=r"add up to 1\.2"):
        embed.mixed(weights, [("a", 0.6), ("b", 0.6)])
