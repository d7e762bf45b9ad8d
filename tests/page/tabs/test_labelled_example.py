"""The example that the page arrives with: what the shipped model answers, and no model to ask."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segmentation
from docs.label_examples import thumbnail
from page.components.labelled_example import KEY, NAME, LabelledExample
from page.tabs.examples import EXAMPLES, examples_folder, gallery
from segmentation.images.label_png import decode_label_map
from viewer import build_value

LABELLED = examples_folder() / "labelled"
MADE_BY = "run `python -m docs.label_examples`"


@pytest.fixture(scope="module")
def built_in() -> segmentation.Segmenter:
    return segmentation.load("embedded", device="cpu")


@pytest.fixture(scope="module")
def answer(built_in):
    return built_in.predict(LABELLED / f"{NAME}.jpg")


@pytest.fixture
def example() -> LabelledExample:
    return LabelledExample(examples_folder())


def test_the_shipped_map_is_what_the_shipped_model_answers(answer):
    shipped = decode_label_map((LABELLED / f"{NAME}.png").read_bytes())
    class_map, confidence, runner_up = shipped
    # another processor rounds otherwise: a few pixels of an outline
    assert np.mean(class_map == answer.class_map) > 0.999, MADE_BY
    assert np.abs(confidence - answer.confidence).mean() < 0.01, MADE_BY
    assert np.mean(runner_up == answer.runner_up) > 0.99, MADE_BY


def test_its_value_is_as_one_of_a_visitor(answer, example, tmp_path):
    photo = segmentation.open_photo(LABELLED / f"{NAME}.jpg").image
    value = example.value(str(tmp_path))
    usual = build_value(answer, photo, cache=str(tmp_path), key=KEY)
    assert set(value) == set(usual)
    for name in ("id", "height", "width", "categories", "palette", "model", "pinned"):
        assert value[name] == usual[name]
    assert Path(value["photo"]["path"]).read_bytes() == (LABELLED / f"{NAME}.jpg").read_bytes()


def test_a_pixel_has_the_maps_class_and_nearly_the_models_probabilities(answer, example, rng):
    height, width = answer.class_map.shape
    shares = []
    for y, x in zip(rng.integers(0, height, 300), rng.integers(0, width, 300), strict=True):
        found, wanted = example.pixel(int(y), int(x)), answer.pixel(int(y), int(x))
        order = np.argsort(-found.probabilities, kind="stable")
        assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert found.probabilities.min() >= 0
        assert order[0] == answer.class_map[y, x]
        assert found.probabilities[order[0]] == pytest.approx(answer.confidence[y, x], abs=0.01)
        assert order[1] == answer.runner_up[y, x] or found.probabilities[order[1]] < 1e-3
        assert len(found.prediction_set) == len(wanted.prediction_set)
        shares.append(np.abs(found.probabilities - wanted.probabilities).max())
    assert np.mean(shares) < 0.02


def test_a_pixel_outside_is_refused(example):
    with pytest.raises(ValueError, match="outside"):
        example.pixel(0, 10_000)


def test_it_stands_only_where_the_classes_are_the_pages(example, tmp_path):
    assert example.fits("embedded")
    assert example.fits("deeplabv3_resnet101")
    assert not example.fits("/models/street.pt2")
    assert not LabelledExample(tmp_path).fits("embedded")


def test_nothing_of_it_loads_torch(tmp_path):
    program = (
        "import sys\n"
        "from page.components.labelled_example import LabelledExample\n"
        "from page.tabs.examples import examples_folder\n"
        "example = LabelledExample(examples_folder())\n"
        f"example.value({str(tmp_path)!r})\n"
        "print(example.pixel_value(150, 250)['bars'][0]['name'], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "dog False\n", done.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_each_thumbnail_is_small_and_labelled_as_the_model_does(built_in, example):
    path = LABELLED / "thumbs" / f"{Path(example.file).stem}.webp"
    assert path.stat().st_size < 5_000
    photo = segmentation.open_photo(examples_folder() / example.file)
    wanted = thumbnail(photo.image, built_in.predict(photo).class_map)
    with Image.open(path) as found:
        assert found.size == wanted.size
        difference = np.abs(np.asarray(found.convert("RGB"), float) - np.asarray(wanted, float))
    assert difference.mean() < 8, MADE_BY


def test_the_gallery_has_each_example_with_its_words(tmp_path):
    rows = gallery(examples_folder(), str(tmp_path))["examples"]
    assert [row["title"] for row in rows] == [example.title for example in EXAMPLES]
    assert [row["name"] for row in rows if row["tricky"]] == ["coffee.jpg", "rocket.jpg"]
    assert all(row["told"].startswith("Tricky: ") == row["tricky"] for row in rows)
    assert all(Path(row["thumb"]["path"]).suffix == ".webp" for row in rows)
    assert sum(Path(row["thumb"]["path"]).stat().st_size for row in rows) < 30_000
