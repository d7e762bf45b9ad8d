"""Recipes from end to end on coloured shapes: learning, going on after a kill, measuring."""

import json
from pathlib import Path

import pytest
import torch

from helpers.shapes import make_shapes
from segmentation.networks.build import build_network
from training import evaluate, train
from training.checkpoint import load_checkpoint
from training.data import pipeline
from training.distillation import teacher as teaching
from training.recipe import make_parser

CLASSES = ["--num-classes", "4", "--model", "deeplabv3plus_resnet18"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders "train", "val" and "unlabelled"."""
    root = tmp_path_factory.mktemp("shapes")
    make_shapes(root / "train", 48, seed=1)
    make_shapes(root / "val", 12, seed=2)
    make_shapes(root / "unlabelled", 12, seed=3, masks=False)
    return root


pytestmark = pytest.mark.usefixtures("one_thread")


def arguments(shapes: Path, out: Path, *more: str) -> list[str]:
    return [
        *["--data", str(shapes / "train"), "--out", str(out), *CLASSES],
        *["--quiet", "--device", "cpu", "--size", "64", "--batch", "8", *more],
    ]


def log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_short_run_learns_shapes(shapes, tmp_path, capsys):
    out = tmp_path / "run"
    more = ["--steps", "70", "--ema", "0.9", "--val", str(shapes / "val"), "--eval-every", "40"]
    assert train.main(arguments(shapes, out, *more, "--eval-size", "72")) == 0
    lines = log(out)
    assert [line["step"] for line in lines] == [40, 70]
    assert lines[-1]["samples"] == 560
    assert lines[-1]["miou"] > 0.6
    assert lines[-1]["pixel_accuracy"] > 0.8

    # The same figures from the command line, of the same averaged weights.
    capsys.readouterr()
    result = tmp_path / "figures.json"
    measured = evaluate.main(
        [
            *["--data", str(shapes / "val"), *CLASSES, "--weights", str(out / "checkpoint.pt")],
            *["--size", "72", "--quiet", "--device", "cpu", "--json", str(result)],
        ]
    )
    assert measured == 0
    figures = json.loads(result.read_text())
    assert figures["miou"] == pytest.approx(lines[-1]["miou"], abs=2e-4)
    assert figures["photos"] == 12
    assert sum(row["photos"] for row in figures["classes"].values()) >= 12 + 12
    printed = capsys.readouterr().out
    assert f"mean IoU, all classes   {figures['miou']:.4f}" in printed
    assert f"accuracy at outlines    {figures['outline_accuracy']:.4f}" in printed
    assert (figures["data"], figures["size"]) == (["val"], 72)
    assert 0 <= figures["calibration"]["ece"] <= 1
    assert figures["sets"]["photos"] == [6, 6]


def test_several_folders_are_measured_as_one(shapes, tmp_path):
    weights = tmp_path / "weights.pth"
    torch.manual_seed(0)
    torch.save(build_network("deeplabv3plus_resnet18", 4).state_dict(), weights)
    parts = [shapes / "val", shapes / "train"]
    found = []
    for folders in ([parts[0]], [parts[1]], parts):
        out = tmp_path / "figures.json"
        more = ["--weights", str(weights), "--size", "64", "--device", "cpu", "--quiet"]
        data = ["--data", *(str(folder) for folder in folders)]
        assert evaluate.main([*data, *CLASSES, *more, "--json", str(out)]) == 0
        found.append(json.loads(out.read_text()))
    val, train_, both = found
    assert (val["photos"], train_["photos"], both["photos"]) == (12, 48, 60)
    assert both["data"] == ["val", "train"]
    # All photos have 64 x 64 pixels, so that the accuracy of both is the mean by photos.
    mean = (12 * val["pixel_accuracy"] + 48 * train_["pixel_accuracy"]) / 60
    assert both["pixel_accuracy"] == pytest.approx(mean, abs=2e-3)


def test_a_folder_without_masks_is_refused_by_name(shapes, capsys):
    data = ["--data", str(shapes / "val"), str(shapes / "unlabelled"), "--model", "embedded"]
    assert evaluate.main([*data, "--quiet"]) == 1
    assert f"{shapes / 'unlabelled'} has no masks in SegmentationClass" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("model", "miou"), [("deeplabv3plus_resnet18", 0.9), ("unet", 0.6)])
def test_a_two_minute_run_learns_shapes_well(model, miou, shapes, tmp_path):
    out = tmp_path / "run"
    more = ["--minutes", "2", "--ema", "0.95", "--val", str(shapes / "val"), "--eval-size", "72"]
    more += ["--model", model, "--eval-every", "100000"]
    more += ["--lr", "3e-4"] if model == "unet" else []  # without batch norm, and ten times larger
    assert train.main(arguments(shapes, out, *more)) == 0
    assert log(out)[-1]["miou"] > miou


class KilledError(Exception):
    """Stands for a kill between two checkpoints."""


@pytest.mark.parametrize(
    "optimizer",
    ["adamw", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sgd", "muon"))],
)
def test_a_killed_run_goes_on_to_the_same_state(optimizer, shapes, tmp_path, monkeypatch):
    more = ["--steps", "6", "--save-every", "2", "--optimizer", optimizer]
    more += ["--size", "32:0.5,48", "--lr", "1e-3"]
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert train.main(arguments(shapes, whole, *more)) == 0

    step = train.Trainer.train_step

    def killed(trainer: train.Trainer) -> torch.Tensor:
        if trainer.step == 5:
            raise KilledError
        return step(trainer)

    monkeypatch.setattr(train.Trainer, "train_step", killed)
    with pytest.raises(KilledError):
        train.main(arguments(shapes, halves, *more))
    assert load_checkpoint(halves / "checkpoint.pt")["step"] == 4
    monkeypatch.undo()
    assert train.main(arguments(shapes, halves, *more)) == 0

    one, other = (load_checkpoint(folder / "checkpoint.pt") for folder in (whole, halves))
    assert one["step"] == other["step"] == 6
    for part in ("network", "average", "optimizers"):
        assert tensors(one[part]) == tensors(other[part])


def tensors(value: object) -> object:
    """Nested state with each tensor as its bytes."""
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: tensors(item) for key, item in value.items()}
    if isinstance(value, list):
        return [tensors(item) for item in value]
    return value


def test_a_student_learns_from_a_teacher_alone(shapes, tmp_path, monkeypatch):
    """Unlabelled photos only, and a teacher that knows one thing: everything is class 2."""

    def stub(name: str, device: torch.device, hint: str | None = None) -> teaching.Teacher:
        def network(batch: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(batch), 4, 9, 9)
            logits[:, 2] = 5.0
            return logits

        return teaching.Teacher(network, (0.5,) * 3, (0.5,) * 3, f"stub-{name}")

    monkeypatch.setattr(pipeline, "load_teacher", stub)
    out = tmp_path / "photo"
    more = ["--steps", "12", "--teacher", "all2", "--ema", "0.5"]
    more += ["--data", str(shapes / "unlabelled"), "--teacher-size", "65", "--size", "32"]
    assert train.main(arguments(shapes, out, *more)) == 0
    network = build_network("deeplabv3plus_resnet18", 4)
    network.load_state_dict(load_checkpoint(out / "checkpoint.pt")["average"]["network"])
    given = network.eval()(torch.randn(1, 3, 32, 32))["out"].argmax(1)
    assert (given == 2).float().mean() > 0.9
    assert [path.stat().st_size for path in out.glob("teacher-*.index")] == [12 * 16]
    more = ["--steps", "1", "--teacher", "all2", "--num-classes", "5", "--size", "32"]
    with pytest.raises(ValueError, match="has 4 classes, the student 5"):
        train.Trainer(make_parser().parse_args(arguments(shapes, tmp_path / "other", *more)))


def test_init_starts_from_a_files_weights(shapes, tmp_path):
    torch.manual_seed(5)
    state = build_network("deeplabv3plus_resnet18", 4).state_dict()
    torch.save(state, tmp_path / "start.pth")
    options = make_parser().parse_args(
        arguments(shapes, tmp_path / "run", "--init", str(tmp_path / "start.pth"))
    )
    trainer = train.Trainer(options)
    for key, value in trainer.average.module.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "nowhere"], "JPEGImages is no folder"),
        (["--init", "nowhere.pth"], "nowhere.pth"),
        (["--val", "nowhere"], "JPEGImages is no folder"),
        (["--unlabelled", "nowhere"], "--unlabelled needs --teacher"),
        (["--zoom", "2", "1"], "--zoom 2 1: the smaller one first"),
        (["--prior", "nowhere"], "--prior nowhere is no folder of --data or --unlabelled"),
        (["--teacher-size", "417", "16"], "--teacher-size 16 is below 33 px"),
        (["--hint-until", "0"], "--hint-until 0 is no share"),
        (["--prior-factor", "0.5"], "--prior-factor 0.5 is below 1"),
    ],
)
def test_the_command_says_what_is_wrong(more, message, shapes, tmp_path, capsys):
    assert train.main(arguments(shapes, tmp_path / "run", *more)) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--size", "100"], "size 100 is no multiple of 16"),
        (["--size", "96:0.5,128:0.4"], "the shares must rise, and the last be 1"),
        (["--size", "large"], "'large' is no SIZE or SIZE:SHARE"),
        (["--boost", "3"], "'3' is no INDEX:FACTOR"),
        (["--model", "segnet"], "invalid choice: 'segnet'"),
        (["--steps", "3", "--minutes", "3"], "not allowed with"),
    ],
)
def test_the_command_line_is_checked(more, message, shapes, tmp_path, capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args(arguments(shapes, tmp_path / "run", *more))
    assert message in capsys.readouterr().err


def test_evaluate_says_what_is_wrong(shapes, capsys):
    data = ["--data", str(shapes / "unlabelled"), "--model", "embedded"]
    assert evaluate.main(data) == 1
    assert "has no masks in SegmentationClass" in capsys.readouterr().err
    data = ["--data", str(shapes / "val"), "--model", "unet", "--weights", "x.pth"]
    assert evaluate.main(data) == 1
    assert "--weights needs --size" in capsys.readouterr().err
