"""Teachers: how they are asked and averaged, what limits them, and when they are asked again."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from helpers.shapes import make_shapes
from training.common import own_card
from training.data.dataset import Sample, find_samples
from training.distillation.known import Known, known_classes, misses_prior
from training.distillation.maps import MapFiles, run_teachers
from training.distillation.teacher import (
    Teacher,
    Teachers,
    corners_aligned,
    load_teacher,
    resample,
    teacher_sides,
)

CPU = torch.device("cpu")
HALF = (0.5, 0.5, 0.5)
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def constant(key: str, *odds: float, cells: int = 5) -> Teacher:
    """A teacher that gives these probabilities everywhere."""
    logits = torch.tensor(odds).log().view(1, -1, 1, 1)
    return Teacher(lambda batch: logits.expand(len(batch), -1, cells, cells), HALF, HALF, key)


def asked(teacher: Teacher) -> tuple[Teacher, list[tuple[int, ...]]]:
    """The teacher, and the shapes of the batches that it sees."""
    shapes: list[tuple[int, ...]] = []

    def network(batch: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(batch.shape))
        return teacher.network(batch)

    return replace(teacher, network=network), shapes


def test_tensorflows_corners():
    assert corners_aligned(321, 41)
    assert corners_aligned(417, 27)
    assert corners_aligned(65, 65)
    assert not corners_aligned(320, 40)
    assert not corners_aligned(64, 8)  # 63 is 7 x 9
    assert not corners_aligned(256, 16)  # 255 is 15 x 17


@pytest.mark.parametrize(
    ("sides", "cells"), [((33, 49), (5, 7)), ((33, 49), (3, 4)), ((32, 48), (4, 6))]
)
def test_a_ramp_over_the_photo_stays_in_place_whatever_the_teachers_grid(sides, cells):
    # A value at each cell that is its place in the photo, in [0, 1] from edge to edge.
    rows, columns = (
        (torch.arange(n) * (side - 1) / (n - 1) + 0.5) / side
        if corners_aligned(side, n)
        else (torch.arange(n) + 0.5) / n
        for side, n in zip(sides, cells, strict=True)
    )
    values = torch.stack([rows[:, None].expand(cells), columns.expand(cells)])[None]
    out = resample(values, sides, (12, 16))[0]
    places = (torch.arange(12) + 0.5) / 12, (torch.arange(16) + 0.5) / 16
    for axis, (given, wanted, outer) in enumerate(
        zip((out[0, :, 0], out[1, 0]), places, (rows, columns), strict=True)
    ):
        between = (wanted >= outer[0]) & (wanted <= outer[-1])
        assert between.sum() >= 9, axis
        torch.testing.assert_close(given[between], wanted[between])
        assert given[0] >= outer[0] - 1e-6  # nothing is made up beyond the outer cells


@pytest.mark.parametrize("grid", [(12, 20), (4, 5), (3, 4), (8, 10)])
def test_resampling_without_aligned_corners_is_torchs(grid):
    values = torch.rand(2, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(values, grid, mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(resample(values, (64, 80), grid), expected)


def test_a_teacher_sees_true_proportions():
    assert teacher_sides(100, 150, 417) == (417, 625)  # 625.5 by proportion; 39 x 16 + 1
    assert teacher_sides(150, 100, 417) == (625, 417)
    assert teacher_sides(100, 100, 321) == (321, 321)
    assert teacher_sides(300, 400, 320) == (320, 432)  # 426.7


def test_probabilities_of_teachers_are_averaged_over_sizes_and_flips():
    one, seen = asked(constant("a", 0.2, 0.8))
    other, also = asked(constant("b", 0.6, 0.4, cells=9))
    teachers = Teachers((one, other), (65, 49), flip=True)
    photos = [torch.zeros(3, 40, 60, dtype=torch.uint8)] * 2
    maps, hints = teachers.predict(photos, transposed=False)
    assert hints is None
    assert maps.shape == (2, 2, 9, 12)
    torch.testing.assert_close(maps[:, 0], torch.full((2, 9, 12), 0.4))
    assert seen == also == [(2, 3, 65, 97)] * 2 + [(2, 3, 49, 81)] * 2
    alone, _ = Teachers((one,), (65,)).predict(photos, transposed=False)
    torch.testing.assert_close(alone[:, 1], torch.full((2, 9, 12), 0.8))


def brightness(batch: torch.Tensor) -> torch.Tensor:
    """Logits (N, 2, h, w) at stride 8 with corners: class 1 where it is bright."""
    bright = batch.mean(1, keepdim=True)[:, :, ::8, ::8]
    return torch.cat([-20 * bright, 20 * bright], 1)


def test_a_mirrored_look_is_mirrored_back():
    left = torch.zeros(3, 49, 65, dtype=torch.uint8)
    left[..., :32] = 255
    bright = Teacher(brightness, HALF, HALF, "bright")
    plain, _ = Teachers((bright,), (49,)).predict([left], transposed=False)
    both, _ = Teachers((bright,), (49,), flip=True).predict([left], transposed=False)
    torch.testing.assert_close(plain, both)
    assert (plain[0, 1, :, :3].min() > 0.99, plain[0, 1, :, -3:].max() < 0.01) == (True, True)
    # A teacher that always finds class 1 on the left finds it on both sides with a flip.
    ramp = torch.tensor([9.0, 9, 9, 9, -9, -9, -9, -9]).expand(1, 1, 6, 8)
    sided = Teacher(lambda b: torch.cat([-ramp, ramp], 1), HALF, HALF, "sided")
    both, _ = Teachers((sided,), (48,), flip=True).predict([left[:, :48, :64]], transposed=False)
    torch.testing.assert_close(both, torch.full_like(both, 0.5))


def test_photos_that_are_higher_than_wide_come_back_lying():
    upper = torch.zeros(3, 65, 49, dtype=torch.uint8)
    upper[:, :32] = 255
    maps, _ = Teachers((Teacher(brightness, HALF, HALF, "b"),), (49,)).predict(
        [upper], transposed=True
    )
    assert maps.shape == (1, 2, 7, 9)
    assert (maps[0, 1, :, :3].min() > 0.99, maps[0, 1, :, -3:].max() < 0.01) == (True, True)


def test_features_of_both_teachers_are_hints():
    def telling(value: float, channels: int) -> Callable[[torch.Tensor], tuple]:
        return lambda b: (brightness(b), torch.full((len(b), channels, 5, 7), value))

    one = Teacher(telling(1.0, 2), HALF, HALF, "a", hints=True)
    other = Teacher(telling(2.0, 3), HALF, HALF, "b", hints=True)
    _, hints = Teachers((one, other), (33, 49), flip=True).predict(
        [torch.zeros(3, 40, 60, dtype=torch.uint8)], transposed=False
    )
    assert hints.shape == (1, 5, 14, 19)
    assert hints[0, :, 3, 3].tolist() == [1, 1, 2, 2, 2]


def test_teachers_must_agree_on_the_classes():
    teachers = Teachers((constant("a", 0.5, 0.5), constant("b", 0.2, 0.3, 0.5)), (33,))
    with pytest.raises(ValueError, match=r"different numbers of classes, \[2, 3\]"):
        teachers.predict([torch.zeros(3, 40, 60, dtype=torch.uint8)], transposed=False)


def test_teachers_must_name_the_classes_in_one_order():
    one = replace(constant("a", 0.2, 0.3, 0.5), categories=("background", "cat", "dog"))
    other = replace(one, categories=("background", "dog", "cat"))
    Teachers((one, one, constant("c", 0.5, 0.5)), (33,))
    with pytest.raises(ValueError, match="class 1 is 'dog' for one teacher and 'cat' for another"):
        Teachers((one, other), (33,))
    with pytest.raises(ValueError, match="class 1 is 'cat' for one teacher and 'dog' for another"):
        Teachers((one,), (33,), categories=other.categories)


def test_a_limit_leaves_only_its_classes_and_background():
    odds = torch.tensor([0.1, 0.6, 0.3]).view(3, 1, 1)
    limited = Known(allowed=(0, 2)).apply(odds)
    assert limited.flatten().tolist() == pytest.approx([0.25, 0, 0.75])
    nothing_left = torch.tensor([0.0, 1.0, 0.0]).view(3, 1, 1)
    assert Known(allowed=(0, 2)).apply(nothing_left).flatten().tolist() == [1, 0, 0]
    assert torch.equal(Known().apply(odds), odds)


def test_a_prior_multiplies_and_rules_nothing_out():
    odds = torch.tensor([0.5, 0.3, 0.2]).view(3, 1, 1)
    likely = Known(likely=(2,), factor=3.0).apply(odds)
    assert likely.flatten().tolist() == pytest.approx([0.5 / 1.4, 0.3 / 1.4, 0.6 / 1.4])


@pytest.fixture
def masked(tmp_path: Path) -> Sample:
    """A photo whose mask shows classes 0, 2, 255 and 9."""
    Image.new("RGB", (4, 1)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[0, 2, 255, 9]], np.uint8)).save(tmp_path / "a-mask.png")
    return Sample(tmp_path / "a.png", tmp_path / "a-mask.png")


def test_what_is_known_of_a_photo(masked):
    def known(**changes: object) -> Known:
        return known_classes(replace(masked, **changes), 5, 3.0)

    assert known() == Known(allowed=(0, 2))  # 9 is no class of ours
    assert known(classes=(3,)) == Known(allowed=(0, 2, 3))  # may stand where the mask says 255
    assert known(partial=True) == Known()
    assert known(mask=None) == Known()
    assert known(mask=None, classes=(3,)) == known(partial=True, classes=(3,))
    assert known(mask=None, classes=(3,)) == Known(allowed=(0, 3))
    assert known(mask=None, classes=()) == Known(allowed=(0,))
    assert known(mask=None, classes=(3,), prior=True) == Known(likely=(3,), factor=3.0)
    assert known(mask=None, classes=(), prior=True) == Known()
    assert known(classes=(3,), prior=True) == Known(allowed=(0, 2, 3))


def test_photos_of_a_prior_that_no_teacher_finds_are_left_out(masked):
    sample = replace(masked, mask=None, classes=(2, 3), prior=True)
    assert misses_prior(sample, torch.tensor([0.97, 0, 0.005, 0.01]))
    assert not misses_prior(sample, torch.tensor([0.9, 0, 0.015, 0.01]))
    nothing = torch.tensor([1.0, 0, 0, 0])
    assert not misses_prior(replace(sample, prior=False), nothing)
    assert not misses_prior(replace(sample, mask=masked.mask), nothing)
    assert not misses_prior(replace(sample, classes=None), nothing)


class Cache:
    """A folder of photos, its cache, and how many photos a teacher was asked about."""

    def __init__(self, folder: Path) -> None:
        make_shapes(folder, 5, seed=6, masks=False)
        self.folder, self.samples = folder, find_samples(folder)
        self.teacher, self.batches = asked(constant("t", 0.2, 0.8))
        self.teachers = Teachers((self.teacher,), (33,))

    def ask(self, **changes: object) -> tuple[int, np.ndarray]:
        """How many photos the teacher saw, and their maps in the photos' order."""
        self.batches.clear()
        teachers = replace(self.teachers, **changes)
        maps, _, rows = run_teachers(
            teachers, self.samples, self.folder / "cache", num_classes=2, prior_factor=3.0,
            device=CPU,
        )  # fmt: skip
        looks = len(teachers.members) * len(teachers.sizes) * (1 + teachers.flip)
        shown = (
            sum(shape[0] for shape in self.batches) - looks
        )  # the first look is at a black photo
        return shown // looks, maps[rows]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_a_photo_is_asked_about_once(cache):
    count, maps = cache.ask()
    assert count == 5
    assert maps.shape == (5, 2, 5, 7)
    assert np.unique(maps[:, 1]).tolist() == [204]
    again = cache.ask()
    assert again[0] == 0
    assert np.array_equal(maps, again[1])


