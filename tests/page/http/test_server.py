"""The page as strangers meet it: limits, files, headers, crowds, failures."""

import io
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from helpers import tiny
from helpers.gossip import SECRET, gossip, segments_of
from helpers.inside import API, file_data, png, running_inside
from page import texts as texts_module
from page.http.security_headers import security_headers
from page.service.background import (
    CancelledError,
    DeadlineError,
    run_to_completion,
    run_with_progress,
)
from page.service.queue.sessions import Sessions
from segmentation import ImageError, open_image


@pytest.fixture(scope="module")
def app(tiny_program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with running_inside(tiny_program, folder, max_upload_mb=1.0, max_queue=2) as app:
        yield app


@pytest.fixture(autouse=True)
def _settled(request):
    yield
    if "app" in request.fixturenames:
        request.getfixturevalue("app").reset()


def wait_until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def files_in(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.is_file()}


# --- what is answered at all -----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/config", f"{API}/info", "/nowhere", "/theme.css"])
def test_every_answer_has_the_headers(app, path):
    headers = app.http.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == "'self' data: blob:"
    assert policy["object-src"] == policy["frame-ancestors"] == "'none'"
    assert "http" not in headers["content-security-policy"]


def test_frames_are_allowed_only_where_asked():
    headers = security_headers(["https://example.org", "https://*.hf.space"])
    assert headers["content-security-policy"].endswith(
        "frame-ancestors https://example.org https://*.hf.space"
    )
    assert "x-frame-options" not in headers


def test_an_uploaded_page_is_served_as_a_dead_file(app):
    path = app.upload(b"<script>alert(1)</script>", "page.html")
    answer = app.http.get(f"{API}/file={path}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/redoc",
        "/openapi.json",
        "/monitoring",
        "/monitoring/summary",
        "/monitoring/key",
        f"{API}/proxy=http://127.0.0.1:1/",
        f"{API}/runs",
        f"{API}/run-history/records",
        f"{API}/deep_link",
        f"{API}/dev/reload",
        f"{API}/vibe-code",
        f"{API}/profiling/summary",
        f"{API}/custom_component/x/client/component/index.js",
        f"{API}/stream/a/1/2/playlist.m3u8",
        f"{API}/file/etc/passwd",
        f"{API}/mcp",
    ],
)
def test_routes_that_nobody_needs_do_not_exist(app, path):
    assert app.http.get(path).status_code == 404
    assert app.http.post(path).status_code == 404


def test_odd_methods_are_refused(app):
    assert app.http.delete("/").status_code == 405
    assert app.http.request("TRACE", "/").status_code == 405


def test_a_redirect_never_leads_to_another_host(app):
    for header in ("x-forwarded-host", "x-gradio-server", "host"):
        evil = "http://evil.example" if header == "x-gradio-server" else "evil.example"
        for path in ("/logout", f"{API}/upload/", "//evil.example/", "/\\evil.example"):
            answer = app.http.get(path, headers={header: evil})
            assert "evil" not in answer.headers.get("location", "")


# --- files -----------------------------------------------------------------------------------


@pytest.fixture
def secret(app, tmp_path):
    """A file outside of the temporary folder, and ways that might lead to it."""
    path = tmp_path / "secret.txt"
    path.write_text("the word is xyzzy")
    folder = app.site.folder / "links"
    folder.mkdir(exist_ok=True)
    link = folder / f"link{time.monotonic_ns()}.txt"
    link.symlink_to(path)
    parent = folder / f"parent{time.monotonic_ns()}"
    parent.symlink_to(tmp_path)
    up = "/".join([".."] * 12)
    ways = [
        str(path),
        str(link),
        f"{parent}/secret.txt",
        f"{app.site.folder}/{up}{path}",
        f"{up}{path}",
        f"/{path}",
        f"file://{path}",
        str(path).replace("/", "\\"),
        f"{path}\0.png",
        f"{app.site.folder}/../{path.parent.name}/secret.txt",
        "app.py",
        "README.md",
        str(Path(__file__)),
        "/proc/self/environ",
        "/etc/passwd",
        "~/.bashrc",
        "",
        ".",
        str(app.site.folder),
    ]
    yield ways
    link.unlink()
    parent.unlink()


