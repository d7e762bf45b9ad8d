"""What the fuzzer calls: pictures, errors and findings are told apart and counted."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from helpers import fuzz_images
from segmentation.images import photo as photo_module


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (10, 20, 30)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"), [(png(), "picture"), (b"dear diary", "error"), (png()[:40], "error")]
)
def test_pictures_and_errors(data, kind):
    assert fuzz_images.attempt(data)[0] == kind


def test_anything_else_is_a_finding(tmp_path, monkeypatch, capsys):
    def broken(data: bytes) -> None:
        raise ZeroDivisionError("no such luck")

    counts = fuzz_images.Counts(tmp_path)
    counts.try_file(png())
    monkeypatch.setattr(photo_module, "open_photo", broken)
    counts._written = 0.0
    counts.try_file(b"\x01\x02")
    assert counts.counts == {"picture": 1, "error": 0, "finding": 1}
    assert json.loads((tmp_path / "counts.json").read_bytes()) == counts.counts
    assert (tmp_path / "finding1.bin").read_bytes() == b"\x01\x02"
    assert "no such luck" in capsys.readouterr().out


def test_a_picture_of_another_shape_is_a_finding(monkeypatch):
    photo = type("Photo", (), {"image": np.zeros((4, 5), np.uint8)})()
    monkeypatch.setattr(photo_module, "open_photo", lambda data: photo)
    assert fuzz_images.attempt(png()) == ("finding", "(4, 5)")


def test_the_corpus_has_good_and_bad_files(tmp_path):
    fuzz_images.write_corpus(tmp_path / "corpus")
    kinds = [
        fuzz_images.attempt(file.read_bytes())[0]
        for file in sorted((tmp_path / "corpus").iterdir())[:12]
    ]
    assert kinds.count("picture") >= 5
    assert len(list((tmp_path / "corpus").iterdir())) > 200
