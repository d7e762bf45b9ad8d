"""Hints: the teacher's features, from its layers to what the student is told."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_training_views import colour_blocks, plain_views
from torch import nn

from helpers.shapes import make_shapes
from segmentation.models.exported.program import load_program
from segmentation.networks.build import build_network
from training import train
from training.checkpoint import load_checkpoint
from training.common import own_card
from training.data import pipeline
from training.data.augment import Augmentation, paste_rectangles
from training.data.dataset import find_samples
from training.distillation.feature_hints import (
    Hint,
    sample_hints,
    standardise,
    to_bytes,
    with_features,
)
from training.distillation.maps import run_teachers
from training.distillation.teacher import Teacher, Teachers, load_teacher
from training.recipe import make_parser

ZERO, UNIT = 128, 32


class Small(nn.Module):
    """A teacher with a backbone and four classes."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 5, 3, stride=8, padding=1)
        self.classifier = nn.Conv2d(5, 4, 1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.backbone(batch).relu())


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.rand(2, 3, 33, 41, generator=torch.Generator().manual_seed(1))


def test_a_modules_layer_is_tapped(small, batch):
    logits, features = with_features(small, "backbone")(batch)
    assert torch.equal(features, small.backbone(batch))
    assert torch.equal(logits, small(batch))
    with pytest.raises(ValueError, match=r"no layer 'head': the last ones are backbone, class"):
        with_features(small, "head")


def export(small: Small, path: Path) -> None:
    n, h, w = (torch.export.Dim.AUTO for _ in "nhw")
    program = torch.export.export(
        small, (torch.rand(2, 3, 33, 41),), dynamic_shapes={"batch": {0: n, 2: h, 3: w}}
    )
    card = own_card("small", 21, 33) | {"categories": ["__background__", "one", "two", "three"]}
    torch.export.save(program, path, extra_files={"model.json": json.dumps(card)})


def test_a_programs_node_is_tapped(small, batch, tmp_path):
    export(small, tmp_path / "small.pt2")
    cpu = torch.device("cpu")
    teacher = load_teacher(str(tmp_path / "small.pt2"), cpu, "relu")
    logits, features = teacher.predict(batch)
    mean, std = (torch.tensor(v)[:, None, None] for v in (teacher.mean, teacher.std))
    known = (batch - mean) / std
    # where a CPU has bfloat16 the teacher computes in it
    torch.testing.assert_close(features, small.backbone(known).relu(), atol=0.03, rtol=0.02)
    torch.testing.assert_close(logits.softmax(1), small(known).softmax(1), atol=0.02, rtol=0)
    without = load_teacher(str(tmp_path / "small.pt2"), cpu)
    assert without.predict(batch)[1] is None
    assert without.key != teacher.key
    with pytest.raises(ValueError, match=r"no node 'pool': the last ones are conv2d, relu, con"):
        load_teacher(str(tmp_path / "small.pt2"), cpu, "pool")


def test_a_program_of_a_fixed_batch_gives_each_photo_its_own_features(small, batch, tmp_path):
    program = torch.export.export(small, (batch,))  # two photos, no more and no fewer
    card = own_card("small", 21, 33) | {"categories": ["__background__", "one", "two", "three"]}
    path = tmp_path / "two.pt2"
    torch.export.save(program, path, extra_files={"model.json": json.dumps(card)})
    network = load_program(path, torch.device("cpu")).network
    three = torch.rand(3, 3, 33, 41, generator=torch.Generator().manual_seed(2))
    logits, features = with_features(network, "relu")(three)
    torch.testing.assert_close(features, small.backbone(three).relu())
    torch.testing.assert_close(logits["out"], small(three))