def test_a_changed_photo_is_asked_about_again_and_a_renamed_one_is_not(cache):
    cache.ask()
    photo = cache.samples[2].photo
    Image.new("RGB", (96, 72), "white").save(photo)  # other contents under the same name
    assert cache.ask()[0] == 1
    photo.rename(photo.with_name("zzz.jpg"))
    cache.samples = find_samples(cache.folder)
    assert cache.ask()[0] == 0
    cache.samples = cache.samples[1:]
    assert cache.ask()[0] == 0


def test_other_teachers_sizes_and_flips_are_asked_again(cache):
    cache.ask()
    assert cache.ask(sizes=(33, 49))[0] == 5
    assert cache.ask(flip=True)[0] == 5
    assert cache.ask(members=(replace(cache.teacher, key="other weights"),))[0] == 5
    assert cache.ask(members=(cache.teacher, cache.teacher))[0] == 5
    assert cache.ask()[0] == 0


def test_another_class_list_is_asked_again(cache):
    cache.ask()
    limited = [replace(cache.samples[0], classes=()), *cache.samples[1:]]
    cache.samples = limited
    count, maps = cache.ask()
    assert count == 1
    assert np.unique(maps[0, 0]).tolist() == [255]  # nothing but background is allowed
    assert np.unique(maps[1, 0]).tolist() == [51]
    cache.samples = [replace(limited[0], classes=(1,), prior=True), *limited[1:]]
    count, maps = cache.ask()
    assert count == 1
    assert np.unique(maps[0, 1]).tolist() == [round(255 * 2.4 / 2.6)]


