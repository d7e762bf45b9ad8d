import json

import pytest
import torch
from torchvision.models import get_model_weights

import segmentation
from helpers.published import QUICK, by_size, publishing, random_network, save_random
from helpers.tiny import save_program
from segmentation import MODELS, ModelError, WeightsError, load_model
from segmentation.models import registry
from segmentation.models.loader import count_parameters
from segmentation.networks.build import build_network

TORCHVISION = (
    "deeplabv3_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_mobilenet_v3_large",
    "fcn_resnet101",
    "fcn_resnet50",
    "lraspp_mobilenet_v3_large",
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """An empty hub cache, and no folder of the person's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.delenv("PIXELWISE_WEIGHTS", raising=False)


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_catalogue_says_what_torchvision_says(name):
    spec, weights = MODELS[name], get_model_weights(name).DEFAULT
    assert spec.url == weights.url
    assert spec.file == weights.url.split("/")[-1]
    assert spec.parameters == weights.meta["num_params"]
    assert spec.bytes == pytest.approx(weights.meta["_file_size"] * 2**20, rel=1e-6)
    assert spec.miou == weights.meta["_metrics"]["COCO-val2017-VOC-labels"]["miou"]


@pytest.mark.parametrize("name", by_size(TORCHVISION))
def test_every_published_model_takes_its_weights_and_keeps_its_own_card(name, tmp_path):
    path = save_random(name, tmp_path / "w.pth")
    model = load_model(name, device="cpu", weights=path)
    weights = get_model_weights(name).DEFAULT
    assert model.name == name
    assert model.card.categories == tuple(weights.meta["categories"])
    assert repr(model.transforms) == repr(weights.transforms())
    assert (model.card.resize, model.card.palette) == (520, "voc")
    expected = torch.load(path, weights_only=True)
    state = model.network.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[key], value) for key, value in expected.items())
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())


@pytest.mark.parametrize("name", by_size(["deeplabv3_mobilenet_v3_large", "fcn_resnet50"]))
def test_weights_without_auxiliary_head_give_the_same_answer(name, tmp_path):
    whole = load_model(name, device="cpu", weights=save_random(name, tmp_path / "w.pth"))
    state = {k: v for k, v in whole.network.state_dict().items() if not k.startswith("aux_")}
    torch.save({"model": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "bare.pth")
    bare = load_model(name, device="cpu", weights=tmp_path / "bare.pth")
    batch = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(whole.network(batch)["out"], bare.network(batch)["out"])
        assert list(bare.network(batch)) == ["out"]


def test_half_precision_weights_are_read_as_float32(tmp_path):
    state = random_network(QUICK).state_dict()
    halved = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    torch.save(halved, tmp_path / "w.pth")
    model = load_model(QUICK, device="cpu", weights=tmp_path / "w.pth")
    for key, value in model.network.state_dict().items():
        assert value.dtype == state[key].dtype
        assert torch.equal(value, halved[key].to(value.dtype))


def test_old_weights_without_step_counts_are_taken(tmp_path):
    state = random_network(QUICK).state_dict()
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "w.pth")
    model = load_model(QUICK, device="cpu", weights=tmp_path / "w.pth")
    with torch.inference_mode():
        assert torch.isfinite(model.network(torch.rand(1, 3, 64, 64))["out"]).all()


def test_weights_of_another_model_are_refused_by_their_keys(tmp_path):
    path = save_random("deeplabv3_mobilenet_v3_large", tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        load_model(QUICK, device="cpu", weights=path)
    text = str(caught.value)
    assert "do not fit lraspp_mobilenet_v3_large: missing classifier.cbr.0.weight; " in text
    assert "more" in text
    with pytest.raises(WeightsError, match=r"do not fit fcn_resnet50: missing backbone\.conv1\.w"):
        load_model("fcn_resnet50", device="cpu", weights=path)


def test_weights_for_other_classes_are_refused_by_their_shapes(tmp_path):
    state = random_network(QUICK, num_classes=5).state_dict()
    torch.save(state, tmp_path / "w.pth")
    message = r"classifier.low_classifier.weight is \(5, 40, 1, 1\) where the model has \(21, 40,"
    with pytest.raises(WeightsError, match=message):
        load_model(QUICK, device="cpu", weights=tmp_path / "w.pth")


def test_one_missing_or_extra_key_is_enough(tmp_path):
    state = random_network(QUICK).state_dict()
    key = "classifier.high_classifier.bias"
    torch.save({k: v for k, v in state.items() if k != key}, tmp_path / "less.pth")
    torch.save({**state, "extra.weight": torch.ones(1)}, tmp_path / "more.pth")
    with pytest.raises(WeightsError, match=f"missing {key}. Name the model"):
        load_model(QUICK, device="cpu", weights=tmp_path / "less.pth")
    with pytest.raises(WeightsError, match=r"unexpected extra\.weight\. Name the model"):
        load_model(QUICK, device="cpu", weights=tmp_path / "more.pth")


def test_a_part_of_the_auxiliary_head_is_not_enough(tmp_path):
    state = random_network("deeplabv3_mobilenet_v3_large").state_dict()
    state.pop("aux_classifier.4.bias")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"missing aux_classifier\.4\.bias"):
        load_model("deeplabv3_mobilenet_v3_large", device="cpu", weights=tmp_path / "w.pth")


def test_integers_for_weights_are_refused(tmp_path):
    state = random_network(QUICK).state_dict()
    state["classifier.high_classifier.bias"] = torch.zeros(21, dtype=torch.long)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"classifier\.high_classifier\.bias is torch\.int64"):
        load_model(QUICK, device="cpu", weights=tmp_path / "w.pth")


def test_a_published_model_is_downloaded_and_loaded(tmp_path, monkeypatch):
    data = save_random(QUICK, tmp_path / "w.pth").read_bytes()
    with publishing(data) as publisher:
        monkeypatch.setitem(MODELS, QUICK, publisher.spec())
        seen = []
        model = load_model(QUICK, device="cpu", progress=lambda done, total: seen.append(done))
    assert seen[-1] == len(data)
    assert model.card.name == QUICK


def test_our_own_networks_need_weights_and_take_a_card_beside_them(tmp_path):
    name = "deeplabv3plus_resnet18"
    with pytest.raises(WeightsError, match=rf"no weights for {name}: .* as {name}\.pth"):
        load_model(name, device="cpu")
    torch.manual_seed(0)
    torch.save(build_network(name, 21).state_dict(), tmp_path / "w.pth")
    assert len(load_model(name, device="cpu", weights=tmp_path / "w.pth").card.categories) == 21
    torch.save(build_network(name, 3).state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="do not fit"):
        load_model(name, device="cpu", weights=tmp_path / "w.pth")
    card = {"name": "fields", "categories": ["soil", "crop", "weed"], "resize": 64}
    card |= {"mean": [0, 0, 0], "std": [1, 1, 1]}
    (tmp_path / "w.json").write_text(json.dumps(card))
    model = load_model(name, device="cpu", weights=tmp_path / "w.pth")
    assert model.card.categories == ("soil", "crop", "weed")
    assert model.network(torch.rand(1, 3, 64, 64))["out"].shape[1] == 3
    (tmp_path / "w.json").write_text("{}")
    with pytest.raises(
        ModelError, match=r"w\.json cannot be used: the card lacks the field 'categories'"
    ):
        load_model(name, device="cpu", weights=tmp_path / "w.pth")


def test_the_embedded_model_is_read_with_its_card(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "EMBEDDED_FOLDER", tmp_path)
    monkeypatch.setattr(segmentation.models.loader, "EMBEDDED_FOLDER", tmp_path)
    with pytest.raises(WeightsError, match="carries no embedded model"):
        load_model("embedded", device="cpu")
    name = "deeplabv3plus_mobilenet_v3_large"
    state = {k: v.half() for k, v in build_network(name, 2).state_dict().items()}
    torch.save(state, tmp_path / "embedded.pth")
    with pytest.raises(WeightsError, match="no usable card"):
        load_model("embedded", device="cpu")
    card = {"name": name, "categories": ["a", "b"], "resize": 64}
    card |= {"mean": [0, 0, 0], "std": [1, 1, 1]}
    (tmp_path / "embedded.json").write_text(json.dumps(card))
    model = load_model("embedded", device="cpu")
    assert (model.name, model.card.name) == ("embedded", name)
    assert model.network(torch.rand(1, 3, 64, 64))["out"].dtype == torch.float32
    assert count_parameters("embedded") > 500_000


def test_unknown_names_suggest_known_ones(tmp_path):
    with pytest.raises(ModelError, match="did you mean deeplabv3_resnet101"):
        load_model("deeplabv3_resnet_101")
    with pytest.raises(ModelError, match=r"known are deeplabv3_resnet101, .* path of a .pt2 file"):
        load_model("zzz")
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"must be an exported program \(.pt2\)"):
        load_model(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="named by text or a path, not by 5"):
        load_model(5)


def test_weights_beside_what_carries_its_own_are_refused(tmp_path):
    path = save_program(tmp_path / "p.pt2")
    with pytest.raises(ModelError, match="carries its own weights"):
        load_model(path, weights=tmp_path / "w.pth")
    with pytest.raises(ModelError, match="has its own weights"):
        load_model("embedded", weights=tmp_path / "w.pth")


def test_parameters_of_our_networks_are_counted_without_memory():
    network = build_network("unet")
    assert count_parameters("unet") == sum(p.numel() for p in network.parameters())
    assert count_parameters("fcn_resnet50") == MODELS["fcn_resnet50"].parameters