def test_nothing_outside_the_folder_can_be_read(app, secret):
    encoders = [
        lambda text: httpx.URL("http://x/" + text.replace("\0", "%00")).raw_path[1:].decode(),
        lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
        lambda text: text.replace(".", "%2e").replace("/", "%2f").replace("\0", "%00"),
        lambda text: text.replace("/", "%252f").replace(".", "%252e").replace("\0", "%2500"),
        lambda text: text.replace("../", "....//").replace("\0", "%00"),
    ]
    host, port = app.url.removeprefix("http://").split(":")
    for way in secret:
        for encode in encoders:
            target = f"{API}/file={encode(way)}".replace(" ", "%20")
            with socket.create_connection((host, int(port)), 10) as raw:  # no client tidies it
                raw.sendall(
                    f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
                )
                answer = b"".join(iter(lambda raw=raw: raw.recv(65536), b""))
            status = int(answer.split()[1])
            assert status in (400, 403, 404), (target, answer[:200])
            assert b"xyzzy" not in answer
            assert b"root:" not in answer


def call_bodies(app, data):
    """Every door through which a call's JSON comes in."""
    number = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "segment")
    label = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "label")
    pixel = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "pixel")
    yield f"{API}/call/segment", {"data": [data, ""]}
    yield f"{API}/call/segment", {"data": ["", data]}
    yield f"{API}/call/v2/segment", {"image": data, "model": ""}
    yield f"{API}/run/segment", {"data": [data, ""]}
    yield f"{API}/api/pixel", {"data": [data], "fn_index": pixel}
    for index in (number, label):
        body = {"data": [data, "", 0][: 2 + (index == label)], "fn_index": index}
        yield f"{API}/queue/join", {**body, "session_hash": "forger"}
        yield f"{API}/queue/join", {**body, "session_hash": "forger", "event_data": {"a": [data]}}


def test_nothing_outside_the_folder_can_be_named_in_a_call(app, secret):
    before, calls = files_in(app.site.folder), app.gate.calls
    for way in filter(None, secret):
        for data in (file_data(way), {"path": way}, file_data(way, is_stream=True)):
            for url, body in call_bodies(app, data):
                answer = app.http.post(url, json=body)
                assert answer.status_code == 403, (url, body, answer.text)
                assert "uploaded here" in answer.text or "fetches nothing" in answer.text
    assert files_in(app.site.folder) == before
    assert app.gate.calls == calls