@pytest.mark.parametrize("torn", ["teacher-*.maps", "teacher-*.index"])
def test_what_a_killed_run_left_half_written_is_asked_again(cache, torn):
    _, whole = cache.ask()
    (path,) = (cache.folder / "cache").glob(torn)
    data = path.read_bytes()
    path.write_bytes(data[: -len(data) // 5 - 3])  # more than a row is missing
    count, again = cache.ask()
    assert count == 2
    assert np.array_equal(whole, again)
    (index,) = (cache.folder / "cache").glob("teacher-*.index")
    assert index.stat().st_size == 5 * 16


def test_rows_of_another_shape_are_refused(tmp_path):
    files = MapFiles(tmp_path, "k", (2, 5, 7))
    with pytest.raises(ValueError, match=r"holds rows of \(2, 5, 7\), not of \(2, 5, 8\)"):
        files.append([b"x" * 16], np.zeros((1, 2, 5, 8), np.uint8))


def test_a_teacher_that_answers_for_one_photo_of_several_is_refused(tmp_path):
    make_shapes(tmp_path, 2, seed=6, masks=False)
    teacher = Teacher(lambda batch: torch.zeros(1, 4, 5, 5), HALF, HALF, "one")
    with pytest.raises(ValueError, match="returned 1 maps for 2 photos"):
        run_teachers(
            Teachers((teacher,), (33,)), find_samples(tmp_path), tmp_path, num_classes=4,
            prior_factor=3.0, device=CPU,
        )  # fmt: skip


def export(network: nn.Module, path: Path, *, fixed: bool = False) -> str:
    """A program of two classes with its card."""
    n, h, w = (torch.export.Dim.AUTO for _ in "nhw")
    shapes = None if fixed else {"batch": {0: n, 2: h, 3: w}}
    program = torch.export.export(network, (torch.rand(2, 3, 33, 49),), dynamic_shapes=shapes)
    card = own_card("small", 21, 33) | {"categories": ["__background__", "one"]}
    torch.export.save(program, path, extra_files={"model.json": json.dumps(card)})
    return str(path)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, 2, 3, stride=8, padding=1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.classifier(batch)


def test_a_teachers_key_is_its_weights(tmp_path):
    torch.manual_seed(0)
    small = Small().eval()
    path = export(small, tmp_path / "small.pt2")
    key = load_teacher(path, CPU).key
    assert load_teacher(path, CPU).key == key
    with torch.no_grad():
        small.classifier.bias += 1e-3
    export(small, tmp_path / "small.pt2")  # other weights under the same name
    assert load_teacher(path, CPU).key != key
    assert load_teacher("embedded", CPU).key not in (key, "embedded")


def test_a_program_of_fixed_sides_is_shown_those(tmp_path):
    torch.manual_seed(0)
    small = Small().eval()
    teacher = load_teacher(export(small, tmp_path / "fixed.pt2", fixed=True), CPU)
    photo = torch.randint(0, 256, (3, 90, 60), dtype=torch.uint8)
    teachers = Teachers((teacher,), (65,))
    assert teachers.plan(90, 60) == ((33, 49),)
    maps, _ = teachers.predict([photo], transposed=True)
    assert maps.shape == (1, 2, 9, 12)
    assert math.isclose(float(maps.sum(1).mean()), 1.0, abs_tol=1e-5)


@pytest.mark.shared
def test_two_published_teachers_find_what_masks_say(shared):
    names = [f"deeplabv3_mobilenet_v2_{part}voc.pt2" for part in ("", "full_")]
    members = tuple(load_teacher(str(shared / "models" / name), CPU, "conv2d_50") for name in names)
    teachers = Teachers(members, (321,), flip=True)
    samples = [s for s in find_samples(shared / "photos" / "val") if s.mask][:2]
    for sample in samples:
        pixels = torch.from_numpy(np.array(Image.open(sample.photo))).permute(2, 0, 1)
        transposed = pixels.shape[1] > pixels.shape[2]
        maps, hints = teachers.predict([pixels], transposed)
        assert hints.shape == (1, 160 + 320, 14, 19)
        upright = maps[0].mT if transposed else maps[0]
        labels = torch.from_numpy(np.array(Image.open(sample.mask)))
        given = F.interpolate(upright[None], labels.shape, mode="bilinear")[0].argmax(0)
        known = labels < 255
        assert (given == labels)[known].float().mean() > 0.8, sample.name
