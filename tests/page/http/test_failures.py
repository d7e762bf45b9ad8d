"""Failures during a run, cancelled runs, and closing the page."""

import io
import json
import time

import pytest
import torch
from PIL import Image

from helpers import tiny
from helpers.inside import png, running_inside
from helpers.page_calls import ask_page, wait_until
from page import texts
from page.service.background import (
    CancelledError,
    DeadlineError,
    run_to_completion,
    run_with_progress,
)
from page.service.queue.sessions import Sessions
from segmentation import ImageError


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
        if kind == "error":  # else the result was cached
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
        assert (kind, json.loads(data)["error"]) == ("error", texts.CLOSING)
        assert app.call(path).status_code == 503
        app.gate.open.set()
        assert app.answer(first)[0] == "complete"  # it was running
