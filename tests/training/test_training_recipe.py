"""The whole recipe at once: two teachers, class lists, priors, rare classes, several folders."""

import json
import shlex
from pathlib import Path

import pytest
import torch
from test_training import KilledError, tensors
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.shapes import make_shapes
from segmentation.networks.build import build_network
from training import train
from training.checkpoint import load_checkpoint
from training.common import own_card
from training.data import pipeline
from training.distillation.teacher import Teacher
from training.history import WITHOUT_EFFECT, training_command
from training.optim import mix
from training.recipe import check, describe, make_parser

pytestmark = pytest.mark.usefixtures("one_thread")


class Colours(nn.Module):
    """Tells shapes by their colours, at a stride and with so many features."""

    def __init__(self, stride: int, features: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, features, 3, stride=stride, padding=1)
        self.classifier = nn.Conv2d(features, 4, 1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(batch).relu())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders with masks, one with class lists, one without, and two programs."""
    root = tmp_path_factory.mktemp("world")
    for i, (name, count) in enumerate((("train", 10), ("more", 6), ("listed", 8), ("plain", 4))):
        make_shapes(root / name, count, seed=i, masks=i < 2)
    lists = {f"{i:03}": [str(1 + i % 3)] for i in range(8)}
    (root / "listed" / "classes.json").write_text(json.dumps(lists))
    torch.manual_seed(0)
    for name, stride, features in (("a", 8, 5), ("b", 16, 7)):
        n, h, w = (torch.export.Dim.AUTO for _ in "nhw")
        program = torch.export.export(
            Colours(stride, features).eval(),
            (torch.rand(2, 3, 65, 81),),
            dynamic_shapes={"batch": {0: n, 2: h, 3: w}},
        )
        card = own_card(name, 4, 65)
        torch.export.save(
            program, root / f"{name}.pt2", extra_files={"model.json": json.dumps(card)}
        )
    return root


def recipe(world: Path, out: Path, *more: str) -> list[str]:
    return [
        *["--data", str(world / "train"), str(world / "more")],
        *["--unlabelled", str(world / "listed"), str(world / "plain")],
        *["--prior", str(world / "listed"), "--partial", "00"],
        *["--teacher", str(world / "a.pt2"), str(world / "b.pt2")],
        *["--teacher-size", "65", "49", "--teacher-flip"],
        *["--hint", "relu", "relu", "--hint-weight", "2", "--hint-until", "0.7"],
        *["--rare", "0.6", "--boost", "3:2", "--cutmix", "0.5", "--optimizer", "muon"],
        *["--model", "deeplabv3plus_resnet18", "--num-classes", "4", "--size", "32:0.5,48"],
        *["--batch", "6", "--steps", "6", "--save-every", "2", "--device", "cpu", "--quiet"],
        *["--out", str(out), *more],
    ]


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a run ends before this step, between two checkpoints."""
    whole = train.Trainer.train_step

    def killed(trainer: train.Trainer) -> torch.Tensor:
        if trainer.step == step:
            raise KilledError
        return whole(trainer)

    monkeypatch.setattr(train.Trainer, "train_step", killed)


def test_a_killed_run_of_the_whole_recipe_goes_on_to_the_same_state(
    world, tmp_path, monkeypatch, capsys
):
    more = ["--val", str(world / "train"), "--eval-every", "3", "--eval-size", "48"]
    assert train.main(recipe(world, tmp_path / "whole", *more)) == 0
    assert "6 steps, 36 views, " in capsys.readouterr().out
    killed_at(5, monkeypatch)
    with pytest.raises(KilledError):
        train.main(recipe(world, tmp_path / "halves", *more))
    monkeypatch.undo()
    assert train.main(recipe(world, tmp_path / "halves", *more)) == 0
    one, other = (
        load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "halves")
    )
    for part in ("step", "samples_seen", "network", "average", "hint", "optimizers", "loss"):
        assert tensors(one[part]) == tensors(other[part]), part
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "halves")
    ]
    for lines in logs:  # the clock is the only thing that may differ
        assert [line.pop("seconds") >= 0 for line in lines] == [True, True]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_what_a_network_draws_itself_is_the_same_after_a_kill(world, tmp_path, monkeypatch):
    data = ["--data", str(world / "train"), "--model", "deeplabv3_mobilenet_v3_large"]
    options = [*data, "--num-classes", "4", "--size", "32", "--batch", "2", "--steps", "3"]
    options += ["--save-every", "1", "--device", "cpu", "--quiet", "--out"]
    dropouts = [
        module
        for module in build_network("deeplabv3_mobilenet_v3_large", 4).modules()
        if isinstance(module, nn.Dropout) and module.p > 0
    ]
    assert dropouts  # else this test says nothing
    assert train.main([*options, str(tmp_path / "whole")]) == 0
    killed_at(2, monkeypatch)
    with pytest.raises(KilledError):
        train.main([*options, str(tmp_path / "halves")])
    monkeypatch.undo()
    torch.rand(17)
    assert train.main([*options, str(tmp_path / "halves")]) == 0
    one, other = (
        load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "halves")
    )
    assert tensors(one["network"]) == tensors(other["network"])