def test_bytes_are_standardised_features():
    features = torch.tensor([[-3.0, 1.0, 5.0], [10.0, 30.0, 1000.0]]).view(1, 2, 1, 3)
    levels = to_bytes(features, torch.tensor([1.0, 20.0]), torch.tensor([4.0, 10.0]))
    assert levels.dtype == torch.uint8
    assert levels.flatten(1).tolist() == [[ZERO - UNIT, ZERO, ZERO + UNIT, 96, 160, 255]]
    grid = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]).view(1, 1, 3, 2)
    values = sample_hints(levels, grid * 2 / 3)  # the cells' centres, from edge to edge
    assert values[0, 0, 0].tolist() == pytest.approx([-1, 0, 1])
    assert values[0, 1, 0].tolist() == pytest.approx([-1, 1, 127 / 32])


def test_features_are_standardised_over_the_photos():
    features = np.random.default_rng(0).normal(5, 3, (40, 2, 3, 4)).astype(np.float16)
    features[:, 1] = features[:, 1] * 10
    rows = np.arange(40)[::-1].copy()
    values = (standardise(features, rows, torch.device("cpu")).float() - ZERO) / UNIT
    assert values.shape == (40, 2, 3, 4)
    torch.testing.assert_close(values.mean((0, 2, 3)), torch.zeros(2), atol=0.02, rtol=0)
    torch.testing.assert_close(values.std((0, 2, 3)), torch.ones(2), atol=0.03, rtol=0)
    order = torch.from_numpy(features[::-1, 0].astype(np.float32)).flatten().argsort()
    assert (values[:, 0].flatten()[order].diff() >= 0).all()


def test_views_carry_the_features_of_their_place():
    photos = colour_blocks(side=64)
    hints = torch.full((3, 2, 8, 8), ZERO, dtype=torch.uint8)
    hints[:, 0, :, :4] = ZERO + UNIT  # where the photo is red
    views = plain_views(photos, hints=hints)
    pixels, _, told, counted = views.batch(2, 16, 64, 4)
    assert told.shape == (16, 2, 4, 4)
    red = pixels[:, 0, ::16, ::16] > pixels[:, 2, ::16, ::16]
    near = (told[:, 0] - red.float()).abs()[counted[:, 0]]
    assert (near < 0.51).float().mean() > 0.95  # the edge itself is blurred
    assert (near < 0.01).float().mean() > 0.6
    assert (told[:, 1] == 0).all()
    mixed = plain_views(photos, hints=hints, augmentation=Augmentation(cutmix=1.0))
    assert mixed.batch(2, 16, 64, 4).hints.shape == (16, 2, 4, 4)
    assert views.batch(2, 16, 64, 4, with_hints=False).hints is None


def test_rectangles_lie_on_the_hints_grid():
    values = torch.arange(8.0).view(8, 1, 1, 1)
    layers = [values.expand(8, c, s, s) for c, s in ((3, 64), (4, 16), (2, 4))]
    generator = torch.Generator().manual_seed(3)
    pixels, targets, hints = paste_rectangles(layers, 1.0, generator)
    assert len(hints[0].unique()) == 2
    assert torch.equal(F.avg_pool2d(pixels[:, :1], 16), hints[:, :1])
    assert torch.equal(F.avg_pool2d(targets[:, :1], 4), hints[:, :1])


def test_a_hint_is_the_students_distance_from_the_teacher():
    torch.manual_seed(2)
    student = build_network("deeplabv3plus_resnet18", 4).train()
    hint = Hint(student, 5)
    assert student.training
    assert hint.projection.weight.shape == (5, 256, 1, 1)
    with pytest.raises(RuntimeError, match="the student must run before"):
        hint(torch.zeros(1, 5, 4, 4), torch.ones(1, 1, 4, 4))
    batch, told = torch.rand(2, 3, 64, 64), torch.randn(2, 5, 4, 4)
    everywhere = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    student.coarse_logits(batch)
    loss = hint(told, everywhere)
    student.eval()
    loss.backward()
    assert student.encoder.layer3[0].conv1.weight.grad.abs().sum() > 0
    features = student.encoder(batch)[1]
    guess = torch.einsum("nchw,kc->nkhw", features, hint.projection.weight[..., 0, 0])
    guess = guess + hint.projection.bias[:, None, None]
    torch.testing.assert_close(hint(told, everywhere), (guess - told).square().mean())
    upper = everywhere.clone()
    upper[:, :, 2:] = False
    student.encoder(batch)
    expected = (guess - told)[:, :, :2].square().mean()
    torch.testing.assert_close(hint(told, upper), expected)
    student.encoder(batch)
    hint.clear()
    with pytest.raises(RuntimeError, match="the student must run before"):
        hint(told, everywhere)
    with pytest.raises(ValueError, match="UNet has no encoder or backbone to give a hint to"):
        Hint(build_network("unet", 4), 5)


