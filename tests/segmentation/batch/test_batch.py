"""`python -m segmentation FOLDER`: resumed after a kill, nothing half-written, nothing twice."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from conftest import ROOT
from helpers.tiny import CAT, DOG, PERSON, photo
from segmentation import read_indexed_png, voc_palette
from segmentation.batch.journal import JOURNAL
from segmentation.batch.settings import BatchSettings, settle, settle_precision
from segmentation.cli.main import main
from segmentation.inference.segmenter import Segmenter

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Photos in folders: two of one stem, one that is none, a hidden one."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.jpg", "a.png", "b.png", "sub/a.png", "sub/ü.webp"]):
        Image.fromarray(photo(64 + 32 * number, 96)).save(root / name, quality=95)
    Image.fromarray(photo(64, 64)).save(root / ".hidden.png")
    return root


@pytest.fixture
def label(folder, tmp_path, tiny_program, capsys):
    """Run the command on the folder: exit status and the lines on standard error."""

    def run(*more: str, out: str = "out") -> tuple[int, list[str]]:
        status = main(
            [str(folder), "--out", str(tmp_path / out), "--model", str(tiny_program), *more]
        )
        printed = capsys.readouterr()
        assert printed.out == ""
        return status, printed.err.splitlines()

    return run


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file but the journal, whose seconds differ."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != JOURNAL
    }


def times_in(folder: Path) -> dict[str, int]:
    """When each PNG was written."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*.png")}


def journal_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / JOURNAL).read_text().splitlines()]


NAMES = ["a", "a_2", "b", "sub/a", "sub/ü"]
OUTPUTS = sorted(f"{name}_{kind}.png" for name in NAMES for kind in ("labels", "overlay"))


def test_a_folder_becomes_the_same_folders_of_labels_and_a_table(label, folder, tmp_path):
    status, err = label()
    assert (status, err) == (0, [f"5 labelled: see {tmp_path / 'out' / 'classes.csv'}"])
    out = tmp_path / "out"
    assert sorted(files_in(out)) == sorted([*OUTPUTS, "classes.csv"])
    with Image.open(out / "sub/a_labels.png") as image:
        assert image.size == (96, 160)
        assert image.getpalette()[:63] == voc_palette()[:21].ravel().tolist()
    rows = list(csv.DictReader((out / "classes.csv").open(encoding="utf-8")))
    assert [row["image"] for row in rows] == ["a.jpg", "a.png", "b.png", "sub/a.png", "sub/ü.webp"]
    assert list(rows[0])[:6] == ["image", "height", "width", "model", "__background__", "aeroplane"]
    assert len(rows[0]) == 4 + 21
    for row, name in zip(rows, NAMES, strict=True):
        labels = read_indexed_png((out / f"{name}_labels.png").read_bytes())
        assert (int(row["height"]), int(row["width"])) == labels.shape
        assert row["model"] == "colour_net"
        shares = np.bincount(labels.ravel(), minlength=21) / labels.size
        np.testing.assert_allclose([float(v) for v in list(row.values())[4:]], shares, rtol=1e-12)
    b = rows[2]  # 128 x 96: a third of the upper three quarters each, the lowest quarter black
    for name in ("person", "cat", "dog", "__background__"):
        assert float(b[name]) == pytest.approx(0.25, abs=0.02)
    assert b["bird"] == "0"
    assert {PERSON, CAT, DOG} < {c["index"] for c in journal_of(out)[2]["classes"]}


def test_what_is_done_is_not_done_again(label, folder, tmp_path):
    label()
    out = tmp_path / "out"
    before, lines = times_in(out), (out / JOURNAL).read_bytes()
    table = (out / "classes.csv").read_bytes()
    (out / "classes.csv").unlink()
    status, err = label()
    assert (status, err[0][:26]) == (0, "0 labelled, 5 done before:")
    assert times_in(out) == before
    assert (out / JOURNAL).read_bytes() == lines
    assert (out / "classes.csv").read_bytes() == table


def test_only_what_has_changed_is_done_again(label, folder, tmp_path):
    label()
    out = tmp_path / "out"
    before = times_in(out)
    Image.fromarray(photo(80, 96)[::-1]).save(folder / "b.png")
    (out / "sub/a_overlay.png").unlink()
    (out / "a_labels.png").write_bytes(b"half")
    assert label()[1][0][:26] == "3 labelled, 2 done before:"
    changed = {name for name, when in times_in(out).items() if before[name] != when}
    assert {name.rsplit("_", 1)[0] for name in changed} == {"b", "sub/a", "a"}
    assert read_indexed_png((out / "b_labels.png").read_bytes()).shape == (80, 96)
    Image.fromarray(photo(64, 64)).save(folder / "new.png")
    (folder / "sub/a.png").unlink()
    assert label()[1][0][:26] == "1 labelled, 4 done before:"
    images = [row["image"] for row in csv.DictReader((out / "classes.csv").open(encoding="utf-8"))]
    assert images == ["a.jpg", "a.png", "b.png", "new.png", "sub/ü.webp"]


