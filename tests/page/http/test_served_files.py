"""Uploaded and produced files: how they are served, counted, limited and deleted."""

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from helpers.inside import API, png, running_inside
from helpers.page_calls import wait_until
from helpers.server import ROOT, start_app
from helpers.sockets import ask
from page.requests.uploads import FILES_AT_ONCE
from page.storage.temp_files import disk_use
from page.storage.temp_folder import LOCK, VARIABLE, own_folder
from viewer import keep_file

CONTENT = bytes(range(256)) * 8
OURS = {
    *("date", "server", "content-type", "content-length", "content-range", "content-disposition"),
    *("accept-ranges", "etag", "last-modified", "cache-control", "content-security-policy"),
    *("x-content-type-options", "x-frame-options", "referrer-policy", "permissions-policy"),
    *("cross-origin-opener-policy", "cross-origin-resource-policy", "connection"),
}


@pytest.fixture(scope="module")
def app(tiny_program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with running_inside(tiny_program, folder, max_upload_mb=1.0, cache_mb=2.0) as app:
        yield app


def room(app) -> int:
    """Return the size on disk of everything in the app's folder, in bytes."""
    return sum(disk_use(path) for path in app.site.folder.rglob("*"))


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, CONTENT[:10]),
        ("bytes=2000-", 206, CONTENT[2000:]),
        ("bytes=-5", 206, CONTENT[-5:]),
        ("bytes=5-99999", 206, CONTENT[5:]),
        ("bytes=9999-", 416, None),
        ("bytes=9-5", 400, None),
        ("bytes=0-1,4-5", 200, CONTENT),
        ("bytes=" + "0-,".join([""] * 3000), 200, CONTENT),
        ("bytes=a-b", 200, CONTENT),
        ("bytes=٠-٣", 200, CONTENT),
        ("items=0-1", 200, CONTENT),
        ("bytes=" + "9" * 400 + "-", 200, CONTENT),
        ("", 200, CONTENT),
    ],
)
def test_a_part_of_a_file_comes_with_our_headers_alone(app, asked, status, part):
    path = app.upload(CONTENT, "film.mp4")
    secret = [("Cookie", "a=xyzzy"), ("Authorization", "xyzzy"), ("X-Odd", "xyzzy")]
    value = asked.encode().decode("latin-1")
    reply = ask(app.url, "GET", f"{API}/file={path}", [*secret, ("Range", value)])
    assert reply.status == status
    assert set(reply.headers) <= OURS
    assert "xyzzy" not in str(reply.headers)
    assert part is None or reply.body == part
    assert reply.headers["cache-control"] == "no-store"


def test_a_condition_that_fails_gives_the_whole_file(app):
    path = app.upload(CONTENT, "film.mp4")
    for headers in ([("Range", "bytes=0-1"), ("If-Range", '"x"')], [("If-None-Match", "*")]):
        reply = ask(app.url, "GET", f"{API}/file={path}", headers)
        assert (reply.status, reply.body) == (200, CONTENT)


def test_photos_and_results_are_not_kept_by_browsers(app):
    event = app.call(app.upload(png())).json()["event_id"]
    assert app.answer(event)[0] == "complete"
    photo = app.upload(png())
    for path in ("/", "/config", f"{API}/file={photo}", f"{API}/info"):
        assert app.http.get(path).headers["cache-control"] == "no-store", path
    for path in (f"{API}/call/segment/{event}", f"{API}/queue/data?session_hash=a"):
        assert ask(app.url, "GET", path).headers["cache-control"] == "no-store", path
    assert app.http.get("/static/img/logo.svg").headers.get("cache-control") != "no-store"


def test_files_of_one_request_are_few(app):
    files = [("files", (f"{n}.png", bytes([n]))) for n in range(FILES_AT_ONCE + 1)]
    before = room(app)
    reply = app.http.post(f"{API}/upload", files=files)
    assert reply.status_code == 413
    assert reply.text == "At most 12 files can be uploaded at a time."
    assert room(app) == before
    assert len(app.http.post(f"{API}/upload", files=files[:-1]).json()) == FILES_AT_ONCE
    fields = {f"x{n}": "y" for n in range(FILES_AT_ONCE + 1)}
    assert app.http.post(f"{API}/upload", data=fields, files=files[:1]).status_code == 413


def test_what_is_no_file_is_not_kept_in_memory(app):
    import tracemalloc

    form = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n%s\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}

    def pieces():
        start, end = form.split(b"%s")
        yield start
        for _ in range(10):
            yield bytes(1 << 20)
        yield end

    tracemalloc.start()
    reply = app.http.post(f"{API}/upload?upload_id=field", content=pieces(), headers=kind)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reply.status_code == 400
    assert most < 6 << 20


