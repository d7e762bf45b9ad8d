"""The pieces of the recipes: data, losses, draws, schedules, optimizers, metrics, mixing."""

import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from test_training_views import colour_blocks
from torch import nn

from segmentation.networks.build import build_network
from training.adjust import adjust, bias_key, class_frequencies
from training.adjust import main as adjust_command
from training.common import initial_weights, voc_categories
from training.data.canvases import load_photos
from training.data.dataset import find_samples, read_class_lists
from training.data.sampling import class_shares, drawing_weights
from training.evaluate import figures
from training.history import run_stage
from training.optim import mix
from training.optim.losses import balance_classes, mix_targets, soft_cross_entropy
from training.optim.metrics import ConfusionMatrix
from training.optim.mix import mix_weights
from training.optim.optimizers import Muon, make_optimizers, orthogonalise
from training.optim.schedule import (
    average_state,
    learning_rate_factor,
    load_average,
    weight_average,
)


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="JPEGImages is no folder"):
        find_samples(tmp_path)
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no photo"):
        find_samples(tmp_path)
    (tmp_path / "SegmentationClass").mkdir()
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        Image.new("RGB", (8, 8)).save(tmp_path / folder / f"a.{ending}")
    with pytest.raises(ValueError, match=r"a\.png is RGB: a mask is an indexed"):
        load_photos(find_samples(tmp_path), 32)


def test_truth_and_teacher_are_mixed_where_both_speak():
    labels = torch.tensor([[[0, 255]], [[2, 255]]])
    teacher = torch.zeros(2, 3, 1, 2)
    teacher[0, 1] = 1.0  # photo 1 was never shown to the teacher
    targets = mix_targets(labels, teacher, 3, truth=0.75)
    assert targets[0, :, 0, 0].tolist() == [0.75, 0.25, 0]
    assert targets[0, :, 0, 1].tolist() == [0, 1, 0]
    assert targets[1, :, 0, 0].tolist() == [0, 0, 1]
    assert targets[1, :, 0, 1].tolist() == [0, 0, 0]


def test_soft_cross_entropy_agrees_with_torchs():
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 6, 7)
    labels = torch.randint(0, 5, (2, 6, 7))
    labels[0, :2] = 255
    weights = torch.rand(5) + 0.5
    hard = mix_targets(labels, None, 5, truth=1.0)
    expected = F.cross_entropy(logits, labels, weight=weights, ignore_index=255)
    torch.testing.assert_close(soft_cross_entropy(logits, hard, weights), expected)
    soft = torch.rand(2, 5, 6, 7).softmax(1)
    torch.testing.assert_close(soft_cross_entropy(logits, soft), F.cross_entropy(logits, soft))


def test_balanced_classes():
    frequencies = torch.tensor([0.9, 0.1, 0.0])
    assert balance_classes(frequencies, 0.0).tolist() == pytest.approx([1, 1, 1])
    weights = balance_classes(frequencies, 1.0)
    assert (weights * frequencies)[:2].tolist() == pytest.approx([0.5, 0.5])
    assert math.isfinite(weights[2])


def test_schedules():
    assert learning_rate_factor(0.01, warmup=0.02) == pytest.approx(0.5)
    assert learning_rate_factor(0.51, warmup=0.02) == pytest.approx(0.5)
    assert learning_rate_factor(1.0) == pytest.approx(0)
    assert learning_rate_factor(0.5, schedule="poly", warmup=0, power=0.9) == pytest.approx(
        0.5**0.9
    )
    with pytest.raises(ValueError, match="unknown schedule 'step': one of cosine, poly"):
        learning_rate_factor(0.5, schedule="step")