def test_hints_are_kept_with_the_maps(small, tmp_path):
    make_shapes(tmp_path, 5, seed=6, masks=False)
    samples = find_samples(tmp_path)
    teacher = Teacher(with_features(small, "backbone"), (0.5,) * 3, (0.5,) * 3, "s", hints=True)

    def ask() -> tuple:
        return run_teachers(
            Teachers((teacher,), (33,)), samples, tmp_path / "cache", num_classes=4,
            prior_factor=3.0, device=torch.device("cpu"),
        )  # fmt: skip

    maps, hints, rows = ask()
    assert (maps.shape, hints.shape, hints.dtype) == ((5, 4, 5, 7), (5, 5, 14, 19), np.float16)
    again = ask()
    assert np.array_equal(hints[rows], again[1][again[2]])


@pytest.mark.usefixtures("one_thread")
def test_a_run_with_hints_goes_on_to_the_same_state(small, tmp_path, monkeypatch):
    def load(name: str, device: torch.device, hint: str | None = None) -> Teacher:
        return Teacher(with_features(small, hint), (0.5,) * 3, (0.5,) * 3, name, hints=True)

    monkeypatch.setattr(pipeline, "load_teacher", load)
    make_shapes(tmp_path / "data", 8, seed=7)
    options = [
        *["--data", str(tmp_path / "data"), "--model", "deeplabv3plus_resnet18", "--quiet"],
        *["--num-classes", "4", "--size", "32", "--batch", "4", "--device", "cpu", "--steps", "6"],
        *["--teacher", "a", "b", "--teacher-size", "65", "--hint", "backbone", "backbone"],
        *["--hint-until", "0.6", "--lr", "0.01"],
        *["--cutmix", "0.5", "--save-every", "3"],
    ]
    assert train.main([*options, "--out", str(tmp_path / "whole")]) == 0
    whole = load_checkpoint(tmp_path / "whole" / "checkpoint.pt")
    halves = train.Trainer(make_parser().parse_args([*options, "--out", str(tmp_path / "halves")]))
    halves.feed.prepare(halves.size())
    weights = []
    for _ in range(3):
        weights.append(halves.hint_weight())
        halves.train_step()
    assert weights == pytest.approx([1, 1 - 1 / 3.6, 1 - 2 / 3.6])
    assert halves.hint.projection.weight.shape[0] == 10
    halves.save()
    assert train.main([*options, "--out", str(tmp_path / "halves")]) == 0
    gone_on = load_checkpoint(tmp_path / "halves" / "checkpoint.pt")
    assert gone_on["step"] == whole["step"] == 6
    for part in ("hint", "network", "average"):
        one, other = whole[part], gone_on[part]
        one, other = one.get("network", one), other.get("network", other)
        assert all(torch.equal(value, other[key]) for key, value in one.items()), part


def test_hints_that_do_not_fit_the_teachers_are_refused(tmp_path, capsys):
    make_shapes(tmp_path / "data", 2, seed=7)
    options = ["--data", str(tmp_path / "data"), "--model", "deeplabv3plus_resnet18"]
    options += ["--out", str(tmp_path / "out"), "--num-classes", "4", "--hint", "backbone"]
    assert train.main(options) == 1
    assert "error: --hint names 1 layers, --teacher 0 teachers" in capsys.readouterr().err
    assert train.main([*options, "--teacher", "a", "b"]) == 1
    assert "name one layer a teacher" in capsys.readouterr().err