@pytest.fixture
def listener():
    """A server that a visitor would like ours to ask; yields its address and what it was asked."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_HEAD = do_POST = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/cat.png", asked
    server.shutdown()


def test_no_route_asks_an_address_that_a_visitor_names(app, listener):
    address, asked = listener
    for url in (address, address.replace("http", "HTTP"), "https://huggingface.co/cat.png"):
        forms = [
            file_data(url),
            file_data(url, url=url),
            {"path": "", "url": url},
            {"url": url},
            {"path": None, "url": url, "meta": {"_type": "gradio.FileData"}},
        ]
        for data in forms:
            for door, body in call_bodies(app, data):
                assert app.http.post(door, json=body).status_code == 403, (door, data)
        for prefix in (f"{API}/file=", f"{API}/proxy=", f"{API}/file/", f"{API}/proxy/"):
            answer = app.http.get(prefix + url, follow_redirects=False)
            assert answer.status_code in (403, 404)
            assert "location" not in answer.headers
    assert asked == []


def test_a_finished_answer_tells_nothing_of_the_upload(app):
    exif = Image.Exif()
    exif[0x010E] = "grandma in Graz"
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 4.0, 0.0)})
    kind, data = app.segment(png(exif=exif), "holiday with grandma.png")
    assert kind == "complete"
    assert "holiday" not in data
    for file in json.loads(data)[:2]:
        answer = app.http.get(f"{API}/file={file['path']}")
        assert answer.status_code == 200
        assert b"grandma" not in answer.content
        assert not Image.open(io.BytesIO(answer.content)).getexif()


def test_the_picture_for_the_page_has_no_metadata(app):
    exif = Image.Exif()
    exif[0x010E] = "grandma in Graz"
    value = ask_page(app, app.upload(png(exif=exif), "holiday with grandma.png"))[-1]
    assert "holiday" not in json.dumps(value)
    for key in ("photo", "labels"):
        content = app.http.get(f"{API}/file={value[key]['path']}").content
        assert b"grandma" not in content
        picture = Image.open(io.BytesIO(content))
        assert not picture.getexif()
        assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_jpeg_for_the_page_keeps_its_picture_and_nothing_else(app):
    data = gossip()
    assert data.count(SECRET) > 8
    value = ask_page(app, app.upload(data, "holiday with grandma.jpg"))[-1]
    assert "holiday" not in json.dumps(value)
    content = app.http.get(f"{API}/file={value['photo']['path']}").content
    assert SECRET not in content
    assert b"Phone" not in content
    markers = {marker for marker, _ in segments_of(content)}
    assert markers <= {0xC0, 0xC4, 0xDA, 0xDB, 0xE0}  # frame, tables, scan; JFIF
    picture = Image.open(io.BytesIO(content))
    assert not picture.getexif()
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert np.abs(np.asarray(picture).astype(int) - open_image(data)).mean() < 2


# --- uploads ---------------------------------------------------------------------------------


def test_a_claimed_size_is_refused_before_a_byte_is_read(app):
    host, port = app.url.removeprefix("http://").split(":")
    before = files_in(app.site.folder)
    with socket.create_connection((host, int(port)), 10) as raw:
        raw.sendall(
            f"POST {API}/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4294967296\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
        )
        answer = raw.recv(65536)  # nothing else was sent
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert files_in(app.site.folder) == before


def multipart(chunks: int):
    """A photo of so many megabytes, piece by piece; counts what was taken."""
    taken = [0]

    def pieces():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(chunks):
            taken[0] += 1
            yield bytes(1 << 20)
        yield b"\r\n--x--\r\n"

    return pieces(), taken


def test_a_long_upload_is_refused_on_the_way(app):
    body, taken = multipart(400)
    before = files_in(app.site.folder)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    try:
        answer = app.http.post(f"{API}/upload", content=body, headers=headers)
    except httpx.TransportError:
        pass  # the server hung up on us
    else:
        assert answer.status_code == 413
        assert answer.text == "This file is larger than 1 MB, the limit of this page."
    assert taken[0] < 150
    wait_until(lambda: files_in(app.site.folder) == before)


def test_a_file_just_above_the_limit_is_told_its_limit(app):
    answer = app.http.post(f"{API}/upload", files={"files": ("a.png", bytes((1 << 20) + 1))})
    assert answer.status_code == 413
    assert answer.text == "This file is larger than 1 MB, the limit of this page."
    assert app.upload(bytes(1 << 20)).endswith("photo.png")


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/cron.d/evil.png",
        "..\\..\\evil.png",
        "/etc/passwd",
        "a" * 500 + ".png",
        "new\nline\r\x1b[31m.png",
        "nul\0byte.png",
        "\u202egnp.exe",
        "",
        ".",
        "..",
        "CON.png",
        "<img src=x onerror=alert(1)>.png",
    ],
)
def test_a_name_leads_nowhere(app, name):
    answer = app.http.post(f"{API}/upload", files={"files": (name, png())})
    if answer.status_code == 200:
        path = Path(answer.json()[0])
        assert path.resolve().is_relative_to(app.site.folder.resolve())
        assert len(path.name.encode()) <= 255
        assert app.answer(app.call(str(path)).json()["event_id"])[0] == "complete"
    else:
        assert answer.status_code in (400, 422)
        assert "Traceback" not in answer.text


def test_a_full_disk_quota_is_told(app, monkeypatch):
    monkeypatch.setattr(app.site.cleaner, "_bytes", 10**12)
    answer = app.http.post(f"{API}/upload", files={"files": ("a.png", png())})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "10"
    assert "storage for photos is full" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 200_000, b"null", b"[]", b'"text"', b"\xff\xfe", b"{}" * 2]
)
def test_a_call_that_is_no_call_is_told_so(app, body):
    for url in (f"{API}/queue/join", f"{API}/call/segment", f"{API}/run/pixel"):
        answer = app.http.post(url, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert "The body of this call " in answer.json()["detail"]


def test_a_slow_body_is_not_waited_for(app, monkeypatch):
    monkeypatch.setattr("page.requests.request_body.IDLE_SECONDS", 0.3)
    host, port = app.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as raw:
        raw.sendall(
            f"POST {API}/queue/join HTTP/1.1\r\nHost: {host}\r\n".encode()
            + b"Content-Length: 100\r\n\r\n{"
        )
        assert b" 408 " in raw.recv(65536).split(b"\r\n")[0]


# --- crowds ----------------------------------------------------------------------------------


def join(app, path: str, session: str) -> str:
    """Ask for a photo as the page does; returns the event's name."""
    label = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "label")
    body = {
        "data": [file_data(path), app.model, 0],
        "fn_index": label,
        "session_hash": session,
    }
    answer = app.http.post(f"{API}/queue/join", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["event_id"]


def read_values(app, session: str):
    """The viewer's values as the page's connection brings them, with the differences resolved."""
    url = f"{API}/queue/data?session_hash={session}"
    with app.http.stream("GET", url, timeout=30) as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data: ")) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                yield message
                return
            if message.get("msg") == "process_generating":
                yield message


def ask_page(app, path: str, session: str = "") -> list[dict]:
    session = session or f"s{time.monotonic_ns()}"
    join(app, path, session)
    values = []
    for message in read_values(app, session):
        data = message["output"].get("data") or [None]
        if isinstance(data[0], dict):
            values.append(data[0])
        elif isinstance(data[0], list):  # differences to the last value
            values += [step[-1] for step in data[0] if step[0] == "replace" and step[1] == []]
            patched = dict(values[-1]) if values else {}
            for action, where, value in (step for step in data[0] if step[1]):
                patched[where[0]] = value if action != "delete" else None
            values.append({k: v for k, v in patched.items() if v is not None})
    return values


def test_a_full_queue_asks_to_come_back(app):
    path = app.upload(png())
    app.site.scheduler.record_duration("another", None, 2.0)
    app.gate.open.clear()
    first = app.call(path).json()["event_id"]
    wait_until(lambda: app.gate.inside == 1)
    waiting = [app.call(path).json()["event_id"] for _ in range(2)]
    turned_away = app.call(path)
    assert turned_away.status_code == 200
    kind, data = app.answer(turned_away.json()["event_id"])
    assert kind == "error"
    text = json.loads(data)["error"]
    assert text.startswith("Busy: 2 photos are waiting. Try again in about ")
    assert text.endswith(" s.")
    *_, value = ask_page(app, path)
    assert value["text"].startswith("Busy: 2 photos are waiting. Try again in about ")
    assert app.gate.calls >= 1
    app.gate.open.set()
    assert [app.answer(event)[0] for event in (first, *waiting)] == ["complete"] * 3
    assert app.segment(png())[0] == "complete"


def test_who_waits_is_told_the_place_and_then_the_answer(app):
    path = app.upload(png())
    app.site.scheduler.record_duration(app.site.demo.service.default, None, 3.0)
    app.gate.open.clear()
    first = app.call(path).json()["event_id"]
    wait_until(lambda: app.gate.inside == 1)
    values: dict[str, list[dict]] = {}
    visitors = []
    for number, name in enumerate(("ana", "ben"), 1):
        visitor = threading.Thread(
            target=lambda name=name: values.update({name: ask_page(app, path, name)})
        )
        visitor.start()
        visitors.append(visitor)
        wait_until(lambda number=number: len(app.site.scheduler) == number)
    time.sleep(0.2)
    app.gate.open.set()
    for visitor in visitors:
        visitor.join(30)
    texts = {name: [v["text"] for v in found if "text" in v] for name, found in values.items()}
    assert texts["ana"][0].startswith("You are next, about ")
    assert texts["ben"][0].startswith("You are number 2 in the queue, about ")
    assert all(found[-1]["labels"] for found in values.values())
    assert app.answer(first)[0] == "complete"


def test_thirty_at_once_get_an_answer_each(app):
    path = app.upload(png())
    told: list[str] = []

    def ask() -> None:
        kind, data = app.answer(app.call(path).json()["event_id"], 60)
        told.append(kind if kind == "complete" else json.loads(data)["error"][:5])

    visitors = [threading.Thread(target=ask) for _ in range(30)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
    assert len(told) == 30
    assert set(told) <= {"complete", "Busy:"}
    assert "complete" in told


def test_the_queue_cannot_be_passed_by(app):
    body = {"data": [file_data(app.upload(png())), ""]}
    answer = app.http.post(f"{API}/run/segment", json=body)
    assert answer.status_code == 404
    assert "join the queue" in answer.text


def test_who_waits_too_long_is_told(app, monkeypatch):
    path = app.upload(png())
    app.gate.open.clear()
    first = app.call(path).json()["event_id"]
    wait_until(lambda: app.gate.inside == 1)
    second = app.call(path).json()["event_id"]
    monkeypatch.setattr(app.site.scheduler, "time_limit", 0.5)
    kind, data = app.answer(second)
    assert kind == "error"
    assert json.loads(data)["error"].startswith("Timed out after 1 s in the queue")
    app.gate.open.set()
    assert app.answer(first)[0] == "complete"


def test_work_that_takes_too_long_frees_its_place(app, monkeypatch):
    monkeypatch.setattr(app.site.demo.service, "time_limit", 1.0)
    path = app.upload(png())
    app.gate.open.clear()
    kind, data = app.answer(app.call(path).json()["event_id"])
    assert kind == "error"
    assert "took more than 1 s, the limit of this page" in json.loads(data)["error"]
    wait_until(lambda: app.gate.inside == 0)  # the work itself has ended, too
    app.gate.open.set()
    monkeypatch.undo()
    assert app.segment(png())[0] == "complete"


@pytest.mark.parametrize("door", ["page", "program"])
def test_who_leaves_frees_the_place(app, door, monkeypatch):
    monkeypatch.setattr("page.service.queue.sessions.AWAY_SECONDS", 0.5)
    path, session = app.upload(png()), f"leaver{door}"
    app.gate.open.clear()
    if door == "page":
        join(app, path, session)
    else:
        number = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "segment")
        body = {"data": [file_data(path), ""], "fn_index": number, "session_hash": session}
        assert app.http.post(f"{API}/queue/join", json=body).status_code == 200
    with app.http.stream("GET", f"{API}/queue/data?session_hash={session}") as stream:
        next(stream.iter_lines())
        wait_until(lambda: app.gate.inside == 1)
    wait_until(lambda: app.gate.inside == 0)  # the gate is still closed
    app.gate.open.set()
    assert app.segment(png())[0] == "complete"


def test_who_comes_back_after_a_while_is_answered(app, monkeypatch):
    monkeypatch.setattr("page.service.queue.sessions.AWAY_SECONDS", 0.2)
    path = app.upload(png())
    number = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "segment")
    for _ in range(2):
        body = {"data": [file_data(path), ""], "fn_index": number, "session_hash": "regular"}
        assert app.http.post(f"{API}/queue/join", json=body).status_code == 200
        time.sleep(0.8)  # the work begins before anybody listens
        (message,) = read_values(app, "regular")
        assert message["success"], message


