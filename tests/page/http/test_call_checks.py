"""Checks of a call: its size, its values, its function, and its ids."""

import asyncio
import json
import threading
import time

import pytest

import page.http.middleware
from helpers.inside import API, file_data, png, running_inside
from helpers.sockets import ask, post, send
from page.requests.call_checks import MAX_BYTES, MAX_VALUES


@pytest.fixture(scope="module")
def app(tiny_program, tmp_path_factory):
    with running_inside(tiny_program, tmp_path_factory.mktemp("cache"), max_queue=1) as app:
        yield app


def number_of(app, name):
    return next(n for n, fn in app.site.demo.fns.items() if fn.api_name == name)


def waiting(app):
    return len(app.site.demo._queue.event_ids_to_events)


def test_a_huge_call_is_refused_before_it_is_sent(app):
    for path in ("queue/join", "call/segment", "call/v2/segment", "run/pixel", "api/pixel"):
        head = f"POST {API}/{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {400 << 20}\r\n\r\n"
        start = time.monotonic()
        reply = send(app.url, head.encode())  # nothing else is sent
        assert reply.status == 413
        assert b"larger than 1 MB" in reply.body
        assert time.monotonic() - start < 2


@pytest.mark.parametrize("piece", [b"0,", b"[],", b'"":0,', b"{},", b"[[[[", b'{"a":'])
def test_many_values_are_counted_before_they_are_parsed(app, piece, monkeypatch):
    monkeypatch.setattr(json, "loads", lambda *a, **k: pytest.fail("parsed"))
    body = b'{"data":[' + piece * (MAX_VALUES + 1)
    assert len(body) < MAX_BYTES
    reply = post(app.url, f"{API}/queue/join", body)
    assert reply.status == 400
    assert f"more than {MAX_VALUES} values".encode() in reply.body


def test_large_calls_do_not_delay_others(app):
    body = b'{"data":[' + b"0," * (MAX_VALUES - 10) + b'"' + b"x" * (MAX_BYTES - 40_000) + b'"]}'
    assert len(body) <= MAX_BYTES
    stop = threading.Event()

    def flood():
        while not stop.is_set():
            post(app.url, f"{API}/queue/join", body)

    crowd = [threading.Thread(target=flood) for _ in range(6)]
    for one in crowd:
        one.start()
    waits = []
    for _ in range(10):
        start = time.monotonic()
        assert app.http.get(f"{API}/app_id").status_code == 200
        waits.append(time.monotonic() - start)
    stop.set()
    for one in crowd:
        one.join()
    assert sorted(waits)[5] < 1.0  # it was 20 s without the limit


def test_a_call_is_parsed_beside_the_event_loop(app, monkeypatch):
    seen = []
    plain = page.http.middleware.read_call

    def read(*args):
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        seen.append(threading.current_thread())
        return plain(*args)

    monkeypatch.setattr(page.http.middleware, "read_call", read)
    assert app.segment(png())[0] == "complete"
    assert seen


@pytest.mark.parametrize(
    "index", ['"{n}"', "{n}.0", "true", "-1", "9999", "null", "[{n}]", "1e2", '"x"', "9" * 30]
)
def test_a_function_is_named_by_a_whole_number_alone(app, index):
    index = index.replace("{n}", str(number_of(app, "segment")))
    call = f'{{"data": [null, ""], "session_hash": "s", "fn_index": {index}}}'
    before = waiting(app)
    reply = post(app.url, f"{API}/queue/join", call.encode())
    assert reply.status == 400
    if index != "null":
        for path in ("run/predict", "api/predict", "run/pixel"):
            assert post(app.url, f"{API}/{path}", call.encode()).status == 400
    assert waiting(app) <= before


def test_the_path_and_the_body_name_the_same_function(app):
    other = number_of(app, "segment")
    for path in ("run/pixel", "api/pixel", "call/compare"):
        reply = post(app.url, f"{API}/{path}", {"data": [None], "fn_index": other})
        assert reply.status == 400
        assert b"another function" in reply.body
    twice = f'{{"data": [null, ""], "session_hash": "s", "fn_index": {other}, "fn_index": "1"}}'
    assert post(app.url, f"{API}/queue/join", twice.encode()).status == 400


@pytest.fixture
def full(app):
    """One photo running and one waiting, so that the queue is full."""
    path = app.upload(png())
    app.gate.open.clear()
    events = []
    for number in range(2):
        events.append(app.call(path).json()["event_id"])
        end = time.monotonic() + 20
        while not (app.gate.inside == 1 and len(app.site.scheduler) == number):
            assert time.monotonic() < end
            time.sleep(0.02)
    yield path
    app.gate.open.set()
    for event in events:
        assert app.answer(event)[0] == "complete"


