"""The parts of a folder's run, each alone: find, plan, journal, workers, tables."""

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from conftest import ROOT
from helpers.many_workers import make_a_death, make_mortal, make_nothing, make_plain, tasks
from segmentation.batch.discovery import SUFFIXES, find_photos
from segmentation.batch.executors import label_in_processes
from segmentation.batch.journal import JOURNAL, Journal
from segmentation.batch.plan import check_folders
from segmentation.batch.ray_executor import divide_processors
from segmentation.batch.reports import write_classes, write_failures
from segmentation.errors import PixelwiseError
from segmentation.export.names import OutputNames
from segmentation.progress import Bar


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_pictures_are_found_in_all_folders_by_their_endings(tmp_path):
    names = [f"sub/deep/photo{ending}" for ending in SUFFIXES] + ["B.JPG", "a.jpeg"]
    touch(tmp_path, *names, "notes.txt", "jpg", ".hidden.jpg", ".thumbs/a.jpg", "a.jpg/b.png")
    photos, troubles, others = find_photos(tmp_path, tmp_path / "out")
    assert photos == sorted([*names, "a.jpg/b.png"])
    assert troubles == []
    assert others == {".txt": 1, "": 1}


def test_labels_are_not_taken_for_photos(tmp_path):
    touch(tmp_path, "a.jpg", "out/a_labels.png", f"old/{JOURNAL}", "old/a_overlay.png")
    assert find_photos(tmp_path, tmp_path / "out")[0] == ["a.jpg"]
    assert find_photos(tmp_path, tmp_path / "new")[0] == ["a.jpg", "out/a_labels.png"]


def test_links_are_followed_and_their_loops_are_harmless(tmp_path):
    touch(tmp_path, "photos/z/a.jpg", "photos/z/b.jpg", "elsewhere/c.jpg")
    photos = tmp_path / "photos"
    (photos / "again").symlink_to(photos)
    (photos / "above").symlink_to(tmp_path)
    (photos / "a_link_to_z").symlink_to(photos / "z")
    (photos / "z" / "other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(photos / "z")
    (photos / "one.jpg").symlink_to(photos / "z" / "a.jpg")
    found, troubles, _ = find_photos(photos, tmp_path / "out")
    assert found == ["above/elsewhere/c.jpg", "one.jpg", "z/a.jpg", "z/b.jpg"]
    assert troubles == []


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "closed/b.jpg")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read every folder
    assert find_photos(tmp_path, tmp_path / "out")[:2] == (
        ["a.jpg"],
        [("closed", "this folder cannot be read: Permission denied")],
    )


def test_an_output_folder_among_the_photos_is_refused(tmp_path):
    touch(tmp_path, "photos/a.jpg", "photos/photos/b.jpg", "more/c.jpg")
    for folder, out in [("photos", "photos"), ("photos", "."), ("photos", "photos/../photos/.")]:
        with pytest.raises(PixelwiseError, match="choose another --out"):
            check_folders(tmp_path / folder, tmp_path / out)
    for folder, out in [("photos", "photos/out"), ("more", "."), ("photos", "out")]:
        check_folders(tmp_path / folder, tmp_path / out)


def test_names_are_numbered_in_their_own_folders(tmp_path):
    names = OutputNames(tmp_path, [tmp_path / "sub/d_overlay.png"])
    names.reserve("sub/c")
    assert [
        names.assign("sub/a.jpg", "sub"),
        names.assign("sub/A.png", "sub"),
        names.assign("a.jpg", "."),
        names.assign("sub/c.jpg", "sub"),
        names.assign("sub/d.jpg", "sub"),
    ] == ["sub/a", "sub/A_2", "a", "sub/c_2", "sub/d_2"]


def row(image: str, **more: object) -> dict[str, object]:
    return {"image": image, "settings": {"model": "m"}, "classes": [{"index": 0}], **more}


def test_the_last_row_of_a_photo_counts(tmp_path):
    names = ["é\udcff\n.jpg", "b.jpg"]
    with Journal(tmp_path / JOURNAL) as journal:
        for number, name in enumerate([*names, *names]):
            journal.add(row(name, number=number))
        journal.mark_stale("b.jpg")
        journal.mark_stale("unknown.jpg")
    with Journal(tmp_path / JOURNAL) as journal:
        assert journal.done(names[0])["number"] == 2
        assert "classes" not in journal.done(names[0])
        assert journal.row(names[0]) == row(names[0], number=2)
        assert journal.done("b.jpg") is None
        assert sorted(journal.names()) == sorted(names)
        assert journal.done("unknown.jpg") is None
        journal.add(row("b.jpg", number=4))
        assert journal.row("b.jpg")["number"] == 4
    assert len((tmp_path / JOURNAL).read_bytes().splitlines()) == 6


@pytest.mark.parametrize(
    "torn", [b'{"image": "b.jpg", "sett', b"[1]\n", b"\xff\0\n", b'{"image": 1}']
)
def test_a_torn_line_is_passed_over(tmp_path, torn):
    path = tmp_path / JOURNAL
    with Journal(path) as journal:
        journal.add(row("a.jpg"))
    with path.open("ab") as file:
        file.write(torn)
    with Journal(path) as journal:
        assert list(journal.names()) == ["a.jpg"]
        journal.add(row("c.jpg"))
        assert journal.row("c.jpg") == row("c.jpg")
    with Journal(path) as journal:
        assert list(journal.names()) == ["a.jpg", "c.jpg"]
        assert journal.row("a.jpg") == row("a.jpg")