# --- failures --------------------------------------------------------------------------------


def fail(error: Exception):
    def raise_it():
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("secret detail"), "The server had a problem"),
        (MemoryError(), "not have enough memory for this photo"),
        (torch.OutOfMemoryError("CUDA out of memory"), "not have enough memory for this photo"),
        (ImageError("this one is odd"), "This one is odd"),
        (RecursionError("deep"), "The server had a problem"),
    ],
)
def test_a_failure_is_told_and_the_next_photo_works(app, error, told):
    app.gate.instead = fail(error)
    kind, data = app.segment(png())
    assert kind == "error"
    assert told in json.loads(data)["error"]
    assert "secret" not in data
    value = ask_page(app, app.upload(png()))[-1]
    assert value["status"] == "error"
    assert told in value["text"]
    app.gate.instead = None
    assert app.segment(png())[0] == "complete"


def test_a_failed_forward_pass_leaves_the_next_one_working(app, monkeypatch):
    model = app.site.demo.service.segmenter(app.site.demo.service.default).model
    original = model.network.forward
    for error in (MemoryError("no"), torch.OutOfMemoryError("CUDA out of memory. Tried ...")):
        monkeypatch.setattr(model.network, "forward", lambda *_, e=error: fail(e)())
        kind, data = app.segment(png(compress_level=1))
        monkeypatch.setattr(model.network, "forward", original)
        photo = Image.fromarray(tiny.photo(100, 90))
        file = io.BytesIO()
        photo.save(file, "PNG")
        if kind == "error":  # else the answer was remembered
            assert "ot enough memory" in data
        assert app.segment(file.getvalue())[0] == "complete"


