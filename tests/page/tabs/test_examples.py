"""The example photos: credited, clean, of a size fit for a page, told of, and labelled as told."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segmentation
from page.classroom.text import NOTHING_HERE
from page.tabs.examples import EXAMPLES, gallery, offered
from segmentation.images.indexed_png import read_indexed_png
from segmentation.images.photo import open_photo

FOLDER = Path(__file__).resolve().parents[3] / "examples"
PHOTOS = sorted(path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".md")
CREDITS = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
SIZES = {
    "astronaut.jpg": (512, 512),
    "chelsea.jpg": (300, 451),
    "coffee.jpg": (400, 600),
    "dogs.jpg": (540, 720),
    "grace_hopper.jpg": (600, 512),
    "motorcycle.jpg": (500, 741),
    "rocket.jpg": (427, 640),
    "workers.jpg": (360, 540),
}
NAMED = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)


@pytest.fixture(scope="module")
def built_in() -> segmentation.Segmenter:
    return segmentation.load("embedded")


def test_the_known_ones_are_here():
    assert {path.name: open_photo(path).image.shape[:2] for path in PHOTOS} == SIZES


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_each_photo_is_credited_with_a_licence_and_a_source(path):
    rows = [row for row in CREDITS.splitlines() if row.startswith(f"| `{path.name}` |")]
    assert len(rows) == 1
    assert rows[0].count("|") == 6
    _, _, _, licence, source, expected, _ = (cell.strip() for cell in rows[0].split("|"))
    assert re.search(r"CC0|public domain|CC BY 4\.0|BSD-3-Clause", licence)
    assert re.search(r"\d+\.\d+.*, `[\w./-]+\.(png|jpg)`$", source)  # package, version, file
    assert expected


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_each_photo_is_a_moderate_jpeg_without_metadata(path):
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert not image.getexif()
        assert not {"exif", "icc_profile", "comment", "xmp", "photoshop"} & set(image.info)
    assert path.stat().st_size < 120_000
    assert open_photo(path).notes == ()


def test_every_credit_has_its_photo():
    assert set(re.findall(r"^\| `([^`]+)` \|", CREDITS, re.M)) == {path.name for path in PHOTOS}


@pytest.mark.parametrize("path", sorted((FOLDER / "truth").glob("*.png")), ids=lambda p: p.name)
def test_each_truth_fits_its_photo_and_is_credited(path):
    truth = read_indexed_png(path)
    with Image.open(FOLDER / f"{path.stem}.jpg") as photo:
        assert truth.shape == (photo.height, photo.width)
    assert set(np.unique(truth)) <= {*range(21), 255}
    assert 0.2 < (truth > 0).mean() < 0.95
    assert f"`truth/{path.name}`" in CREDITS


# ---- what the page says of them


def test_every_photo_is_told_of_and_none_that_is_not_here():
    assert sorted(example.file for example in EXAMPLES) == [path.name for path in PHOTOS]
    assert [path.name for _, path in offered(FOLDER)] == [example.file for example in EXAMPLES]
    assert len({example.title for example in EXAMPLES}) == len(EXAMPLES)


@NAMED
def test_each_has_a_short_title_and_a_caption_in_sentences(example):
    assert 1 <= len(example.title.split()) <= 3
    assert 30 <= len(example.caption) <= 200
    assert example.caption[0].isupper()
    assert example.caption.endswith(".")
    assert example.told.startswith("Tricky: ") == example.tricky


def test_the_tricky_ones_are_those_that_the_classroom_explains_and_say_why():
    tricky = {Path(example.file).stem: example.caption for example in EXAMPLES if example.tricky}
    assert set(tricky) == set(NOTHING_HERE) == {"coffee", "rocket"}
    assert all("not among the 20 things" in caption for caption in tricky.values())
    assert "sure does not mean right" in tricky["rocket"]


@NAMED
def test_the_built_in_model_finds_what_is_promised(built_in, example):
    areas = {area.name: area.fraction for area in built_in.predict(FOLDER / example.file).areas()}
    background = areas.pop("__background__")
    assert {name for name, fraction in areas.items() if fraction >= 0.05} == set(example.shows)
    if example.file == "rocket.jpg":
        assert background > 0.9


def test_a_folder_with_fewer_photos_offers_those(tmp_path):
    shutil.copy(FOLDER / "coffee.jpg", tmp_path)
    assert [example.title for example, _ in offered(tmp_path)] == ["Cup"]
    (row,) = gallery(tmp_path, str(tmp_path / "cache"))["examples"]
    assert row["told"].startswith("Tricky: A cup is not among the 20 things.")
    assert Path(row["thumb"]["path"]).name == "coffee.jpg"  # the photo itself, for want of one
