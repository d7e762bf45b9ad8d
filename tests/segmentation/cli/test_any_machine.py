"""Ports in use, folders that cannot be written, Ctrl-C, disks without modes, no POSIX: one line."""

import csv
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import ROOT
from helpers.server import free_port
from helpers.tiny import photo
from page.http.startup_checks import check_address, check_folder
from page.options import Options
from segmentation import PixelwiseError, partial_file
from segmentation.batch.journal import Journal
from segmentation.cli import main as main_module
from segmentation.cli.main import main
from segmentation.export import files as files_module

READ_ONLY = OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(photo(64, 96)).save(folder / f"{number}.png")
    return folder


def words(photos: Path, program: Path, out: Path) -> list[str]:
    files = [str(path) for path in sorted(photos.iterdir())]
    return [*files, "--model", str(program), "--device", "cpu", "--out", str(out)]


# ---- the page's address and folder


def start_page(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "app.py"), "--model", "embedded", "--device", "cpu"]
    env = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
    return subprocess.run(
        [*command, *arguments], env=env, capture_output=True, text=True, timeout=90
    )


def test_a_port_in_use_is_one_line_and_a_status():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start_page("--port", str(port))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"app.py: error: port {port} is in use: stop the program that listens on it, or name "
        "another with --port"
    ]


def test_a_temporary_folder_that_cannot_be_made_is_one_line(tmp_path, monkeypatch, capsys):
    from page.main import running

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file" / "tmp"))
    monkeypatch.setattr(sys, "argv", ["app.py", "--model", "embedded", "--device", "cpu"])
    with pytest.raises(SystemExit) as ended, running("app.py"):
        pass
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written (Not a directory): set GRADIO_TEMP_DIR to one that can" in line


