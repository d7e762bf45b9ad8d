"""Logins during attacks, and what the password protects."""

import contextlib
import socket
import threading
import time
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from helpers.inside import API, running_inside
from page.requests.logins import MAX_WAITING_EACH, PAUSE_SECONDS

RIGHT = {"username": "ana", "password": "secret"}


@pytest.fixture
def locked(tiny_program, tmp_path):
    with running_inside(tiny_program, tmp_path, auth=("ana", "secret")) as app:
        yield app


def log_in(app, word="secret") -> tuple[int, float]:
    start = time.monotonic()
    reply = httpx.post(f"{app.url}/login", data={**RIGHT, "password": word}, timeout=60)
    return reply.status_code, time.monotonic() - start


def test_a_half_sent_login_holds_nobody_up(locked):
    parts = urlsplit(locked.url)
    head = "POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\nContent-Type: %s\r\n\r\nuser"
    with contextlib.ExitStack() as held:
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x") * 5:
            raw = held.enter_context(socket.create_connection((parts.hostname, parts.port)))
            raw.sendall((head % kind).encode())
        time.sleep(0.2)
        status, seconds = log_in(locked)
    assert status == 200
    assert seconds < 2


def test_among_wrong_words_the_right_one_waits_for_nobody(locked):
    wrong = {"target": log_in, "args": (locked, "wrong"), "daemon": True}  # they wait for 30 s
    for _ in range(60):
        threading.Thread(**wrong).start()
    time.sleep(1.0)
    status, seconds = log_in(locked)
    assert status == 200
    assert seconds < 2


def test_wrong_words_are_answered_two_a_second(locked):
    start = time.monotonic()
    crowd = [threading.Thread(target=log_in, args=(locked, "wrong")) for _ in range(5)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert time.monotonic() - start > 5 * PAUSE_SECONDS - 0.1


def test_who_hangs_up_has_not_saved_the_time(locked, monkeypatch):
    pause = 2.0  # long enough for all four to arrive within it on a slow machine
    monkeypatch.setattr("page.requests.logins.PAUSE_SECONDS", pause)
    monkeypatch.setattr("page.requests.logins.MAX_WAITING_EACH", 3)
    assert MAX_WAITING_EACH > 60
    body = urlencode({**RIGHT, "password": "x"}).encode()
    head = (
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        f"{len(body)}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    host, port = locked.url.removeprefix("http://").split(":")
    with httpx.Client() as client:  # created first, as this takes longer than three calls
        for _ in range(3):
            with socket.create_connection((host, int(port)), timeout=10) as call:
                call.sendall(head.encode() + body)
                time.sleep(0.1)  # the body is read before the client disconnects
        reply = client.post(f"{locked.url}/login", data=RIGHT)
    assert reply.status_code == 429
    assert "Too many wrong passwords" in reply.text
    time.sleep(3 * pause + 0.5)
    assert log_in(locked)[0] == 200


def test_a_long_login_is_refused(locked):
    reply = httpx.post(f"{locked.url}/login", data={**RIGHT, "password": "x" * 70_000})
    assert reply.status_code == 413
    assert log_in(locked)[0] == 200


def test_the_token_is_handed_out_to_nobody_and_another_site_logs_nobody_out(locked):
    assert locked.http.post("/login", data=RIGHT).status_code == 200
    for path in ("token", "token/"):
        assert locked.http.get(f"{API}/{path}").status_code == 404
    cross = {"Sec-Fetch-Site": "cross-site"}
    image = {**cross, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    link = {**cross, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    evil = "http://evil.example"
    for headers in (image, link, {"Referer": f"{evil}/"}, {"Origin": evil}):
        assert locked.http.get("/logout", headers=headers).status_code == 403, headers
        assert locked.http.get("/config").status_code == 200
    assert locked.http.get("/logout", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 302
    assert locked.http.get("/config").status_code == 401