@pytest.mark.parametrize(
    "change", [("--size", "32"), ("--alpha", "0.7"), ("--palette", "safe"), ("--exact",)]
)
def test_other_settings_do_all_again_and_going_back_too(label, tmp_path, change):
    label()
    first = files_in(tmp_path / "out")
    assert label(*change)[1][0].startswith("5 labelled: ")
    assert label(*change)[1][0].startswith("0 labelled, 5 done before")
    assert label()[1][0].startswith("5 labelled: ")
    assert files_in(tmp_path / "out") == first


def test_another_model_does_all_again(label, tmp_path, tiny_program):
    moved = tmp_path / "moved.pt2"
    moved.write_bytes(tiny_program.read_bytes())
    label("--model", str(moved))
    assert label()[1][0].startswith("0 labelled, 5 done before")  # the same, elsewhere
    with moved.open("ab") as file:
        file.write(b"\0")  # after a ZIP's end, where it may have a comment
    changed = BatchSettings(str(moved)), BatchSettings(str(tiny_program))
    digests = {settle(settings)[0].digest for settings in changed}
    assert len(digests) == 2
    assert label("--model", str(moved))[1][0].startswith("5 labelled: ")


def test_a_run_that_went_wrong_between_settings_trusts_nothing(label, tmp_path, monkeypatch):
    label()
    with monkeypatch.context() as patch:
        patch.setattr("segmentation.batch.worker.write_atomic", _interrupted_at_the_second())
        status, err = label("--palette", "safe")
    assert (status, err[-1][:8]) == (130, "Stopped.")
    # a_labels.png is in the safe palette now, of as many bytes, and its row said voc
    assert label()[1][0].startswith("1 labelled, 4 done before")


def _interrupted_at_the_second():
    from segmentation.export.files import write_atomic

    written = []

    def write(path: Path, data: bytes) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write_atomic(path, data)

    return write


def test_ctrl_c_keeps_what_is_done(label, tmp_path, monkeypatch):
    predict = Segmenter.predict
    seen = []

    def interrupted(self, image):
        seen.append(image)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return predict(self, image)

    monkeypatch.setattr(Segmenter, "predict", interrupted)
    assert label() == (
        130,
        ["Stopped. Finished photos are saved; run the same command again to continue."],
    )
    assert len((tmp_path / "out/classes.csv").read_text().splitlines()) == 3
    assert label()[1][0].startswith("3 labelled, 2 done before")


def test_failures_are_listed_at_the_end_and_tried_again(label, folder, tmp_path):
    (folder / "bad, text.jpg").write_text("no picture")
    (folder / "gone.png").symlink_to(tmp_path / "nothing")
    status, err = label()
    assert status == 1
    assert [line.split(":")[0] for line in err] == [
        "bad, text.jpg",
        "gone.png",
        err[-1].split(":")[0],
    ]
    assert err[-1].startswith("5 labelled, 2 failed: ")
    failures = list(csv.DictReader((tmp_path / "out/failures.csv").open()))
    assert [row["image"] for row in failures] == ["bad, text.jpg", "gone.png"]
    assert "is text, not a picture" in failures[0]["reason"]
    assert "does not exist" in failures[1]["reason"]
    (folder / "gone.png").unlink()
    Image.fromarray(photo(64, 64)).save(folder / "bad, text.jpg")
    status, err = label()
    assert (status, err[0][:26]) == (0, "1 labelled, 5 done before:")
    assert not (tmp_path / "out/failures.csv").exists()


