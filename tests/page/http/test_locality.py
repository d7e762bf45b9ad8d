"""What visitors see of the server and can make it download: nothing, unless on this machine."""

import json
import logging
import socket

import pytest

import segmentation
from conftest import ROOT
from helpers.inside import API, file_data, png, running_inside
from page.main import _warm_up
from page.options import Options
from page.requests.locality import KEY, is_alone, request_locality
from page.service.error_messages import told, without_folders
from page.service.labeling_service import LabelingService
from segmentation import ImageError, ModelError, WeightsError

FAR = {"X-Forwarded-For": "192.0.2.7"}
ABSENT = "deeplabv3_resnet50"
SECRET = "no weights in /home/ana/.cache/torch/hub: put them into /srv/lab-7/weights"


@pytest.fixture
def fetched(monkeypatch):
    """No weights exist; yields the names of models whose download was tried."""
    names = []

    def fetch(spec, progress):
        names.append(spec.name)
        raise WeightsError(SECRET)

    monkeypatch.setattr(segmentation, "find_weights", lambda spec: None)
    monkeypatch.setattr(segmentation, "fetch_weights", fetch)
    return names


@pytest.fixture
def app(tiny_program, tmp_path, fetched):
    with running_inside(tiny_program, tmp_path / "cache") as app:
        yield app


def choices(config):
    """Return all choices of a page's menus."""
    found = set()
    for component in config["components"]:
        for menu in ("choices", "models"):
            found |= {one[1] for one in component["props"].get(menu) or () if len(one) == 2}
    return found


def segment(app, model, headers):
    call = {"data": [file_data(app.upload(png())), model]}
    event = app.http.post(f"{API}/call/segment", json=call, headers=headers).json()["event_id"]
    return app.answer(event)


def test_models_to_be_fetched_are_offered_at_home_alone(app, fetched):
    assert {ABSENT, "colour_net.pt2", "embedded"} <= choices(app.http.get("/config").json())
    page = app.http.get("/", headers=FAR).text
    assert ABSENT not in page
    assert "embedded" in page
    there = choices(app.http.get("/config", headers=FAR).json())
    assert ABSENT not in there
    assert {"colour_net.pt2", "embedded"} <= there
    said = app.http.get(f"{API}/info", headers=FAR).text
    assert "Models here: colour_net.pt2, embedded." in said
    assert ABSENT not in said
    assert ABSENT in app.http.get("/").text  # the page on this machine is unchanged


def test_a_stranger_makes_the_server_fetch_nothing(app, fetched):
    for model in (ABSENT, "fcn_resnet101"):
        kind, data = segment(app, model, FAR)
        assert kind == "error"
        assert "There is no model" in data
        assert "Choose one of: colour_net.pt2, embedded." in data
    for path in ("/live/start?model=" + ABSENT,):
        reply = app.http.post(path, content=png(), headers=FAR)
        assert reply.status_code == 422
        assert "There is no model" in reply.json()["text"]
    number = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "label")
    data = [file_data(app.upload(png())), ABSENT, 0]
    call = {"data": data, "fn_index": number, "session_hash": "far"}
    assert app.http.post(f"{API}/queue/join", json=call, headers=FAR).status_code == 200
    with app.http.stream("GET", f"{API}/queue/data?session_hash=far", headers=FAR) as stream:
        assert any("There is no model" in line for line in stream.iter_lines())
    assert fetched == []
    assert segment(app, ABSENT, {})[0] == "error"
    assert fetched == [ABSENT]  # a visitor on this machine may


def test_a_reason_is_told_at_home_and_in_the_log_alone(app, fetched, caplog, monkeypatch):
    def fail(*_):
        raise WeightsError(SECRET)

    app.gate.instead = fail
    with caplog.at_level(logging.ERROR):
        kind, data = segment(app, "", FAR)
    assert (kind, json.loads(data)["error"]) == (
        "error",
        "The weights of this model could not be fetched. Try again later.",
    )
    assert "/srv/lab-7/weights" in caplog.text
    assert "/srv/lab-7/weights" in segment(app, "", {})[1]


def test_nothing_of_the_server_is_in_what_a_visitor_gets(app):
    secrets = [str(ROOT), socket.gethostname(), "site-packages"]
    said = [app.http.get(path, headers=FAR).text for path in ("/", "/config", f"{API}/info")]
    said += [app.http.get(path, headers=FAR).text for path in ("/x", f"{API}/file=/etc/passwd")]
    said += [segment(app, model, FAR)[1] for model in ("", "nonesuch", "/etc/passwd", "a/b.pt2")]
    for text in said:
        assert not [one for one in secrets if len(one) > 5 and one in text]


@pytest.mark.parametrize(
    ("options", "alone"),
    [
        ({}, True),
        ({"host": "127.0.0.1"}, True),
        ({"host": "localhost"}, True),
        ({"host": "::1"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "::"}, False),
        ({"host": "192.168.1.7"}, False),
        ({"share": True}, False),
        ({"host": "127.0.0.1", "share": True}, False),
    ],
)
def test_a_page_for_this_machine_alone(monkeypatch, options, alone):
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SHARE", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    assert is_alone(Options(**options)) is alone
    monkeypatch.setenv("SPACE_ID", "ana/pixelwise")
    assert not is_alone(Options(**options))


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ({}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "offer_downloads": True}, True),
    ],
)
def test_the_owner_can_offer_downloads(fetched, tiny_program, options, offered):
    service = LabelingService(Options(model=str(tiny_program), device="cpu", **options))
    assert (ABSENT in service.model_names()) is offered
    assert service.model_names()[0] == service.default


def test_the_default_is_fetched_at_the_start_and_a_stranger_cannot_repeat_it(fetched, monkeypatch):
    service = LabelingService(Options(model=ABSENT, device="cpu", host="0.0.0.0"))
    site = type("Site", (), {"demo": type("Demo", (), {"service": service})})
    site.first_page_served = type("Seen", (), {"wait": staticmethod(lambda seconds: True)})
    monkeypatch.setattr(service, "warm_up", lambda: None)
    _warm_up(site)
    assert service.downloads.get(ABSENT).finished.wait(5)
    with request_locality({KEY: False}):
        assert service.model_names() == [ABSENT, "embedded"]
        for _ in range(3):
            service.segment(png(), "")  # by the built-in model
            assert service.downloads.start(ABSENT).finished.wait(5)
    assert fetched == [ABSENT]
    service.downloads.start(ABSENT).finished.wait(5)
    assert fetched == [ABSENT] * 2


def test_what_is_told_of_an_error():
    log = logging.getLogger("test")
    with request_locality({KEY: False}):
        assert told(log, WeightsError(SECRET)) == (
            "The weights of this model could not be fetched. Try again later."
        )
        assert "ana" not in told(log, ModelError("/home/ana/x.pt2 is broken"))
        assert told(log, ImageError("'a.png' is text")) == "'a.png' is text"
        assert told(log, ImageError("cannot read /tmp/x/a.png: cut")) == "Cannot read a.png: cut"
    with request_locality({KEY: True}):
        assert told(log, WeightsError(SECRET)) == SECRET[:1].upper() + SECRET[1:]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("file:/tmp/ab/clip.mp4: Invalid data", "clip.mp4: Invalid data"),
        ("'/home/ana/a.png' and /srv/x", "'a.png' and x"),
        (r"no C:\Users\ana\a.png here", "no a file here"),
        ("rows 3/4 of 1/2, 20 s/photo", "rows 3/4 of 1/2, 20 s/photo"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_folders_are_not_told(text, shown):
    assert without_folders(text) == shown