def test_weight_average_follows_and_warms_up():
    network = nn.BatchNorm2d(1)
    average = weight_average(network, 0.9)
    with torch.no_grad():
        network.weight.fill_(12.0)
    network.running_mean.fill_(12.0)
    network.num_batches_tracked.fill_(5)
    average.update_parameters(network)  # decay min(0.9, 2 / 11)
    assert average.module.weight.item() == pytest.approx(12 - 11 * 2 / 11)
    assert average.module.running_mean.item() == pytest.approx(12 * 9 / 11)
    assert average.module.num_batches_tracked.item() == 5
    assert not average.module.weight.requires_grad
    other = weight_average(nn.BatchNorm2d(1), 0.9)
    load_average(other, average_state(average))
    for one in (average, other):
        one.update_parameters(network)  # decay min(0.9, 3 / 12)
        assert one.module.weight.item() == pytest.approx(12 - 2 * 3 / 12)
    assert average_state(other)["steps"] == 2


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_orthogonalised_matrices_have_like_singular_values(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    out = orthogonalise(matrix)
    singular = torch.linalg.svdvals(out)
    assert singular.max() < 1.3
    assert singular.median() > 0.6
    kept = torch.diag(u.T @ out @ v.T)  # the singular vectors stay
    torch.testing.assert_close(kept.sort().values, singular.sort().values, atol=2e-3, rtol=0)


def test_orthogonalising_a_matrix_of_low_rank_leaves_the_null_space_alone():
    torch.manual_seed(0)
    out = orthogonalise(torch.randn(64, 3) @ torch.randn(3, 200))
    singular = torch.linalg.svdvals(out)
    assert singular[2] > 0.6
    assert singular[3] < 1e-3


def test_muon_takes_kernels_and_leaves_the_rest_to_adamw():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8))
    rest, muon = make_optimizers(network, "muon", learning_rate=0.1, weight_decay=0.01)
    assert isinstance(muon, Muon)
    assert [tuple(w.shape) for g in muon.param_groups for w in g["params"]] == [(8, 3, 3, 3)]
    decays = {g["weight_decay"]: len(g["params"]) for g in rest.param_groups}
    assert decays == {0.01: 1, 0.0: 4}
    with pytest.raises(ValueError, match="unknown optimizer 'adam': one of adamw, sgd, muon"):
        make_optimizers(network, "adam", learning_rate=0.1, weight_decay=0.0)


def test_confusion_matrix_by_hand():
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([[0, 0, 1, 255]]), torch.tensor([[0, 1, 1, 2]]))
    matrix.update(torch.tensor([[0]]), torch.tensor([[0]]))
    assert matrix.counts.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert matrix.iou()[:2].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert math.isnan(matrix.iou()[2])
    assert matrix.mean_iou() == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert matrix.mean_iou([1, 2]) == pytest.approx(1 / 2)
    assert matrix.pixel_accuracy() == pytest.approx(3 / 4)
    assert matrix.photos.tolist() == [2, 1, 0]
    given = figures(matrix, ["a", "b", "c"])
    assert given["classes"] == {"a": {"iou": 0.6667, "photos": 2}, "b": {"iou": 0.5, "photos": 1}}
    assert "miou_7" not in given


def test_seven_classes_have_their_own_mean():
    matrix = ConfusionMatrix(21)
    labels = torch.tensor([0, 3, 8, 10, 12, 13, 15, 17])
    matrix.update(labels, labels)
    matrix.update(torch.tensor([3]), torch.tensor([8]))  # a bird taken for a cat
    given = figures(matrix, voc_categories())
    assert given["miou_7"] == pytest.approx((6 + 0.5) / 7, abs=1e-4)
    assert given["miou_shown"] == pytest.approx((6 + 0.5 + 0.5) / 8, abs=1e-4)
    assert given["miou"] is None  # the photos do not show all 21 classes
    matrix.update(torch.arange(21), torch.arange(21))
    given = figures(matrix, voc_categories())
    assert given["miou"] == given["miou_shown"] == pytest.approx((19 + 2 / 3 * 2) / 21, abs=1e-4)


def test_what_a_photo_shows_comes_from_its_mask_or_the_teacher():
    photos = colour_blocks(3)
    photos.masks[2] = 0
    photos.rows[2] = 0
    maps = torch.zeros(3, 4, 4, 5, dtype=torch.uint8)
    maps[2, 3, :2], maps[2, 2, 2:] = 255, 120  # sure of one half, not of the other
    shares = class_shares(photos, maps, 4)
    assert shares.tolist() == [[0, 0.5, 0.5, 0], [1, 0, 0, 0], [0, 0, 0, 0.5]]
    assert class_shares(photos, None, 4)[2].tolist() == [0, 0, 0, 0]


def test_boosted_classes_are_drawn_more_often():
    shown = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]).bool()
    labelled = torch.tensor([True, True, False])
    boosts = {1: 2.0, 2: 3.0, 3: 4.0}
    weights = drawing_weights(shown, labelled, boosts=boosts, unlabelled_weight=0.5)
    assert weights.tolist() == [3.0, 1.0, 2.0]


