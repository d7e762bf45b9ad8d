"""A flood of callers, over real sockets: each is served or refused, and the page goes on."""

import json
import threading
import time

import pytest

from helpers.inside import API, file_data, png, running_inside
from page.http import server

MAX_QUEUE = 8


@pytest.fixture(scope="module")
def app(tiny_program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with running_inside(tiny_program, folder, max_queue=MAX_QUEUE) as app:
        yield app


def wait_until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def number_of(app, name: str) -> int:
    return next(n for n, fn in app.site.demo.fns.items() if fn.api_name == name)


def result(app, name: str, data: list, session: str, event=None) -> dict:
    """Call a function as the page does, and wait for its last message."""
    body = {"data": data, "fn_index": number_of(app, name), "session_hash": session}
    joined = app.http.post(f"{API}/queue/join", json={**body, "event_data": event})
    assert joined.status_code == 200, joined.text
    url = f"{API}/queue/data?session_hash={session}"
    with app.http.stream("GET", url, timeout=60) as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data: ")) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                return message["output"]
    raise AssertionError("the answer was cut off")


def flood(app, callers: int) -> list[tuple[str, str]]:
    """So many calls at once while nobody is labelled; what came of each, when the gate opens."""
    path = app.upload(png())
    outcomes: list[tuple[str, str]] = []
    app.gate.open.clear()

    def ask() -> None:
        outcomes.append(app.answer(app.call(path).json()["event_id"], 60))

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(outcomes) == callers - MAX_QUEUE - 1)  # the refused have their answers
    working = [thread for thread in threading.enumerate() if thread.name == "work"]
    assert len(working) == MAX_QUEUE + 1  # none for those who were refused
    check_the_rest(app)
    app.gate.open.set()
    for thread in threads:
        thread.join(60)
    return outcomes


def check_the_rest(app) -> None:
    """While the queue is full, pinned pixels and the classroom are answered, and pages told."""
    click = {"data": ["gone"], "fn_index": number_of(app, "pixel"), "session_hash": "ana"}
    url = f"{API}/run/pixel"
    answer = app.http.post(url, json={**click, "event_data": {"y": 1, "x": 1}}, timeout=20)
    assert "was forgotten here" in answer.json()["data"][0]["error"]
    shown = result(app, "inside", [""], "ana")["data"][0]
    assert "Label" in shown
    upload = file_data(app.upload(png()))
    several = result(app, "several", [[upload], app.model, 0], "cleo")["data"]
    assert f"Busy: {MAX_QUEUE} photos are waiting. Try again " in several[0]
    told = result(app, "label", [file_data(app.upload(png())), app.model, 0], "ben")["data"]
    assert told[0]["text"].startswith(f"Busy: {MAX_QUEUE} photos are waiting. Try again ")


def test_three_times_as_many_as_may_wait_are_all_answered(app):
    outcomes = flood(app, 3 * MAX_QUEUE)
    kinds = [kind for kind, _ in outcomes]
    assert kinds.count("complete") == MAX_QUEUE + 1  # one at work
    assert kinds.count("error") == 2 * MAX_QUEUE - 1
    for kind, data in outcomes:
        if kind == "error":
            told = json.loads(data)["error"]
            assert told.startswith(f"Busy: {MAX_QUEUE} photos are waiting. Try again ")
    assert app.gate.calls == MAX_QUEUE + 1  # nothing was done for the others


def test_more_than_there_are_threads_are_all_answered(app):
    """Gradio holds back what it has no thread for; the refused leave theirs at once."""
    callers = server.threads_for(app.site.demo, app.site.demo.service.options) + 2 * MAX_QUEUE
    outcomes = flood(app, callers)
    assert len(outcomes) == callers
    assert [kind for kind, _ in outcomes].count("complete") == MAX_QUEUE + 1


def test_a_flood_beyond_gradios_queue_is_told_in_our_words(app, monkeypatch):
    monkeypatch.setattr(app.site.demo._queue, "max_size", 0)
    answer = app.call(app.upload(png()))
    assert answer.status_code == 429
    assert answer.json()["detail"].startswith("Busy: 0 photos are waiting. Try again ")
    assert answer.headers["retry-after"] == "10"


@pytest.mark.parametrize("name", ["label", "segment", "several"])
def test_who_leaves_gives_the_place_to_the_next(app, name, monkeypatch):
    monkeypatch.setattr("page.service.queue.sessions.AWAY_SECONDS", 0.3)
    upload = file_data(app.upload(png()))
    data = {
        "label": [upload, app.model, 0],
        "segment": [upload, ""],
        "several": [[upload], app.model, 0],
    }[name]
    session = f"leaver-{name}"
    app.gate.open.clear()
    body = {"data": data, "fn_index": number_of(app, name), "session_hash": session}
    assert app.http.post(f"{API}/queue/join", json=body).status_code == 200
    with app.http.stream("GET", f"{API}/queue/data?session_hash={session}") as stream:
        lines = stream.iter_lines()  # held, or the connection ends with it
        next(lines)
        wait_until(lambda: app.gate.inside == 1)
        assert app.site.scheduler._joined == 1
    wait_until(lambda: app.site.scheduler._joined == 0)  # the gate is still closed
    app.gate.open.set()
