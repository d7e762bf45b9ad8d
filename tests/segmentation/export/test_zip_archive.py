"""The ZIP of several photos, and the contact sheet's pictures and words."""

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

import segmentation
from helpers import tiny
from helpers.schemas import check
from segmentation.export.contact_sheet import caption, thumbnail
from segmentation.export.records import result_facts
from segmentation.export.zip_archive import BundleFullError, ResultArchive, pack, safe_stem


@pytest.fixture(scope="module")
def result(tiny_program):
    return segmentation.load(tiny_program, device="cpu").predict(tiny.photo())


@pytest.fixture(scope="module")
def packed(result):
    return pack(tiny.photo(), result, segmentation.voc_palette(), ["a note"])


def test_a_zip_has_each_photo_a_table_and_the_facts(result, packed):
    file = io.BytesIO()
    with ResultArchive(file, 10**6) as bundle:
        stems = [bundle.add(name, packed) for name in ("cat.jpg", "CAT.png", "C:\\x\\cat.gif")]
        bundle.add_failure("notes.txt", "It is text.")
        bundle.close()
    assert stems == ["cat", "CAT_2", "cat_3"]
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        names = [f"{stem}_{part}" for stem in stems for part in ("labels.png", "overlay.jpg")]
        assert archive.namelist() == [*names, "classes.csv", "facts.json"]
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert (entry.comment, entry.extra) == (b"", b"")
        labels = segmentation.read_indexed_png(archive.read("CAT_2_labels.png"))
        facts = json.loads(archive.read("facts.json"))
        rows = list(csv.DictReader(io.StringIO(archive.read("classes.csv").decode())))
        overlay = Image.open(io.BytesIO(archive.read("cat_overlay.jpg")))
    np.testing.assert_array_equal(labels, result.class_map)
    colors = segmentation.colorize(result.class_map, segmentation.voc_palette())
    exact = segmentation.blend(tiny.photo(), colors, 0.5).astype(int)
    assert np.abs(np.asarray(overlay) - exact).mean() < 4  # JPEG
    check("several", facts)
    assert facts["photos"][1] == {"image": "CAT_2", **result_facts(result), "notes": ["a note"]}
    assert facts["failed"] == [{"image": "notes", "error": "It is text."}]
    assert len(rows) == 3 * 4
    assert rows[0]["photo"] == "cat"
    assert sum(int(row["pixels"]) for row in rows) == 3 * 128 * 192


def test_a_zip_has_an_end(packed):
    with ResultArchive(io.BytesIO(), len(packed.labels) + len(packed.overlay) + 10) as bundle:
        bundle.add("one.jpg", packed)
        with pytest.raises(BundleFullError, match="label this photo in another run"):
            bundle.add("two.jpg", packed)
        assert len(bundle) == 1


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("cat.jpg", "cat"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot"),
        ("/", "photo"),
        ("", "photo"),
        ("...", "photo"),
        (".hidden.jpg", "hidden"),
        ("a\x00b\nc\x1b[31m.png", "a_b_c__31m"),
        ("=1+1.jpg", "_1_1"),
        ("@SUM(A1).jpg", "_SUM_A1_"),
        ("-rf.jpg", "rf"),
        ("con.jpg", "photo_con"),
        ("LPT1.txt.png", "photo_LPT1.txt"),
        ("a:b|c?.jpg", "a_b_c_"),
        ("trailing. .jpg", "trailing"),
        ("Gr\u00fc\u00dfe \u732b.jpg", "Gr\u00fc\u00dfe \u732b"),
        ("\u202egpj.exe", "_gpj"),
        ("x" * 300 + ".jpg", "x" * 60),
    ],
)
def test_names_are_safe_on_any_system(name, stem):
    assert safe_stem(name) == stem


def test_no_name_whatever_breaks_out(rng):
    for _ in range(300):
        letters = rng.integers(1, 0x2FF, rng.integers(0, 90)).tolist()
        stem = safe_stem("".join(map(chr, letters)) + str(rng.choice(["/", "\\", ".", ""])))
        assert 1 <= len(stem) <= 66
        assert stem.isprintable()
        assert not set(stem) & set('/\\:*?"<>|=+@\n')
        assert stem[0] not in ".-= "
        assert safe_stem(stem + ".jpg") == stem


def test_a_small_picture_keeps_proportions_and_colours(result):
    palette = segmentation.voc_palette()
    same = thumbnail(tiny.photo(), result.class_map, palette)
    exact = segmentation.blend(tiny.photo(), segmentation.colorize(result.class_map, palette), 0.5)
    np.testing.assert_array_equal(same, exact)
    small = thumbnail(tiny.photo(), result.class_map, palette, side=48)
    assert small.shape == (32, 48, 3)
    np.testing.assert_array_equal(small[10, 4], exact[40, 16])  # inside the red third
    line = thumbnail(np.zeros((1, 5000, 3), np.uint8), np.zeros((1, 5000), np.uint8), palette)
    assert line.shape == (1, 480, 3)


def test_a_caption_names_the_largest_classes(result):
    largest = [f"{area.name} 25\u00a0%" for area in result.areas() if area.index]
    assert sorted(largest) == [f"{name} 25\u00a0%" for name in ("cat", "dog", "person")]
    assert caption(result) == ", ".join(largest)
    assert caption(result, 2) == ", ".join(largest[:2]) + " and 1 more"


def test_a_caption_of_nothing_says_so(tiny_program):
    black = segmentation.load(tiny_program, device="cpu").predict(np.zeros((40, 40, 3), np.uint8))
    assert caption(black) == "background alone"
