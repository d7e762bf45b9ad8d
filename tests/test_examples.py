"""The example photos: credited, clean, and of a size fit for a page."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmentation.images import open_photo
from segmentation.palette import read_indexed_png

FOLDER = Path(__file__).resolve().parent.parent / "examples"
PHOTOS = sorted(path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".md")
CREDITS = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
SIZES = {
    "astronaut.jpg": (512, 512),
    "chelsea.jpg": (300, 451),
    "coffee.jpg": (400, 600),
    "grace_hopper.jpg": (600, 512),
    "rocket.jpg": (427, 640),
}


def test_the_known_ones_are_here():
    assert set(SIZES) <= {path.name for path in PHOTOS}


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_each_photo_is_credited_with_a_licence(path):
    rows = [row for row in CREDITS.splitlines() if row.startswith(f"| `{path.name}` |")]
    assert len(rows) == 1
    assert re.search(r"CC0|public domain|CC BY", rows[0])
    assert rows[0].count("|") == 6


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_each_photo_is_a_moderate_jpeg_without_metadata(path):
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert not image.getexif()
        assert not {"exif", "icc_profile", "comment", "xmp", "photoshop"} & set(image.info)
    assert path.stat().st_size < 200_000
    photo = open_photo(path)
    assert photo.notes == ()
    if path.name in SIZES:
        assert photo.image.shape == (*SIZES[path.name], 3)


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