def test_small_files_do_not_pass_the_room(tiny_program, tmp_path):
    with running_inside(tiny_program, tmp_path, cache_mb=1.0) as app:
        refused, examples = False, room(app)
        for number in range(400):
            names = [f"{number} {n}" for n in range(FILES_AT_ONCE)]
            files = [("files", (name, name.encode())) for name in names]
            refused = app.http.post(f"{API}/upload", files=files).status_code == 429
            if refused:
                break
        assert refused
        assert room(app) - examples <= 2 * 2**20 + FILES_AT_ONCE * 2 * 4096


def test_uploads_on_their_way_count(app):
    parts = urlsplit(app.url)
    head = f"POST {API}/upload HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 9000000\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    part = '--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    before = app.site.cleaner.bytes
    with socket.create_connection((parts.hostname, parts.port)) as raw:
        raw.sendall((head + part).encode() + bytes(900_000))
        wait_until(lambda: app.site.cleaner.bytes >= before + 900_000)
        assert list(app.site.folder.glob("upload-*"))
    wait_until(lambda: app.site.cleaner.bytes == before)
    assert not list(app.site.folder.glob("upload-*"))  # no partial files


@contextmanager
def full_disk(most: int):
    """Limit the size of this process's files, in bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_part_of_a_file(app, tmp_path):
    before = sorted(app.site.folder.rglob("*"))
    with full_disk(100_000):
        reply = app.http.post(f"{API}/upload", files={"files": ("a.png", bytes(500_000))})
        with pytest.raises(OSError, match="File too large"):
            keep_file(bytes(500_000), "a.png", str(tmp_path))
    assert reply.status_code == 507
    assert "could not store" in reply.json()["error"]
    assert sorted(app.site.folder.rglob("*")) == before
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert app.upload(png())


def test_the_folder_comes_back_for_its_owner_alone(app):
    def remove():
        subprocess.run(["rm", "-rf", str(app.site.folder)], check=True)

    remove()
    path = Path(app.upload(png()))
    for one in (app.site.folder, path.parent):
        assert stat.S_IMODE(one.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert app.answer(app.call(str(path)).json()["event_id"])[0] == "complete"
    remove()
    app.site.cleaner.sweep()
    assert stat.S_IMODE(app.site.folder.stat().st_mode) == 0o700
    remove()
    keep_file(b"x", "a.png", str(app.site.folder))
    assert stat.S_IMODE(app.site.folder.stat().st_mode) == 0o700


KILLED = """
import os, signal, sys
from page.storage.temp_folder import own_folder
with own_folder() as folder:
    (folder / ("a" * 64)).mkdir()
    (folder / ("a" * 64) / "photo.png").write_bytes(b"x")
    (folder / "mine.txt").write_text("not of the app")
    print(folder, flush=True)
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def app_that(what, parent, given=None):
    environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
    environment |= {"TMPDIR": str(parent), **({VARIABLE: str(given)} if given else {})}
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, what],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_what_a_killed_app_has_left_goes_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    alive = app_that("live", tmp_path)
    used = Path(alive.stdout.readline().decode().strip())
    killed = app_that("kill", tmp_path)
    left = Path(killed.stdout.readline().decode().strip())
    killed.wait()
    young = tmp_path / "pixelwise-young"  # another app is creating it
    young.mkdir()
    assert (left / ("a" * 64) / "photo.png").exists()
    with own_folder() as folder:
        assert not left.exists()
        assert (used / ("a" * 64) / "photo.png").exists()
        assert young.exists()
        assert folder.exists()
    alive.communicate(b"")
    assert sorted(tmp_path.iterdir()) == [young]


def test_a_given_folder_loses_what_a_killed_app_has_left_and_nothing_else(tmp_path, monkeypatch):
    given = tmp_path / "given"
    killed = app_that("kill", tmp_path, given)
    killed.communicate()
    assert (given / LOCK).exists()
    assert stat.S_IMODE(given.stat().st_mode) == 0o700
    monkeypatch.setenv(VARIABLE, str(given))
    with own_folder():
        assert sorted(path.name for path in given.iterdir()) == [LOCK, "mine.txt"]
        (given / ("b" * 64)).mkdir()
    assert sorted(path.name for path in given.iterdir()) == ["b" * 64, "mine.txt"]
    with own_folder():  # no app was killed
        assert (given / ("b" * 64)).exists()


@pytest.mark.slow
def test_a_killed_page_leaves_a_photo_for_no_longer_than_until_the_next_start(
    tiny_program, tmp_path
):
    arguments = ("--model", str(tiny_program))
    given = tmp_path / "gradio"
    with start_app(*arguments, folder=tmp_path) as (url, app):
        boundary = [("Content-Type", "multipart/form-data; boundary=x")]
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        body = head + png() + b"\r\n--x--\r\n"
        assert ask(url, "POST", f"{API}/upload", boundary, body).status == 200
        app.kill()
        app.wait()
    assert list(given.glob("*/a.png"))
    with start_app(*arguments, folder=tmp_path):
        assert not list(given.glob("*/a.png"))
        assert stat.S_IMODE(given.stat().st_mode) == 0o700
