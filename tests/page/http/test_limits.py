"""Limits of the page: sizes of uploads and calls, places in the queue, waiting time."""

import json
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from helpers.inside import API, file_data, png, running_inside
from helpers.page_calls import ask_page, files_in, join, read_values, wait_until


@pytest.fixture(scope="module")
def app(tiny_program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with running_inside(tiny_program, folder, max_upload_mb=1.0, max_queue=2) as app:
        yield app


@pytest.fixture(autouse=True)
def _settled(app):
    yield
    app.reset()


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
    """Return a body of this many megabytes in pieces, and a counter of pieces sent."""
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
        pass  # the server closed the connection
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


# --- queue -----------------------------------------------------------------------------------


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
    wait_until(lambda: app.gate.inside == 0)  # the work has ended too
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
        time.sleep(0.8)  # the work begins before the session listens
        (message,) = read_values(app, "regular")
        assert message["success"], message