def test_names_stay_when_photos_of_the_same_name_come(label, folder, tmp_path):
    Image.fromarray(photo(64, 64)).save(folder / "b.jpg")
    (folder / "b.jpg").rename(tmp_path / "b.jpg")
    label()
    before = times_in(tmp_path / "out")
    (tmp_path / "b.jpg").rename(folder / "b.jpg")  # sorts before b.png, which has the name
    label()
    after = times_in(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert sorted(set(after) - set(before)) == ["b_2_labels.png", "b_2_overlay.png"]


def test_an_output_folder_among_the_photos_is_left_out(label, folder, tmp_path):
    assert label(out="photos/out")[0] == 0
    assert label(out="photos/out")[1][0].startswith("0 labelled, 5 done before")
    assert label(out="photos/second")[1][0].startswith("5 labelled: ")
    status, err = label(out="photos")
    assert (status, len(err)) == (1, 1)
    assert "choose another --out" in err[0]


def test_what_cannot_be_run_is_one_line(label, folder, tmp_path, tiny_program, capsys):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / f".{JOURNAL}.lock"):
        assert "another run is writing to" in label()[1][0]
    assert "there is no file" in label("--model", "none.pt2")[1][0]
    (tmp_path / "file").touch()
    assert "cannot write to" in label(out="file")[1][0]
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 1
    assert "no photos in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos", "photos/b.png"], "give photos, or a single folder"),
        (
            ["photos/b.png", "--workers", "2"],
            "--workers, --threads and --ray work only with a folder",
        ),
        (
            ["photos/b.png", "--ray", "local"],
            "--workers, --threads and --ray work only with a folder",
        ),
        (["photos", "--workers", "0"], "'0' is not a whole number from 1 to 10000"),
    ],
)
def test_wrong_usage_is_status_two(folder, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_two_workers_write_the_same_files_as_one(label, folder, tmp_path):
    (folder / "text.jpg").write_text("no picture")
    assert label(out="one")[0] == 1
    assert label("--workers", "2", out="two")[0] == 1
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")
    settings = {
        json.dumps(row["settings"]) for n in ("one", "two") for row in journal_of(tmp_path / n)
    }
    assert len(settings) == 1
    assert label("--workers", "2", out="one")[1][-1].startswith(
        "0 labelled, 5 done before, 1 failed"
    )


def test_a_workers_threads_do_not_depend_on_how_much_is_left(
    label, folder, monkeypatch, tiny_program
):
    told = []

    def watch(make, tasks, workers, threads):
        told.append((workers, threads))
        return iter(())

    monkeypatch.setattr("segmentation.batch.run.label_in_processes", watch)
    monkeypatch.setattr("torch.get_num_threads", lambda: 12)
    label("--workers", "3")
    for name in ("a.jpg", "a.png", "b.png", "sub/a.png"):
        (folder / name).unlink()
    label("--workers", "3")  # else rounding could differ in what is resumed
    label("--workers", "3", "--threads", "2")
    assert told == [(3, 4), (1, 4), (1, 2)]


def test_auto_precision_is_decided_once_for_all(label, tmp_path, tiny_program, monkeypatch, folder):
    monkeypatch.setattr(
        "segmentation.inference.model_runner.half_precision", lambda device: "bfloat16"
    )
    settings, segmenter = settle(BatchSettings(str(tiny_program), precision="auto"))
    assert settings.computed == "bfloat16"
    monkeypatch.setattr("segmentation.inference.model_runner.AGREEMENT", 1.1)  # none will do
    paths = [folder / "missing.png", folder / "b.png"]
    settings, segmenter = settle_precision(settings, segmenter, paths)
    assert (settings.precision, settings.computed, segmenter.precision) == (
        "auto",
        *["float32"] * 2,
    )
    assert label("--precision", "auto")[0] == 0
    rows = journal_of(tmp_path / "out")
    assert {(row["precision"], row["settings"]["precision"]) for row in rows} == {
        ("float32", "auto")
    }
    assert label("--precision", "auto")[1][0].startswith("0 labelled, 5 done before")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(tmp_path, tiny_program, workers):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for number in range(60):
        Image.fromarray(photo(200, 300 + number)).save(folder / f"{number:02}.png")
    command = [sys.executable, "-m", "segmentation", str(folder), "--out", str(out)]
    command += ["--model", str(tiny_program), "--workers", str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 240  # a loaded machine is no failure
    while not out.is_dir() or len(list(out.glob("*_overlay.png"))) < 7:
        assert run.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    time.sleep(0.5)  # the workers hear of it
    (out / ".pixelwise-left.part").touch()
    with (out / JOURNAL).open("rb") as lines:
        whole = [json.loads(line) for line in lines.read().split(b"\n")[:-1]]
    done = [row["labels"] for row in whole] + [row["overlay"] for row in whole]
    assert 2 * 6 <= len(done) < 120
    before = times_in(out)
    for path in out.glob("*.png"):  # nothing half-written, whether its line was or not
        with Image.open(path) as image:
            image.load()
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0
    assert f"{60 - len(whole)} labelled, {len(whole)} done before" in again.stderr
    assert "leaked" not in again.stderr
    after = times_in(out)
    assert len(after) == 120
    assert {name: after[name] for name in done} == {name: before[name] for name in done}
    assert sorted(row["image"] for row in journal_of(out)) == sorted(os.listdir(folder))
    assert len((out / "classes.csv").read_text().splitlines()) == 61
    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == []
