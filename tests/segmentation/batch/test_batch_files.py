"""Which files of a folder are tried, and tables that any program can read."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from helpers.tiny import photo
from segmentation.batch.discovery import find_photos
from segmentation.cli.main import main
from segmentation.export.csv_table import csv_bytes

pytestmark = pytest.mark.usefixtures("one_thread")


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo(64, 64)).save(file, "JPEG", quality=95)
    return file.getvalue()


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize(
    "name",
    [
        *("b.jfif", "c.jpe", "d.mpo", "e.JIF", "f.hif", "g.apng", "h.dib", "k.pjpeg", "l.avifs"),
        *("i", "IMG 12.05.2019", "photo.", "scan (2)", "x.2"),  # no ending that says a kind
    ],
)
def test_pictures_under_rare_names_are_found(name, tmp_path):
    write(tmp_path, {name: jpeg()})
    assert find_photos(tmp_path, tmp_path / "out")[:2] == ([name], [])


def test_names_without_an_ending_are_judged_by_their_content(tmp_path):
    write(tmp_path, {"LICENSE": b"text", "empty": b"", "core": b"\x7fELF", "photo": jpeg()})
    (tmp_path / "folder").mkdir()
    found = find_photos(tmp_path, tmp_path / "out")
    assert (found.photos, found.skipped) == (["photo"], {"": 3})


@pytest.mark.parametrize(
    "folder",
    [
        *("@eaDir/a.jpg", "$RECYCLE.BIN", "__MACOSX", "#recycle", "@Recycle", "@__thumb"),
        *("sub/@eaDir", "System Volume Information", "$Recycle.Bin/S-1-5", "lost+found"),
    ],
)
def test_what_systems_keep_for_themselves_is_left_out(folder, tmp_path):
    write(tmp_path, {f"{folder}/x.jpg": jpeg(), "a.jpg": jpeg()})
    assert find_photos(tmp_path, tmp_path / "out").photos == ["a.jpg"]


def test_a_folder_of_every_ending_is_labelled_and_the_rest_told(tmp_path, tiny_program, capsys):
    folder, out = tmp_path / "photos", tmp_path / "out"
    data = jpeg()
    names = ["a.jpg", "b.jfif", "c.jpe", "d.mpo", "f.hif", "g.apng", "h.dib", "i"]
    write(folder, dict.fromkeys(names, data) | {"e.ppm": b"P6 1 1 255\n\0\0\0", "n.txt": b"x"})
    status = main([str(folder), "--out", str(out), "--model", str(tiny_program)])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert (status, said) == (
        0,
        f"8 labelled, 2 files left out (.ppm, .txt): see {out / 'classes.csv'}",
    )
    rows = list(csv.DictReader((out / "classes.csv").open(encoding="utf-8")))
    assert [row["image"] for row in rows] == names


def test_a_folder_without_pictures_says_what_there_was(tmp_path, tiny_program, capsys):
    write(tmp_path, {"photos/a.ppm": b"P6 1 1 255\n\0\0\0"})
    args = [str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--model", str(tiny_program)]
    assert main(args) == 1
    assert "1 file left out (.ppm)" in capsys.readouterr().err


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "\t@", "＝"])
def test_every_text_that_a_spreadsheet_would_compute_is_guarded(start):
    text = csv_bytes([["class", start + "1"], ["fine", "a=1"], [-1, -0.5]]).decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["class", f"'{start}1"], ["fine", "a=1"], ["-1", "-0.5"]]


def test_a_text_with_another_separator_stays_one_cell():
    assert csv_bytes([["x;=1+1.jpg\t=2", 3]]) == b'"x;=1+1.jpg\t=2",3\n'


def test_odd_names_are_no_formulas_and_the_table_is_utf_8(tmp_path, tiny_program):
    folder, out = tmp_path / "photos", tmp_path / "out"
    names = ["=1+1.jpg", "+1.jpg", "-x.jpg", "@SUM(A1).jpg", " =1.jpg"]
    write(folder, dict.fromkeys([*names, "\udcff\udcfe.jpg", "ü.jpg"], jpeg()))
    assert main([str(folder), "--out", str(out), "--model", str(tiny_program)]) == 0
    text = (out / "classes.csv").read_bytes().decode()  # strict
    images = {row["image"] for row in csv.DictReader(io.StringIO(text))}
    assert images == {f"'{name}" for name in names} | {"\\udcff\\udcfe.jpg", "ü.jpg"}
    assert np.asarray(Image.open(out / "ü_labels.png")).shape == (64, 64)
