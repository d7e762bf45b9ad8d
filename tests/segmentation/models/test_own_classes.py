"""Torchvision's networks fine-tuned to one's own classes: a card beside the weights lists them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import segmentation
from helpers.published import QUICK, by_size, random_network
from helpers.tiny import photo
from segmentation import ModelError, WeightsError, load_model
from segmentation.networks.build import build_network

FIELDS = ["background", "crop", "weed"]


def save(name: str, path: Path, classes: int, /, **card: object) -> nn.Module:
    """Random weights for a number of classes, and a card beside them if there is any field."""
    network = random_network(name, num_classes=classes)
    torch.save({"model": network.state_dict(), "epoch": 3}, path)
    if card:
        path.with_suffix(".json").write_text(json.dumps(card))
    return network


@pytest.mark.parametrize(
    "name", [QUICK, pytest.param("deeplabv3_mobilenet_v3_large", marks=pytest.mark.slow)]
)
def test_the_card_beside_the_weights_gives_the_classifier_its_width(name, tmp_path):
    network = save(name, tmp_path / "fields.pth", 3, categories=FIELDS)
    segmenter = segmentation.load(name, device="cpu", weights=tmp_path / "fields.pth", size=64)
    assert segmenter.categories == tuple(FIELDS)
    batch = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(batch)["out"]
        assert torch.equal(segmenter.model.network(batch)["out"], expected)
    result = segmenter.predict(photo())
    assert result.logits.shape[0] == 3
    assert {area.name for area in result.areas()} <= set(FIELDS)


def test_what_the_card_leaves_out_is_torchvisions_and_what_it_says_counts(tmp_path):
    save(QUICK, tmp_path / "w.pth", 3, categories=FIELDS)
    card = load_model(QUICK, device="cpu", weights=tmp_path / "w.pth").card
    assert (card.name, card.resize, card.palette) == (QUICK, 520, "voc")
    assert (card.mean, card.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (card.source, card.miou) == ("", None)  # nobody has published these
    colors = [[0, 0, 0], [0, 200, 0], [200, 0, 0]]
    own = {"name": "fields", "resize": 64, "mean": [0.5] * 3, "std": [1, 1, 1], "palette": colors}
    save(QUICK, tmp_path / "w.pth", 3, categories=FIELDS, **own)
    model = load_model(QUICK, device="cpu", weights=tmp_path / "w.pth")
    assert (model.card.name, model.card.resize, model.name) == ("fields", 64, QUICK)
    batch = segmentation.Segmenter(model).preprocess(photo_of(white=True))
    assert batch.shape[2] == 64
    assert torch.allclose(batch, torch.tensor(0.5))


def photo_of(*, white: bool) -> object:
    from PIL import Image

    return Image.fromarray(np.full((80, 100, 3), 255 * white, np.uint8))


def test_published_categories_may_be_renamed(tmp_path):
    names = [f"Klasse {index}" for index in range(21)]
    save(QUICK, tmp_path / "w.pth", 21, categories=names)
    assert load_model(QUICK, device="cpu", weights=tmp_path / "w.pth").card.categories == tuple(
        names
    )


def test_an_auxiliary_head_left_at_other_classes_is_left_out(tmp_path):
    name = "deeplabv3_mobilenet_v3_large"
    network = random_network(name)
    network.classifier[4] = nn.Conv2d(256, 3, 1)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    (tmp_path / "w.json").write_text(json.dumps({"categories": FIELDS}))
    model = load_model(name, device="cpu", weights=tmp_path / "w.pth")
    batch = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model.network(batch)["out"], network(batch)["out"])


@pytest.mark.parametrize("name", by_size([QUICK, "fcn_resnet50", "unet", "deeplabv3plus_resnet18"]))
def test_a_single_channel_is_two_classes_by_its_sigmoid(name, tmp_path):
    torch.manual_seed(3)
    network = build_network(name, 1).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    (tmp_path / "w.json").write_text(json.dumps({"categories": ["other", "road"]}))
    model = load_model(name, device="cpu", weights=tmp_path / "w.pth")
    batch = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(batch)["out"].sigmoid()
        found = model.network(batch)["out"].softmax(1)
    torch.testing.assert_close(found[:, 1:], expected, atol=1e-5, rtol=1e-4)


def test_without_a_card_the_message_says_how_to_write_one(tmp_path):
    save(QUICK, tmp_path / "w.pth", 3)
    with pytest.raises(WeightsError) as caught:
        load_model(QUICK, device="cpu", weights=tmp_path / "w.pth")
    text = str(caught.value)
    assert "They tell 3 classes apart: list those, in order, in a card w.json beside" in text
    assert '{"categories": ["background", ...]}' in text
    save(QUICK, tmp_path / "w.pth", 3, categories=["a", "b"])
    with pytest.raises(WeightsError, match=r"3 classes apart, but the card .*w\.json lists 2"):
        load_model(QUICK, device="cpu", weights=tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "lacks the field 'categories'"),
        ('["a", "b"]', "the card is a list"),
        ("{", "the card is no JSON"),
        ('{"categories": ["a", "a"]}', "both named 'a'"),
        ('{"categories": ["a", "b"], "mean": [123, 116, 103]}', "divide by 255"),
    ],
)
def test_a_card_that_is_wrong_is_refused(text, message, tmp_path):
    save(QUICK, tmp_path / "w.pth", 2)
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        load_model(QUICK, device="cpu", weights=tmp_path / "w.pth")


def test_the_folder_of_weights_takes_a_card_too(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELWISE_WEIGHTS", str(tmp_path))
    save(QUICK, tmp_path / f"{QUICK}.pth", 3, categories=FIELDS)
    assert load_model(QUICK, device="cpu").card.categories == tuple(FIELDS)
