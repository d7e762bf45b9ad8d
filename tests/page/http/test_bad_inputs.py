"""Every bad input through the Python API, the command line and the HTTP endpoint.

By default the HTTP endpoint gets one in six; all of them with
`python -m pytest -m slow tests/page/http/test_bad_inputs.py`.
"""

import io
import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.pictures.bad_inputs import Case, cases
from page import texts
from segmentation import ImageError
from segmentation.cli.main import main
from segmentation.images.photo import Photo, open_photo

MOST_SECONDS = 5.0
MOST_MB = 1000
CASES = cases()


@contextmanager
def bounded(name: str) -> Iterator[None]:
    """Fail if the block takes too long, or (on Linux) uses too much memory at any time."""
    status, marks = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def megabytes(key: str) -> float:
        line = next(line for line in status.read_text().splitlines() if line.startswith(key))
        return int(line.split()[1]) / 1024

    measured = marks.exists()
    if measured:
        marks.write_text("5")  # reset the high-water mark
        before = megabytes("VmRSS")
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < MOST_SECONDS, name
    if measured:
        assert megabytes("VmHWM") - before < MOST_MB, name


def check_photo(case: Case, source: bytes | str) -> None:
    found: Photo | ImageError
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about skipped data
            found = open_photo(source)
    except ImageError as error:
        found = error
    if isinstance(found, ImageError):
        text = str(found)
        assert case.expected != "picture", (case.name, text)
        assert text.startswith(("'", "This file", "The path")), case.name
        assert len(text) < 400, case.name
        assert text.isprintable(), case.name
        return
    image = found.image
    assert case.expected != "error", (case.name, image.shape)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    if case.size:
        assert image.shape == (*case.size, 3), case.name


def test_there_are_more_than_200():
    assert len(CASES) > 300
    assert sum(case.expected == "error" for case in CASES) >= 100


def test_the_same_files_are_made_each_time():
    for one, other in zip(CASES, cases(), strict=True):
        assert one.name == other.name
        # tools that compress may write the time
        assert one.data == other.data or "zip" in one.name.lower() or "svgz" in one.name, one.name


def test_the_python_api_gives_a_picture_or_a_typed_error():
    for case in CASES:
        with bounded(case.name):
            check_photo(case, case.data)


def test_a_good_picture_is_right_whatever_its_name(tmp_path):
    from helpers.pictures.bad_inputs import NAMES, encode, pixels

    for name in NAMES:
        path = tmp_path / name.replace("/", "_").replace("\0", "_")[:80]
        path.write_bytes(encode("png"))
        np.testing.assert_array_equal(open_photo(str(path)).image, pixels())


def test_the_command_line_reports_each_and_goes_on(tiny_program, tmp_path, capfd):
    photos = {}
    (tmp_path / "in").mkdir()
    for number, case in enumerate(CASES):
        if case.name.startswith("name "):
            continue  # below
        path = tmp_path / "in" / f"{number:03d}.png"
        path.write_bytes(case.data)
        photos[str(path)] = case
    words_ = ["--model", str(tiny_program), "--device", "cpu", "--out", str(tmp_path / "out")]
    start = time.perf_counter()
    assert main([*words_, *photos]) == 1
    assert time.perf_counter() - start < MOST_SECONDS * len(photos) / 5
    said = capfd.readouterr()
    answered = {json.loads(line)["image"]: json.loads(line) for line in said.out.splitlines()}
    written = {path.name for path in (tmp_path / "out").iterdir()}
    expected = set()
    for path, case in photos.items():
        complaint = f"{path}: '{Path(path).name}'"
        assert (path in answered) != (complaint in said.err), case.name
        if path in answered:
            assert case.expected != "error", case.name
            expected |= {f"{Path(path).stem}_labels.png", f"{Path(path).stem}_overlay.png"}
        else:
            assert case.expected != "picture", case.name
    assert written == expected  # no partial files, and none of bad inputs
    assert "Traceback" not in said.err


def test_the_command_line_takes_odd_names(tiny_program, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, case in enumerate(case for case in CASES if case.name.startswith("name ")):
        out = tmp_path / f"out{number}"
        words_ = ["--model", str(tiny_program), "--device", "cpu", "--out", str(out), "--"]
        assert main([*words_, case.file_name + ".is-not-there"]) == 1
        assert list(out.iterdir()) == []
    said = capfd.readouterr()
    assert said.err.count("\n") >= 19
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err


@pytest.fixture
def roomy(app, monkeypatch):
    """The app, with room for all files at once."""
    monkeypatch.setattr(app.site.cleaner, "max_bytes", 1 << 40)
    return app


def post(app, case: Case) -> None:
    """Upload the case and label it, as a program does."""
    files = {"files": (case.file_name, case.data, "image/png")}
    upload = app.http.post("/gradio_api/upload", files=files)
    assert upload.status_code in (200, 400, 413), case.name
    if upload.status_code != 200:
        assert "Traceback" not in upload.text
        return
    path = upload.json()[0]
    assert Path(path).resolve().is_relative_to(app.site.folder.resolve())
    call = app.call(path)
    assert call.status_code == 200, (case.name, call.text)
    kind, data = app.answer(call.json()["event_id"])
    if kind == "error":
        text = json.loads(data)["error"]
        assert case.expected != "picture", (case.name, text)
        assert text, case.name
        assert text not in (texts.INTERNAL_ERROR, texts.NO_MEMORY), case.name
        assert "Traceback" not in text
    else:
        assert kind == "complete", case.name
        assert case.expected != "error", case.name
        labels, _, facts = json.loads(data)
        file = app.http.get(f"/gradio_api/file={labels['path']}").content
        size = Image.open(io.BytesIO(file)).size
        assert size == (facts["width"], facts["height"])
        assert case.size in (None, size[::-1]), case.name


def post_all(app, chosen: list[Case], capfd) -> None:
    for case in chosen:
        with bounded(case.name):
            post(app, case)
    app.site.cleaner.sweep(time.time() + 2 * 3600)
    kept = {Path(path).resolve() for path in app.site.cleaner.permanent()}
    left = {path.resolve() for path in app.site.folder.rglob("*") if path.is_file()}
    assert left <= kept
    assert "Traceback" not in capfd.readouterr().err


def test_the_endpoint_gives_labels_or_a_sentence(roomy, capfd):
    post_all(roomy, [*CASES[::6], *(c for c in CASES if c.name.startswith("name "))], capfd)


@pytest.mark.slow
def test_the_endpoint_gives_labels_or_a_sentence_for_each(roomy, capfd):
    post_all(roomy, CASES, capfd)