def test_the_tables_by_hand(tmp_path):
    found = [{"index": 2, "fraction": 0.75}, {"index": 0, "fraction": 0.25}]
    rows = [{"image": 'a "b", c.jpg', "height": 3, "width": 4, "model": "m", "classes": found}]
    write_classes(tmp_path / "classes.csv", ["sky", "sea", "sand"], rows)
    assert (tmp_path / "classes.csv").read_text() == (
        '"image","height","width","model","sky","sea","sand"\n'
        '"a ""b"", c.jpg",3,4,"m",0.25,0,0.75\n'
    )
    write_failures(tmp_path / "failures.csv", [("é\udcff.jpg", "it is empty")])
    assert (tmp_path / "failures.csv").read_text(encoding="utf-8") == (
        '"image","reason"\n"é\\udcff.jpg","it is empty"\n'
    )
    write_failures(tmp_path / "failures.csv", [])
    write_failures(tmp_path / "failures.csv", [])
    assert os.listdir(tmp_path) == ["classes.csv"]


@pytest.mark.parametrize(
    ("nodes", "workers", "shared"),
    [
        ([8], 1, (1, 8)),
        ([8], 3, (3, 2)),
        ([4, 4], 1, (1, 4)),  # none may span two nodes
        ([3, 3], 3, (3, 1)),  # two threads each would leave the third without a place
        ([0, 2, 6], 4, (4, 2)),
        ([2], 5, (2, 1)),
    ],
)
def test_a_cluster_is_shared_so_that_all_workers_fit(nodes, workers, shared):
    assert divide_processors(nodes, workers) == shared


def test_a_cluster_gives_the_threads_that_are_asked_for_or_says_no():
    assert divide_processors([8, 4], 9, 3) == (3, 3)
    assert divide_processors([8, 4], 2, 3) == (2, 3)
    with pytest.raises(PixelwiseError, match="no node of the Ray cluster has 9 processors"):
        divide_processors([8, 4], 1, 9)


def test_a_cluster_without_processors_is_refused():
    with pytest.raises(PixelwiseError, match="no processors"):
        divide_processors([0, 0], 1)


def test_workers_share_the_photos():
    names = [f"{i}.jpg" for i in range(40)]
    answers = list(label_in_processes(make_plain, iter(tasks(*names)), 2, 3))
    assert sorted(answer.image for answer in answers) == sorted(names)
    assert {answer.row["threads"] for answer in answers} == {3}
    assert os.getpid() not in {answer.row["pid"] for answer in answers}


def test_a_worker_that_dies_is_a_failure_of_its_photo_alone():
    names = ["a", "deadly 1", "b", "c", "deadly 2", "d", "e"]
    answers = {a.image: a for a in label_in_processes(make_mortal, tasks(*names), 2, 1)}
    assert sorted(answers) == sorted(names)
    assert {name for name in names if answers[name].error} == {"deadly 1", "deadly 2"}
    assert "its worker died" in answers["deadly 1"].error


def test_workers_that_cannot_be_made_end_the_run():
    with pytest.raises(PixelwiseError, match="there is no such model here"):
        list(label_in_processes(make_nothing, tasks("a", "b"), 2, 1))
    with pytest.raises(PixelwiseError, match="before its first photo"):
        list(label_in_processes(make_a_death, tasks("a", "b"), 2, 1))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_process_that_employs_them(tmp_path, end):
    # a test run in the background hands down that Ctrl-C is ignored
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys; from segmentation.batch.executors import label_in_processes as go\n"
        "from helpers.many_workers import make_slow, tasks\n"
        "if __name__ == '__main__': list(go(make_slow, tasks('a', 'b', out=sys.argv[1]), 2, 1))\n"
    )
    (tmp_path / "employer.py").write_text(script)
    main = subprocess.Popen(
        [sys.executable, str(tmp_path / "employer.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert all(map(is_running, workers))
    main.send_signal(end)
    main.wait(240)
    wait_for(lambda: not any(map(is_running, workers)))


def test_the_bar_counts_from_where_the_task_starts(capsys):
    bar = Bar("photos", initial=500, total=1000, mininterval=0, delay=0)
    for done in (600, 810):
        bar(done, 1000)
    bar(905, 1000, "2 failed")
    bar.close()
    shown = capsys.readouterr().err.split("\r")
    assert shown[1].startswith("photos:  50.0% |")
    assert shown[-1].startswith("photos:  90.5% |")
    assert shown[-1].rstrip().endswith(", 2 failed")


def test_a_bar_without_a_terminal_or_a_total(capsys, monkeypatch):
    Bar("over at once")(0.5, 1.0)
    assert capsys.readouterr().err == ""
    bar = Bar("fetching a.pth", mininterval=0, delay=0)
    bar(10, None)
    bar(20, 40)
    bar.close()
    assert "fetching a.pth:  50.0% |" in capsys.readouterr().err
    quiet = Bar("train", quiet=True)
    quiet(0.5, 1.0, "loss 1")
    quiet.close()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr", None)
    nowhere = Bar("train")
    nowhere(0.5, 1.0)
    nowhere.close()


@pytest.mark.parametrize(
    ("who", "library"),
    [("torch", "filelock"), ("gradio", "huggingface-hub"), ("huggingface-hub", "tqdm")],
)
def test_libraries_that_others_bring_are_among_their_requirements(who, library):
    """requirements.txt does not name them."""
    brought = [Requirement(line) for line in requires(who) or []]
    names = {r.name.replace("_", "-") for r in brought if r.marker is None or r.marker.evaluate()}
    assert library in names, (
        f"{who} {version(who)} no longer brings {library}, which segmentation imports: "
        "add it to requirements.txt"
    )
