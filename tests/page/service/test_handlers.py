"""What the page is told, without a browser."""

import re
import threading
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

import segmentation
from helpers import tiny
from page import texts
from page.components.labelled_example import KEY
from page.components.photo_input import UploadedPhoto
from page.options import Options
from page.requests.locality import request_locality
from page.service.labeling_service import LabelingService
from page.service.models.downloads import Download
from page.tabs.label_handlers import Handlers
from page.tabs.model_menu import first_choice, hidden_choices, offered_model
from segmentation import WeightsError


@pytest.fixture
def photo_file(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(tiny.photo()).save(path)
    return str(path)


@pytest.fixture
def handlers(tiny_program, tmp_path):
    service = LabelingService(Options(model=str(tiny_program), device="cpu"))
    return Handlers(service, str(tmp_path / "cache"))


def test_no_photo_changes_nothing(handlers):
    (values,) = handlers.label(None, "", 0)
    assert values == (gr.skip(),) * 6


def test_a_photo_gives_steps_and_then_the_value(handlers, photo_file):
    *steps, last = handlers.label(photo_file, "", 0)
    assert {step[0]["status"] for step in steps} == {"working"}
    value, chip, facts, key = last[:4]
    assert value["id"] == key
    assert value["source"] == photo_file
    assert re.search(r"<span>colour_net · \d+\.\d s</span>", chip)
    assert (value["height"], value["width"]) == (128, 192)
    assert value["categories"][tiny.CAT]["name"] == "cat"
    assert facts.startswith("<strong>colour_net</strong> on cpu in float32 · 128 × 192 px · ")


def test_later_values_have_later_numbers(handlers, photo_file):
    first, second = (list(handlers.label(photo_file, "", 0))[-1][0]["seq"] for _ in range(2))
    assert second > first


def test_an_error_of_ours_is_told_in_its_words(handlers, tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    *_, last = handlers.label(str(path), "", 0)
    assert last[0]["status"] == "error"
    assert "is empty" in last[0]["text"]


def test_an_error_not_ours_is_told_without_its_words(handlers, photo_file, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise RuntimeError("<script>secret</script>")

    monkeypatch.setattr(handlers.service, "work", fail)
    *_, last = handlers.label(photo_file, "", 0)
    assert last[0] == {"status": "error", "text": texts.INTERNAL_ERROR, "source": photo_file}
    assert "secret" in caplog.text  # the log has it


def test_a_forgotten_result_is_told(handlers):
    assert handlers.pixel("unknown", None) == {"error": texts.FORGOTTEN}


def test_file_names_cannot_write_into_the_page(handlers, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    path.write_text("no picture")
    *_, last = handlers.label(str(path), "", 0)
    assert last[0]["status"] == "error"  # the viewer shows it as text, never as HTML


def test_the_photo_goes_back_only_where_the_browser_cannot_show_it(handlers, photo_file):
    shown, unseen = UploadedPhoto(photo_file), UploadedPhoto(photo_file)
    shown.is_shown = True
    values = [list(handlers.label(photo, "", 0))[-1][0] for photo in (shown, unseen)]
    assert values[0]["photo"] is None
    assert values[1]["photo"]["path"].endswith("photo.jpg")
    assert values[0]["labels"]["path"] == values[1]["labels"]["path"]


def test_a_cancelled_photo_ends_quietly(handlers, photo_file, monkeypatch):
    page = SimpleNamespace(scope={"path": "/gradio_api/queue/join"})
    request = SimpleNamespace(session_hash="abc", request=page)
    started, ended = threading.Event(), threading.Event()

    def work(turn, progress):
        started.set()
        while not ended.wait(0.01):
            progress("still at it …")

    monkeypatch.setattr(handlers.service, "work", work)
    steps = handlers.label(photo_file, "", 0, request)
    seen = []
    for step in steps:
        seen.append(step)
        if started.is_set():
            handlers.cancel(request)
    ended.set()
    assert seen[-1] == (gr.skip(),) * 6
    assert not any(isinstance(one[0], dict) and one[0].get("status") == "error" for one in seen)


def test_a_pixel_of_the_example_needs_no_result(handlers):
    bars = handlers.pixel("", SimpleNamespace(id=KEY, y=150, x=250))
    assert bars["bars"][0]["name"] == "dog"
    assert handlers.pixel("", SimpleNamespace(id=KEY, y=-1, x=0)) == {"error": texts.FORGOTTEN}


def test_a_pixel_of_another_picture_than_the_one_that_shows_is_not_answered(handlers, photo_file):
    *_, last = handlers.label(photo_file, "", 0)
    other = SimpleNamespace(id="another", y=1, x=1)
    assert handlers.pixel(last[3], other) == {"error": texts.FORGOTTEN}


def test_words_of_a_download():
    download = Download("deeplabv3_resnet50", 10_000_000, 160_000_000)
    assert texts.download_note(download) == ("Fetching the larger model: 10 of 160 MB …")
    download.finished.set()
    assert texts.download_note(download) == "The larger model is here."
    download.error = WeightsError("looked in <here>")
    assert texts.download_note(download) == (
        "The larger model could not be fetched."
        "<details><summary>Why, and what to do</summary>Looked in &lt;here&gt;</details>"
    )
    assert texts.download_note(download, why=False) == (
        "The larger model could not be fetched. Try again later."
    )


@pytest.fixture
def absent(tiny_program, tmp_path, monkeypatch):
    """Handlers of a page whose default is still to be fetched, and what lets it arrive."""
    go, real_load, here = threading.Event(), segmentation.load, []

    def fetch(spec, progress):
        go.wait(10)
        here.append(spec)

    monkeypatch.setattr(segmentation, "find_weights", lambda spec: here or None)
    monkeypatch.setattr(segmentation, "fetch_weights", fetch)
    monkeypatch.setattr(segmentation, "has_embedded", lambda: True)
    monkeypatch.setattr(segmentation, "load", lambda *a, **k: real_load(str(tiny_program)))
    service = LabelingService(Options(model="fcn_resnet50", device="cpu"))
    return Handlers(service, str(tmp_path / "cache")), go


def test_the_built_in_model_answers_while_a_larger_one_is_fetched(absent, photo_file):
    handlers, go = absent
    *_, last = handlers.label(photo_file, "", 0)
    note, timer = last[4:]
    assert note == "Fetching the larger model: 0 MB …"
    assert timer["active"] is True
    assert "fcn_resnet50 is not on this machine yet" in last[2]
    go.set()


def test_a_larger_model_answers_by_itself_once_it_is_here(absent):
    handlers, go = absent
    service = handlers.service
    assert first_choice(service) == "embedded"
    ((offer, choice),) = offered_model(service)
    assert offer == "Fetch a larger model (142 MB, once): slower, and it knows more"
    assert hidden_choices(service)["larger"] == {
        f"fetch:{name}" for name in service.pool.names() if service.is_ready(name)
    }
    assert "fcn_resnet50" in hidden_choices(service)["model"]
    note, timer = handlers.fetch(choice)
    assert (note, timer["active"]) == ("Fetching the larger model: 0 MB …", True)
    assert handlers.watch_download(choice)[2:] == (gr.skip(), gr.skip())
    go.set()
    assert service.downloads.get("fcn_resnet50").finished.wait(5)
    note, timer, menu, offer = handlers.watch_download(choice)
    assert (note, timer["active"]) == ("The larger model is here.", False)
    assert menu["value"] == "fcn_resnet50"
    assert offer["choices"] == []
    assert "fcn_resnet50" not in hidden_choices(service)["model"]
    assert choice in hidden_choices(service)["larger"]


def test_a_larger_model_that_could_not_be_fetched_can_be_wanted_again(absent, monkeypatch):
    def fail(spec, progress):
        raise WeightsError("looked in /home/ana")

    monkeypatch.setattr(segmentation, "fetch_weights", fail)
    handlers, _ = absent
    choice = offered_model(handlers.service)[0][1]
    handlers.fetch(choice)
    assert handlers.service.downloads.get("fcn_resnet50").finished.wait(5)
    note, timer, menu, offer = handlers.watch_download(choice)
    assert note.startswith("The larger model could not be fetched.<details>")
    assert (timer["active"], menu, offer["value"]) == (False, gr.skip(), None)
    with request_locality({}):
        note = handlers.watch_download(choice)[0]
    assert note == "The larger model could not be fetched. Try again later."


def test_nothing_is_offered_where_nothing_may_be_fetched(absent):
    handlers, go = absent
    with request_locality({}):  # by somebody elsewhere
        hidden = hidden_choices(handlers.service)
    assert offered_model(handlers.service)[0][1] in hidden["larger"]
    go.set()