def test_addresses_that_cannot_be_listened_on_are_told(monkeypatch):
    check_address(Options(host="127.0.0.1", port=free_port()))
    for host in ("203.0.113.7", "no.such.host.invalid", "a" * 70 + ".example"):
        with pytest.raises(PixelwiseError, match="this machine has no address"):
            check_address(Options(host=host, port=free_port()))
    refused = {
        PermissionError(errno.EACCES, "Permission denied"): "port 80 is not allowed here: name one",
        OSError(errno.EMFILE, "Too many open files"): "port 80: Too many open files",
        OSError(errno.EADDRINUSE, "Address in use"): "port 80 is in use",
    }
    for error, message in refused.items():

        def refuse(*_: object, error: OSError = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(socket, "create_server", refuse)
        with pytest.raises(PixelwiseError, match=message):
            check_address(Options(host="127.0.0.1", port=80))
    with pytest.raises(PixelwiseError, match="no port from 7860 to 7959 is free: name one with"):
        check_address(Options(host="127.0.0.1"))


def test_a_folder_of_the_page_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    check_folder(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(PixelwiseError, match=r"'.*file', cannot be written .* set GRADIO_TEMP_DIR"):
        check_folder(tmp_path / "file")

    def refuse(*_: object, **__: object) -> None:
        raise READ_ONLY

    monkeypatch.setattr("page.http.startup_checks.tempfile.TemporaryFile", refuse)
    with pytest.raises(PixelwiseError, match="Read-only file system"):
        check_folder(tmp_path)


# ---- the command line's folder


@pytest.mark.parametrize("what", ["list", "folder"])
def test_an_output_folder_that_cannot_be_written_is_one_line(
    what, photos, tiny_program, tmp_path, monkeypatch, capsys
):
    def refuse(*_: object, **__: object) -> None:
        raise READ_ONLY

    monkeypatch.setattr(partial_file, "_private", refuse)  # root may write anywhere: pretend
    monkeypatch.setattr(main_module, "load", None)  # nothing is loaded or labelled in vain
    given = words(photos, tiny_program, tmp_path / "out")
    if what == "folder":
        given = [str(photos), *given[4:]]
    assert main(given) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cannot write to")
    assert line.endswith("Read-only file system")
    (tmp_path / "file").write_text("")
    assert main([*given[:-1], str(tmp_path / "file")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


# ---- Ctrl-C


def test_ctrl_c_on_a_list_of_photos_is_one_line_and_130(
    photos, tiny_program, tmp_path, monkeypatch, capsys
):
    asked = []
    whole = files_module.encode_outputs

    def interrupted(*args: object) -> tuple[bytes, bytes]:
        asked.append(args)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(main_module, "encode_outputs", interrupted)
    out = tmp_path / "out"
    assert main(words(photos, tiny_program, out)) == 130
    said = capsys.readouterr()
    assert said.err.splitlines() == ["Stopped. 2 of 4 photos are finished."]
    assert len(said.out.splitlines()) == 2
    assert sorted(path.name for path in out.iterdir()) == [
        *("0_labels.png", "0_overlay.png", "1_labels.png", "1_overlay.png")
    ]


@pytest.mark.parametrize("step", ["load", "check_writable", "make_parser"])
def test_ctrl_c_before_the_first_photo_is_one_line_too(
    step, photos, tiny_program, tmp_path, monkeypatch, capsys
):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module, step, interrupt)
    assert main(words(photos, tiny_program, tmp_path / "out")) == 130
    assert capsys.readouterr().err.splitlines() == ["Stopped."]


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_a_real_ctrl_c_leaves_no_traceback_and_no_half_file(photos, tiny_program, tmp_path):
    out = tmp_path / "out"
    given = words(photos, tiny_program, out)
    command = [sys.executable, "-m", "segmentation", *given[:4] * 500, *given[4:]]
    running = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        json.loads(running.stdout.readline())  # at work
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130
    (line,) = err.splitlines()
    assert line.startswith("Stopped. ")
    for path in out.iterdir():
        with Image.open(path) as image:
            image.load()


@pytest.mark.parametrize("step", ["created", "written", "moved"])
def test_ctrl_c_at_any_moment_of_writing_leaves_no_part(step, tmp_path, monkeypatch):
    def interrupted(real: Callable[..., object]) -> Callable[..., object]:
        def run(*given: object, **named: object) -> object:
            real(*given, **named)  # it is done, and then the signal comes
            raise KeyboardInterrupt

        return run

    where, name = {
        "created": (partial_file, "_private"),
        "written": (os, "chmod"),
        "moved": (os, "replace"),
    }[step]
    monkeypatch.setattr(where, name, interrupted(getattr(where, name)))
    with pytest.raises(KeyboardInterrupt):
        files_module.write_atomic(tmp_path / "whole", b"all of it")
    if step == "moved":
        assert (tmp_path / "whole").read_bytes() == b"all of it"
        (tmp_path / "whole").unlink()
    assert list(tmp_path.iterdir()) == []


# ---- disks that know no modes, and systems that are no POSIX


def test_disks_that_forbid_chmod_get_their_files(
    photos, tiny_program, tmp_path, monkeypatch, capsys
):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(os, "fchmod", refuse, raising=False)
    monkeypatch.setattr(Path, "chmod", refuse)
    assert main(words(photos, tiny_program, tmp_path / "out")) == 0
    assert len(list((tmp_path / "out").iterdir())) == 8
    from segmentation.models import download

    (tmp_path / "source").write_bytes(b"weights")
    monkeypatch.setattr(download, "_receive", lambda url, write, progress: str(write(b"weights")))
    download.download("http://here.invalid", tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == b"weights"


def rows_of(path: Path, count: int) -> None:
    with Journal(path) as journal:
        for number in range(count):
            journal.add({"image": f"{number}.png", "settings": {}, "classes": ["x" * 2000]})


def test_a_journal_is_read_without_pread(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "pread", raising=False)  # Windows has none
    rows_of(tmp_path / "j", 3)
    with open(tmp_path / "j", "ab") as file:
        file.write(b'{"image": "3.p')  # of a killed process
    with Journal(tmp_path / "j") as journal:
        assert journal.names().keys() == {"0.png", "1.png", "2.png"}
        journal.add({"image": "3.png", "settings": {}, "classes": ["y"]})
        assert journal.row("3.png")["classes"] == ["y"]
        assert journal.row("0.png")["classes"] == ["x" * 2000]
        journal.add({"image": "0.png", "settings": {}, "classes": ["z"]})
        assert journal.row("0.png")["classes"] == ["z"]
    assert len((tmp_path / "j").read_bytes().splitlines()) == 6


def test_a_row_is_not_read_byte_by_byte(tmp_path):
    counters = Path("/proc/self/io")
    if not counters.is_file():
        pytest.skip("this system does not count a process's reads in /proc")
    rows_of(tmp_path / "j", 200)

    def reads() -> int:
        return int(counters.read_text().split("syscr: ")[1].split()[0])

    with Journal(tmp_path / "j") as journal:
        before = reads()
        for number in range(200):
            journal.row(f"{number}.png")
        assert reads() - before < 3 * 200  # 400,000 bytes


@pytest.fixture
def no_posix(monkeypatch):
    """What Windows lacks is taken away."""
    for module, name in (
        *((os, name) for name in ("pread", "pwrite", "fork", "sched_getaffinity", "fchmod")),
        (signal, "pthread_sigmask"),
    ):
        monkeypatch.delattr(module, name, raising=False)


def test_a_folder_is_labelled_and_resumed_without_posix(
    photos, tiny_program, tmp_path, no_posix, capsys
):
    given = [str(photos), *words(photos, tiny_program, tmp_path / "out")[4:]]
    assert main(given) == 0
    assert "4 labelled: see" in capsys.readouterr().err
    (photos / "1.png").rename(photos / "5.png")
    assert main(given) == 0
    assert "1 labelled, 3 done before: see" in capsys.readouterr().err
    table = csv.reader((tmp_path / "out" / "classes.csv").read_text("utf-8").splitlines())
    assert [row[0] for row in table] == ["image", "0.png", "2.png", "3.png", "5.png"]