def test_work_is_stopped_between_its_steps():
    steps: list[str] = []

    def work(progress):
        for name in "abcdefgh":
            time.sleep(0.1)
            progress(name)
            steps.append(name)

    reports = run_with_progress(work)
    assert next(reports) == ("a", None)
    reports.close()
    time.sleep(0.4)
    assert len(steps) <= 2
    with pytest.raises(DeadlineError, match=r"more than 0\.15 s"):
        run_to_completion(work, seconds=0.15)
    with pytest.raises(CancelledError):
        run_to_completion(work, is_cancelled=lambda: True)


def test_a_page_between_two_questions_has_not_left(monkeypatch):
    sessions = Sessions()
    assert not sessions.has_disconnected("a program that listens later")
    with sessions.connected("visitor"):
        assert not sessions.has_disconnected("visitor")
    assert not sessions.has_disconnected("visitor")
    monkeypatch.setattr("page.service.queue.sessions.AWAY_SECONDS", -1)
    assert sessions.has_disconnected("visitor")
    with sessions.connected("visitor"):
        assert not sessions.has_disconnected("visitor")


# --- a password ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked(tiny_program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked")
    auth = ("ana", "secret")
    with running_inside(tiny_program, folder, auth=auth, embed=("https://example.org",)) as app:
        yield app