def test_the_feed_holds_every_folder_and_what_is_known_of_it(world, tmp_path):
    trainer = train.Trainer(make_parser().parse_args(recipe(world, tmp_path / "run")))
    fed = trainer.feed
    fed.prepare(32)
    assert len(fed.samples) == 28
    assert fed.views.photos.labelled.sum() == 16
    assert [sample.prior for sample in fed.samples] == [False] * 16 + [True] * 8 + [False] * 4
    assert [sample.classes for sample in fed.samples[16:19]] == [(1,), (2,), (3,)]
    assert all(sample.partial for sample in fed.samples)
    assert fed.maps.shape == (28, 4, 9, 12)
    assert fed.hint_channels == 5 + 7
    totals = fed.maps.sum(1).float()
    torch.testing.assert_close(totals, torch.full_like(totals, 255.0), atol=2, rtol=0)


def test_a_limit_reaches_the_targets(world, tmp_path):
    """Without --prior the listed class and background are all that a view may be taught."""
    options = make_parser().parse_args(recipe(world, tmp_path / "run", "--cutmix", "0"))
    options.prior, options.data, options.unlabelled = [], [world / "listed"], []
    fed = train.Trainer(options).feed
    fed.prepare(32)
    assert (fed.views.weights > 0).all()
    for photo in range(8):
        fed.views.weights = torch.zeros(8).double().index_fill(0, torch.tensor(photo), 1.0)
        taught = fed.batch(0, 4, 4).targets.amax((0, 2, 3)) > 0
        allowed = {0, 1 + photo % 3}
        assert set(taught.nonzero()[:, 0].tolist()) <= allowed
        assert taught.any()


def test_photos_whose_prior_no_teacher_finds_are_never_drawn(world, tmp_path, monkeypatch):
    """The teacher sees class 2 everywhere; the lists say 1, 2, 3, 1, 2, 3, 1, 2."""

    def stub(name: str, device: torch.device, hint: str | None = None) -> Teacher:
        logits = torch.tensor([0.0, 0.0, 9.0, 0.0]).view(1, 4, 1, 1)
        return Teacher(
            lambda batch: logits.expand(len(batch), 4, 9, 9), (0.5,) * 3, (0.5,) * 3, name
        )

    monkeypatch.setattr(pipeline, "load_teacher", stub)
    folders = ["--data", str(world / "listed"), "--prior", str(world / "listed")]
    more = ["--model", "unet", "--num-classes", "4", "--teacher", "t", "--out", str(tmp_path)]
    options = make_parser().parse_args([*folders, *more, "--quiet", "--teacher-size", "65"])
    fed = pipeline.Feed(options, torch.device("cpu"))
    fed.prepare(32)
    assert (fed.views.weights > 0).int().tolist() == [0, 1, 0, 0, 1, 0, 0, 1]


class Waits(TorchDispatchMode):
    """Counts operations whose result the program waits for, on a device that works by itself."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name.startswith(self.NAMES):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_a_step_waits_for_nothing(world, tmp_path, monkeypatch):
    trainer = train.Trainer(make_parser().parse_args(recipe(world, tmp_path / "run")))
    trainer.feed.prepare(32)
    trainer.train_step()
    for optimizer in trainer.optimizers:  # on a CPU these read their own counters
        monkeypatch.setattr(optimizer, "step", lambda: None)
    assert trainer.average.n_averaged.device.type == "cpu"  # read at each step, on any device
    monkeypatch.setattr(trainer.average, "update_parameters", lambda network: None)
    with Waits() as waits:
        torch.zeros(1).item()
        trainer.train_step()
    assert waits.found == ["_local_scalar_dense"]  # that of the line before


@pytest.mark.gpu
def test_a_step_on_a_gpu_never_waits(world, tmp_path):
    options = recipe(world, tmp_path / "run", "--device", "cuda")
    trainer = train.Trainer(make_parser().parse_args(options))
    trainer.feed.prepare(32)
    for _ in range(2):
        trainer.train_step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_recipe_is_plain_json(world, tmp_path):
    plain = describe(make_parser().parse_args(recipe(world, tmp_path / "run")))
    assert json.loads(json.dumps(plain)) == plain
    assert plain["data"] == [str(world / "train"), str(world / "more")]
    assert plain["teacher_size"] == [65, 49]
    assert plain["teacher_flip"] is True
    assert plain["zoom"] == [0.8, 2.0]
    assert plain["boost"] == {"3": 2.0}
    assert plain["size"] == [{"size": 32, "until": 0.5}, {"size": 48, "until": 1.0}]


def test_the_command_in_a_card_is_the_recipe(world, tmp_path):
    options = recipe(world, tmp_path / "run", "--turn", "0", "--zoom", "1", "1.5")
    plain = describe(make_parser().parse_args(options))
    program, *words = shlex.split(training_command(plain))
    assert [program, *words[:2]] == ["python", "-m", "training.train"]
    again = describe(make_parser().parse_args(words[2:]))
    unkept = [key for key, value in plain.items() if again[key] != value]
    assert set(unkept) <= set(WITHOUT_EFFECT)


def test_the_readmes_commands_are_commands():
    text = (Path(train.__file__).parent / "README.md").read_text().replace("\\\n", " ")
    commands = [shlex.split(line) for line in text.splitlines() if "python -m training." in line]
    whole = {words[2]: words[3:] for words in commands if len(words) > 12}
    options = make_parser().parse_args(whole["training.train"])
    assert (options.batch, options.steps, len(options.teacher)) == (256, 7779, 2)
    check(options)
    mixes = [words[3:] for words in commands if words[:3] == ["python", "-m", "training.optim.mix"]]
    assert len(mixes) == 2
    for words in mixes:
        parsed = mix.make_parser().parse_args(words)
        assert [share for _, share in parsed.parts] == [0.85, 0.15]