def test_rare_classes_are_drawn_more_often():
    # Classes 1, 2, 3 are shown by 8, 4 and 1 photos: the median is 4.
    shown = torch.zeros(12, 4, dtype=torch.bool)
    shown[:8, 1], shown[7:11, 2], shown[10, 3] = True, True, True
    labelled = torch.ones(12, dtype=torch.bool)
    weights = drawing_weights(shown, labelled, boosts={}, unlabelled_weight=0.5, rare=0.5)
    common, middle, rare = 0.5**0.5, 1.0, 4**0.5
    expected = [common] * 7 + [(common + middle) / 2] + [middle] * 2 + [(middle + rare) / 2, 0.25]
    assert weights.tolist() == pytest.approx(expected)
    labelled[:2] = False
    halved = drawing_weights(shown, labelled, boosts={3: 4.0}, unlabelled_weight=0.5, rare=0.5)
    assert halved[:3].tolist() == pytest.approx([common / 2, common / 2, common])
    assert halved[10].item() == pytest.approx(4 * (middle + rare) / 2)
    # The bounds hold: a class of one photo among ninety, at most six times the median's.
    shown = torch.zeros(91, 4, dtype=torch.bool)
    shown[:90, 1], shown[:90, 2], shown[90, 3] = True, True, True
    bounded = drawing_weights(
        shown, torch.ones(91, dtype=torch.bool), boosts={}, unlabelled_weight=1, rare=1.0
    )
    assert bounded[[0, 90]].tolist() == [1.0, 6.0]


CLASSES = ("__background__", "cat", "dog")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[1]", "holds a list, not an object of photo to class"),
        ('{"a": "cow"}', "'a' has the unknown class 'cow': one of __background__, cat, dog"),
        ('{"a": ["cat", 3]}', "'a' has the unknown class 3"),
        ('{"a": 1}', "'a' has 1, not a class name or a list of them"),
        ('{"b": "cat"}', "names no photo"),
    ],
)
def test_bad_class_lists_are_named(tmp_path, text, message):
    (tmp_path / "JPEGImages").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "JPEGImages" / "a.jpg")
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        find_samples(tmp_path, categories=CLASSES)
    assert find_samples(tmp_path)[0].classes is None  # who only measures does not read them


def test_class_lists_are_one_name_or_several(tmp_path):
    (tmp_path / "classes.json").write_text('{"a": "dog", "b": ["dog", "cat", "dog"], "c": []}')
    lists = read_class_lists(tmp_path / "classes.json", CLASSES)
    assert lists == {"a": (2,), "b": (1, 2), "c": ()}


def test_mixing_is_the_weighted_mean_of_weights_and_statistics():
    one, other = nn.BatchNorm2d(2).state_dict(), nn.BatchNorm2d(2).state_dict()
    one = {key: value.clone() for key, value in one.items()}
    one["weight"][:] = torch.tensor([1.0, 2.0])
    one["running_mean"][:], other["running_mean"][:] = 10.0, 20.0
    other["weight"] = torch.tensor([3.0, -2.0]).half()
    one["num_batches_tracked"] += 7
    mixed = mix_weights([one, other], [0.85, 0.15])
    assert mixed["weight"].dtype == torch.float32
    assert mixed["weight"].tolist() == pytest.approx([0.85 + 0.45, 1.7 - 0.3])
    assert mixed["running_mean"].tolist() == pytest.approx([11.5, 11.5])
    assert mixed["num_batches_tracked"].item() == 7
    assert one["weight"].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"the shares \[0.85, 0.2\]: they must add up to 1"):
        mix_weights([one, other], [0.85, 0.2])
    with pytest.raises(ValueError, match="different networks: 'weight' is missing or has"):
        mix_weights([one, nn.BatchNorm2d(3).state_dict()], [0.5, 0.5])


def test_mixing_from_the_command_line(tmp_path, capsys):
    states = []
    for i, name in enumerate(("a", "b")):
        torch.manual_seed(i)
        states.append(build_network("deeplabv3plus_resnet18", 4).state_dict())
        torch.save(states[-1], tmp_path / f"{name}.pth")
    run = {"average": {"steps": 3, "network": states[0]}, "recipe": {"model": "m"}, "step": 3}
    torch.save(run | {"optimizers": []}, tmp_path / "run.pt")
    for first, out in (("a.pth", "mixed.pth"), ("run.pt", "mixed.pt")):
        parts = [f"{tmp_path / first}:0.75", f"{tmp_path / 'b.pth'}:0.25"]
        assert mix.main([*parts, "--out", str(tmp_path / out)]) == 0
        mixed = initial_weights(str(tmp_path / out), "deeplabv3plus_resnet18")
        for key in ("head.classifier.weight", "encoder.layer1.0.bn1.running_var"):
            torch.testing.assert_close(mixed[key], 0.75 * states[0][key] + 0.25 * states[1][key])
    record = torch.load(tmp_path / "mixed.pt", weights_only=True)
    assert len(set(record["changes"][0]["sha256"])) == 2
    assert (record["recipe"], record["step"]) == ({"model": "m"}, 3)
    assert "optimizers" not in record
    recipe = {"init": None, "teacher": [], "minutes": None, "turn": 0.0, "prior": ["x/shared/p"]}
    stage = run_stage(record | {"recipe": recipe, "samples_seen": 6, "elapsed": 60.0})
    assert stage["what"].endswith("Then mixed: 0.75 of run.pt + 0.25 of b.pth.")
    assert stage["command"] == "python -m training.train --turn 0.0 --prior ../shared/p"
    with pytest.raises(SystemExit):
        mix.main(["a.pth:2", "--out", "x"])
    assert "'a.pth:2' is no FILE:SHARE" in capsys.readouterr().err
    assert mix.main([f"{tmp_path / 'a.pth'}:1", "none.pth:0", "--out", "x"]) == 1
    assert "none.pth" in capsys.readouterr().err