def test_a_password_guards_the_api_and_the_files(locked):
    outside = httpx.Client(base_url=locked.url, trust_env=False)
    own = locked.site.folder / "x" / "result.png"
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(png())
    for path in ("/config", f"{API}/info", f"{API}/file={own}", f"{API}/queue/status"):
        assert outside.get(path).status_code == 401, path
    for path in ("upload", "queue/join", "call/segment", "run/pixel", "cancel", "reset"):
        assert outside.post(f"{API}/{path}", json={"data": []}).status_code == 401, path
    for path in ("heartbeat/abc", "queue/data?session_hash=a", "upload_progress?upload_id=1"):
        assert outside.get(f"{API}/{path}").status_code == 401, path
    page = outside.get("/")
    assert page.status_code == 200
    assert '"auth_required":true' in page.text.replace(" ", "")
    assert "frame-ancestors https://example.org" in page.headers["content-security-policy"]


def test_the_right_word_opens_and_a_wrong_one_costs_time(locked):
    start = time.monotonic()
    for word in ("wrong", "Secret", "anas"):
        data = {"username": "ana", "password": word}
        assert locked.http.post("/login", data=data).status_code == 400
    assert time.monotonic() - start > 0.9
    right = {"username": "ana", "password": "secret"}
    assert locked.http.post("/login", data=right).status_code == 200
    assert locked.http.get("/config").status_code == 200
    assert locked.segment(png())[0] == "complete"
    forged = {"Cookie": "; ".join(f"{c.name}=forged" for c in locked.http.cookies.jar)}
    assert httpx.get(f"{locked.url}/config", headers=forged).status_code == 401


# --- the end ---------------------------------------------------------------------------------


def test_who_waits_is_told_when_the_page_closes(tiny_program, tmp_path):
    with running_inside(tiny_program, tmp_path) as app:
        path = app.upload(png())
        app.gate.open.clear()
        first = app.call(path).json()["event_id"]
        wait_until(lambda: app.gate.inside == 1)
        second = app.call(path).json()["event_id"]
        wait_until(lambda: len(app.site.scheduler) == 1)
        app.site.scheduler.close()
        kind, data = app.answer(second)
        assert (kind, json.loads(data)["error"]) == ("error", texts_module.CLOSING)
        assert app.call(path).status_code == 503
        app.gate.open.set()
        assert app.answer(first)[0] == "complete"  # it was at work
