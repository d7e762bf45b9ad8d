import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import get_model_weights

import segmentation
from conftest import ROOT
from helpers.published import QUICK, random_network, save_random
from helpers.tiny import photo, save_program
from segmentation import ImageError, ModelError, WeightsError
from segmentation.inference import segmenter as segmenter_module
from segmentation.inference.preprocessing import MAX_ASPECT, MAX_PIXELS
from segmentation.inference.segmenter import Segmenter
from segmentation.models import registry
from segmentation.models.loader import Model


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """An empty hub cache, and no folder of the person's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.delenv("PIXELWISE_WEIGHTS", raising=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Segmenter:
    """The network that knows red, green and blue."""
    path = save_program(tmp_path_factory.mktemp("tiny") / "tiny.pt2")
    return segmentation.load(path, device="cpu")


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Segmenter:
    """LR-ASPP with random weights."""
    path = save_random(QUICK, tmp_path_factory.mktemp("quick") / "w.pth")
    return segmentation.load(QUICK, device="cpu", weights=path)


def noise(height: int, width: int) -> Image.Image:
    """A seeded picture with structure at all scales."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8)).resize((width, height))
    fine = rng.integers(-30, 30, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + fine, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (QUICK, (120, 160)),
        pytest.param(QUICK, (700, 333), marks=pytest.mark.slow),
        (QUICK, (100, 250)),  # the longest that is no panorama
        ("deeplabv3_mobilenet_v3_large", (90, 131)),
        pytest.param("deeplabv3_resnet50", (48, 48), marks=pytest.mark.slow),
    ],
)
def test_logits_equal_torchvisions(name, shape, tmp_path):
    weights = get_model_weights(name).DEFAULT
    picture = noise(*shape)
    theirs = random_network(name)
    with torch.inference_mode():
        expected = theirs(weights.transforms()(picture).unsqueeze(0))["out"][0]
    file = save_random(name, tmp_path / "w.pth")
    exact = segmentation.load(name, device="cpu", weights=file, exact=True)
    assert torch.equal(exact.predict(picture).logits, expected)
    result = segmentation.load(name, device="cpu", weights=file).predict(picture)
    torch.testing.assert_close(result.logits, expected, rtol=1e-4, atol=1e-5)
    assert result.precision == "float32"
    assert result.class_map.shape == shape
    assert result.model == name
    assert result.device == "cpu"
    assert result.categories == tuple(weights.meta["categories"])
    assert result.seconds > 0


def test_the_result_is_decided_at_the_photos_full_size(quick):
    result = quick.predict(noise(300, 410))
    whole = torch.nn.functional.interpolate(result.logits[None], (300, 410), mode="bilinear")[0]
    top = whole.topk(2, dim=0)
    np.testing.assert_array_equal(result.class_map, top.indices[0].numpy())
    np.testing.assert_array_equal(result.runner_up, top.indices[1].numpy())
    expected = whole.softmax(0).max(0).values.numpy()
    np.testing.assert_allclose(result.confidence, expected, atol=1e-6)


def test_every_kind_of_source_gives_the_same_answer(tiny, tmp_path):
    array = photo()
    picture = Image.fromarray(array)
    picture.save(tmp_path / "p.png")
    data = (tmp_path / "p.png").read_bytes()
    before = array.copy()
    expected = tiny.predict(array).class_map
    for source in (tmp_path / "p.png", str(tmp_path / "p.png"), data, picture):
        np.testing.assert_array_equal(tiny.predict(source).class_map, expected)
    opened = segmentation.open_photo(data)
    np.testing.assert_array_equal(tiny.predict(opened).class_map, expected)
    np.testing.assert_array_equal(array, before)


def test_a_bad_picture_is_an_error_and_the_next_one_works(tiny):
    for bad in (b"", b"no picture", "missing.jpg", np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(ImageError):
            tiny.predict(bad)
    assert tiny.predict(photo()).class_map[10, 10] == 15


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((120, 160), None, (520, 693)),
        ((160, 120), None, (693, 520)),
        ((120, 160), 240, (240, 320)),
        ((4000, 3000), 32, (42, 32)),
        ((10, 10), 2048, (2048, 2048)),
        ((100, 250), None, (520, 1300)),
        ((100, 500), None, (260, 1300)),  # a panorama keeps its shape
        ((500, 100), 100, (250, 50)),
        ((1, 5000), None, (33, 1300)),  # a line is as tall as a network needs
        ((5000, 1), None, (1300, 33)),
        ((1, 1), None, (520, 520)),
    ],
)
def test_what_the_network_is_shown(quick, shape, size, expected):
    batch = quick.preprocess(Image.new("RGB", shape[::-1], (9, 9, 9)), size=size)
    assert tuple(batch.shape) == (1, 3, *expected)
    assert batch.dtype == torch.float32


@pytest.mark.parametrize("size", [None, 2048])
@pytest.mark.parametrize("aspect", [1, 1.5, 3, 5, 50])
def test_memory_stays_bounded_for_every_shape(quick, size, aspect):
    batch = quick.preprocess(Image.new("RGB", (int(300 * aspect), 300)), size=size)
    height, width = batch.shape[2:]
    assert height * width <= MAX_PIXELS * 1.01
    assert width <= MAX_ASPECT * (size or 520)


