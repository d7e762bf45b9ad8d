"""The temporary folder: which files can be read, and which are removed."""

import os
import stat
import time
from pathlib import Path

import pytest

from page.storage.temp_files import BLOCK, VARIABLE, TempFileCleaner, is_inside, own_folder

HOUR = 3600
ROOM = 4 * BLOCK
"""Two small files, each with a folder of its own."""


def put(path: Path, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_private_folder_is_ours_alone_and_goes(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with own_folder() as folder:
        assert os.environ[VARIABLE] == str(folder)
        assert folder.name.startswith("pixelwise-")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        put(folder / "a" / "photo.png")
    assert not folder.exists()
    assert VARIABLE not in os.environ


def test_a_given_folder_stays(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    with own_folder() as folder:
        put(folder / "a" / "photo.png")
    assert names(tmp_path / "mine") == {"a", "a/photo.png"}


def test_old_files_go_and_their_folders(tmp_path):
    put(tmp_path / "a" / "old.png")
    kept = put(tmp_path / "b" / "example.jpg")
    cleaner = TempFileCleaner(tmp_path, HOUR, ROOM, lambda: {str(kept)})
    assert cleaner.sweep(time.time() + HOUR - 10) == 0
    assert cleaner.sweep(time.time() + HOUR + 10) == 1
    assert names(tmp_path) == {"b", "b/example.jpg"}


def test_above_the_size_the_oldest_go_first(tmp_path):
    for index, name in enumerate("abcd"):
        path = put(tmp_path / name / "file.png", 400)
        os.utime(path, (0, 0))  # an old mtime; ctime stays
        time.sleep(0.02)
        assert path.stat().st_ctime > 0, index
    cleaner = TempFileCleaner(tmp_path, HOUR, ROOM)
    assert cleaner.sweep(time.time() + 120) == 2
    assert names(tmp_path) == {"c", "c/file.png", "d", "d/file.png"}
    assert cleaner.bytes == ROOM


def test_a_young_file_never_goes(tmp_path):
    put(tmp_path / "a" / "photo.png", 3 * ROOM)
    cleaner = TempFileCleaner(tmp_path, 1, ROOM)
    assert cleaner.sweep(time.time() + 50) == 0
    assert not cleaner.has_room()
    assert cleaner.sweep(time.time() + 70) == 1
    assert cleaner.has_room()
    assert names(tmp_path) == set()


def test_a_photo_may_wait_for_its_turn(tmp_path):
    put(tmp_path / "a" / "photo.png", ROOM)
    waiting = {str(tmp_path / "a" / "photo.png")}
    cleaner = TempFileCleaner(tmp_path, 60, ROOM, queued=lambda: waiting)
    put(tmp_path / "b" / "photo.png", 700)
    assert cleaner.sweep(time.time() + 140) == 1
    assert names(tmp_path) == {"a", "a/photo.png"}
    assert cleaner.bytes == ROOM + BLOCK  # the file and its folder count
    waiting.clear()
    assert cleaner.sweep(time.time() + 160) == 1


def test_an_upload_that_was_broken_off_goes_after_a_minute(tmp_path):
    put(tmp_path / "tmpabc123")
    put(tmp_path / "d" / "photo.png")
    assert TempFileCleaner(tmp_path, HOUR, ROOM).sweep(time.time() + 70) == 1
    assert names(tmp_path) == {"d", "d/photo.png"}


def test_a_link_goes_and_what_it_points_at_stays(tmp_path):
    outside = put(tmp_path / "outside.txt")
    folder = tmp_path / "cache"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "link").symlink_to(outside)
    (folder / "b").symlink_to(tmp_path)
    TempFileCleaner(folder, HOUR, ROOM).sweep(time.time() + 2 * HOUR)
    assert outside.read_bytes() == b"x" * 10
    assert not (folder / "a").exists()


def test_uploads_count_before_the_next_sweep(tmp_path):
    cleaner = TempFileCleaner(tmp_path, HOUR, 1000)
    cleaner.count_upload(2000)
    assert cleaner.has_room()
    cleaner.count_upload(1)
    assert not cleaner.has_room()


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("{folder}/a/photo.png", True),
        ("{folder}/a/../a/photo.png", True),
        ("{folder}/a/../../secret.txt", False),
        ("{folder}/../secret.txt", False),
        ("{folder}/a/link", False),
        ("{folder}/linked/secret.txt", False),
        ("{folder}/a", False),
        ("{folder}", False),
        ("{folder}/a/none.png", False),
        ("{folder}/a/photo.png\0", False),
        ("{folder}/circle", False),
        ("{folder}-next/photo.png", False),
        ("a/photo.png", False),
        ("", False),
        ("/etc/passwd", False),
        ("{folder}/" + "a" * 5000, False),
        ("file://{folder}/a/photo.png", False),
    ],
)
def test_what_is_inside(tmp_path, text, inside):
    folder = tmp_path / "cache"
    put(folder / "a" / "photo.png")
    put(tmp_path / "cache-next" / "photo.png")
    secret = put(tmp_path / "secret.txt")
    (folder / "a" / "link").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    (folder / "circle").symlink_to(folder / "circle")
    assert is_inside(text.replace("{folder}", str(folder)), folder) is inside