def write_masks(folder: Path, *masks: list[int]) -> None:
    (folder / "JPEGImages").mkdir(parents=True)
    (folder / "SegmentationClass").mkdir()
    for i, values in enumerate(masks):
        name = f"{'horse_' if 3 in values else 'a'}{i}"
        Image.new("RGB", (len(values), 1)).save(folder / "JPEGImages" / f"{name}.png")
        mask = Image.new("L", (len(values), 1))
        mask.putdata(values)
        mask.save(folder / "SegmentationClass" / f"{name}.png")


def test_class_frequencies_count_photos_alike(tmp_path):
    # Shares: 3/4 and 1/4 of the first, 1/2 (and 1/2 ignored) of the second, 1/8 of the third.
    write_masks(tmp_path, [0, 0, 0, 1], [2, 255], [0, 0, 0, 0, 0, 0, 0, 3])
    samples = find_samples(tmp_path, partial_prefixes=["horse_"])
    frequencies = class_frequencies(samples, 4)
    total = 0.75 + 0.25 + 0.5 + 0.125
    assert (frequencies * total).tolist() == pytest.approx([0.75, 0.25, 0.5, 0.125])
    with pytest.raises(ValueError, match=r"no mask shows the classes \[4\]"):
        class_frequencies(samples, 5)


def test_adjusted_logits_are_divided_by_the_frequencies():
    frequencies = torch.tensor([0.8, 0.15, 0.05], dtype=torch.float64)
    logits = torch.tensor([1.0, -0.5, 0.25])
    given = adjust(logits, frequencies, 1.0).softmax(0)
    expected = logits.softmax(0) / frequencies
    torch.testing.assert_close(given, (expected / expected.sum()).float())
    assert torch.equal(adjust(logits, frequencies, 0.0), logits)
    half = adjust(logits, frequencies, 0.5)
    assert half.tolist() == pytest.approx(
        [1.0, -0.5 + 0.5 * math.log(0.8 / 0.15), 0.25 + math.log(4)]
    )


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("deeplabv3plus_resnet18", "head.classifier.bias"),
        ("deeplabv3_mobilenet_v3_large", "classifier.4.bias"),
    ],
)
def test_the_adjusted_bias_is_that_of_the_logits(name, key):
    network = build_network(name, 4).eval()
    assert bias_key(network, 4) == key
    batch = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network(batch)["out"]
        network.get_parameter(key).add_(torch.tensor([0.0, 1.0, 2.0, 3.0]))
        raised = network(batch)["out"] - before
    torch.testing.assert_close(raised.mean((0, 2, 3)), torch.tensor([0.0, 1.0, 2.0, 3.0]))


def test_adjusting_from_the_command_line(tmp_path, capsys):
    write_masks(tmp_path / "data", [0, 0, 0, 1], [2, 3])
    torch.manual_seed(0)
    state = build_network("deeplabv3plus_resnet18", 4).state_dict()
    torch.save({"average": {"network": state}, "step": 1, "changes": []}, tmp_path / "run.pt")
    out = tmp_path / "adjusted.pt"
    options = ["--data", str(tmp_path / "data"), "--num-classes", "4", "--tau", "0.5"]
    assert adjust_command([str(tmp_path / "run.pt"), *options, "--out", str(out)]) == 0
    assert "head.classifier.bias raised by 0.00, 0.55, 0.20, 0.20" in capsys.readouterr().out
    given = initial_weights(str(out), "deeplabv3plus_resnet18")
    different = [key for key, value in state.items() if not torch.equal(value, given[key])]
    assert different == ["head.classifier.bias"]
    (change,) = torch.load(out, weights_only=True)["changes"]
    assert change["what"].endswith("tau 0.5")
    assert adjust_command(["none.pth", *options, "--out", str(out)]) == 1
    assert "none.pth" in capsys.readouterr().err