def test_every_door_says_busy_where_the_queue_is_full(app, full):
    photo = file_data(full)
    calls = [
        ("call/v2/segment", "call/segment", {"image": photo, "model": ""}),
        ("call/v2/compare", "call/compare", {"image": photo, "model_a": "", "model_b": ""}),
        ("call/v2/probabilities", "call/x", {"image": photo, "model": "", "y": 1, "x": 1}),
        ("call/segment", "call/segment", {"data": [photo, ""]}),
    ]
    for path, back, call in calls:
        reply = app.http.post(f"{API}/{path}", json=call)
        assert reply.status_code == 200, reply.text
        url = f"{API}/{back}/{reply.json()['event_id']}"
        with app.http.stream("GET", url) as stream:
            said = "".join(stream.iter_lines())
        assert "event: error" in said
        assert "Busy: 1 photo is waiting" in said


def test_a_call_by_names_is_answered(app):
    reply = app.http.post(
        f"{API}/call/v2/segment", json={"image": file_data(app.upload(png())), "model": ""}
    )
    assert app.answer(reply.json()["event_id"])[0] == "complete"
    for call in ({}, {"image": None, "nonesuch": 1}, {"data": []}):
        reply = app.http.post(f"{API}/call/v2/segment", json=call)
        assert reply.status_code == 400
        assert reply.json()["error"] == "This call takes these values: image, model."
    assert app.http.post(f"{API}/call/v2/label", json={}).status_code == 404  # not public


GOOD = ("a", "Z9_-", "0b5c7a3e-1f2d-4c3b-8a9e-0123456789ab", "x" * 64)
BAD = ("", "x" * 65, "x" * 200_000, "a b", "ä", "a/b", "a\n", "\0", "a.b", "%41", "a" * 63 + "é")


@pytest.mark.parametrize("name", BAD)
def test_a_session_has_a_short_plain_name(app, name):
    kept = app.site.demo._queue.pending_messages_per_session
    before = set(kept)
    join = {"data": [None, ""], "fn_index": number_of(app, "segment"), "session_hash": name}
    assert post(app.url, f"{API}/queue/join", join).status == 400
    assert post(app.url, f"{API}/call/segment", {**join, "fn_index": None}).status == 400
    cancel = {"session_hash": name, "fn_index": 1, "event_id": "a"}
    assert post(app.url, f"{API}/cancel", cancel).status == 400
    cancel = {"session_hash": "a", "fn_index": 1, "event_id": name}
    assert post(app.url, f"{API}/cancel", cancel).status == 400
    assert post(app.url, f"{API}/reset", {"event_id": name}).status == 400
    assert set(kept) == before
    if len(name) < 1000:
        for path in ("queue/data", "upload_progress", "upload", "heartbeat/", "call/segment/"):
            key = "session_hash" if path == "queue/data" else "upload_id"
            quoted = "".join(f"%{byte:02x}" for byte in name.encode())
            where = path + quoted if path.endswith("/") else f"{path}?{key}={quoted}"
            method = "POST" if path == "upload" else "GET"
            # a name with a slash, or none at all, makes another path
            refused = (400, 404, 405) if path.endswith("/") and name in ("", "a/b") else (400,)
            assert ask(app.url, method, f"{API}/{where}").status in refused, where


@pytest.mark.parametrize("name", GOOD)
def test_names_that_clients_use_are_taken(app, name):
    call = {"data": [file_data(app.upload(png())), ""], "session_hash": name}
    call["fn_index"] = number_of(app, "segment")
    assert app.http.post(f"{API}/queue/join", json=call).status_code == 200
    with app.http.stream("GET", f"{API}/queue/data?session_hash={name}") as stream:
        assert any("process_completed" in line for line in stream.iter_lines())
    with app.http.stream("GET", f"{API}/heartbeat/{name}") as stream:
        assert next(stream.iter_lines()) == "data: ALIVE"


def test_only_known_entries_of_a_call_reach_gradio(app):
    number = number_of(app, "segment")
    call = {"data": [file_data(app.upload(png())), ""], "fn_index": number, "session_hash": "known"}
    odd = {"batched": True, "simple_format": True, "event_id": "x", "oauth_token": "y"}
    assert app.http.post(f"{API}/queue/join", json={**call, **odd}).status_code == 200
    with app.http.stream("GET", f"{API}/queue/data?session_hash=known") as stream:
        (done,) = [line for line in stream.iter_lines() if "process_completed" in line]
    assert json.loads(done.removeprefix("data: "))["success"]


def test_an_answer_that_nobody_comes_for_is_forgotten(app, monkeypatch):
    queue = app.site.demo._queue
    sessions = app.site.sessions
    call = {"data": [file_data(app.upload(png())), ""], "fn_index": number_of(app, "segment")}
    app.http.post(f"{API}/queue/join", json={**call, "session_hash": "nobody"})
    end = time.monotonic() + 20
    while queue.event_ids_to_events:
        assert time.monotonic() < end
        time.sleep(0.02)
    sessions.drop_unheard(app.site.demo)
    assert "nobody" in queue.pending_messages_per_session  # the session may still connect
    monkeypatch.setattr("page.service.queue.sessions.UNHEARD_SECONDS", 0.0)
    with app.site.sessions.connected("nobody"):
        sessions.drop_unheard(app.site.demo)
        assert "nobody" in queue.pending_messages_per_session
    sessions.drop_unheard(app.site.demo)
    assert "nobody" not in queue.pending_messages_per_session
    assert "nobody" not in queue.pending_event_ids_session