def test_size_is_the_presets_with_another_number(quick):
    weights = get_model_weights(QUICK).DEFAULT
    picture = noise(130, 170)
    batch = quick.preprocess(picture, size=200)
    assert torch.equal(batch[0], weights.transforms(resize_size=200)(picture))
    smaller = quick.predict(picture, size=64)
    assert tuple(smaller.logits.shape) == (21, 64, 83)
    assert smaller.class_map.shape == (130, 170)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_pictures_of_every_shape_are_labelled(quick, shape):
    result = quick.predict(np.full((*shape, 3), 200, np.uint8))
    assert result.class_map.shape == shape
    assert sum(area.pixels for area in result.areas()) == shape[0] * shape[1]


@pytest.mark.parametrize("size", [0, 31, 2049, -5, 99.5, "big", True])
def test_a_size_out_of_range_is_refused(tiny, size):
    with pytest.raises(ModelError, match=r"size is .* whole number from 32 to 2048"):
        tiny.predict(photo(), size=size)
    with pytest.raises(ModelError, match="whole number from 32 to 2048"):
        segmentation.load(device="cpu", size=size)


def test_the_segmenters_own_size_is_used_unless_another_is_given(tiny):
    small = Segmenter(tiny.model, size=32)
    assert small.predict(photo()).logits.shape == (21, 8, 12)
    assert small.predict(photo(), size=64).logits.shape == (21, 16, 24)


def test_nothing_of_a_result_hangs_on_gradients(quick):
    result = quick.predict(noise(40, 40), size=64)
    assert not result.logits.requires_grad
    assert result.logits.device.type == "cpu"


class Fails(torch.nn.Module):
    """A network that fails as told."""

    def __init__(self, failure: object) -> None:
        super().__init__()
        self.failure = failure

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        if isinstance(self.failure, Exception):
            raise self.failure
        return {"out": self.failure}


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (MemoryError(), "not enough memory on cpu .* choose a smaller size"),
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory"),
        (RuntimeError("can't allocate memory: you tried to allocate 9 bytes"), "not enough memory"),
        (RuntimeError("sizes must match\nmore"), r"failed on a batch of .*: sizes must match$"),
        (torch.full((1, 21, 4, 4), float("nan")), "numbers that are not finite"),
        (torch.full((1, 21, 4, 4), float("inf")), "numbers that are not finite"),
        (torch.zeros(1, 20, 4, 4), "returns 20 classes, but its card lists 21"),
    ],
)
def test_a_network_that_fails_is_a_model_error(tiny, failure, message):
    model = Model(
        "broken", Fails(failure), tiny.model.card, tiny.model.transforms, torch.device("cpu")
    )
    with pytest.raises(ModelError, match=message):
        Segmenter(model).predict(photo())


def test_load_without_a_name_falls_back_to_the_embedded_model_and_says_so(tiny, monkeypatch):
    def load_model(name: str, **_: object) -> Model:
        if name == "embedded":
            return tiny.model
        raise WeightsError(f"no weights for {name}: no network")

    monkeypatch.setattr(segmenter_module, "load_model", load_model)
    monkeypatch.setattr(segmenter_module, "has_embedded", lambda: True)
    segmenter = segmentation.load(device="cpu")
    assert segmenter.model is tiny.model
    assert "using the small built-in model" in segmenter.note
    assert "deeplabv3_mobilenet_v3_large" in segmenter.note
    with pytest.raises(WeightsError):  # a model that was asked for is never exchanged
        segmentation.load("deeplabv3_mobilenet_v3_large", device="cpu")
    monkeypatch.setattr(segmenter_module, "has_embedded", lambda: False)
    with pytest.raises(WeightsError):
        segmentation.load(device="cpu")


def test_the_default_model_is_the_articles_where_there_is_a_gpu(monkeypatch):
    assert registry.default_model("cpu") == "deeplabv3_mobilenet_v3_large"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert registry.default_model() == "deeplabv3_resnet101"


def test_one_segmenter_serves_several_threads(tiny):
    from concurrent.futures import ThreadPoolExecutor

    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, "PNG")
    expected = tiny.predict(buffer.getvalue()).class_map
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(tiny.predict, [buffer.getvalue()] * 8):
            np.testing.assert_array_equal(result.class_map, expected)


@pytest.mark.shared
def test_a_real_model_finds_the_astronaut_and_the_cat(shared):
    path = shared / "models" / "deeplabv3_mobilenet_v2_voc.pt2"
    segmenter = segmentation.load(path, device="cpu")
    examples = ROOT / "examples"
    for name, index, share in (("astronaut", 15, 0.45), ("chelsea", 8, 0.79)):
        areas = {a.index: a.fraction for a in segmenter.predict(examples / f"{name}.jpg").areas()}
        assert areas[index] == pytest.approx(share, abs=0.02)
