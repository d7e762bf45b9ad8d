"""What the page is told, without a browser."""

import threading

import pytest
from PIL import Image

import segmentation
from helpers import tiny
from page import texts
from page.options import Options
from page.service.labeling_service import LabelingService
from page.service.models.downloads import Download
from page.tabs.label_handlers import Handlers
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


def test_no_photo_empties_the_page(handlers):
    ((value, facts, key, note, offer, timer),) = handlers.label(None, "", 0)
    assert (value, facts, key, note) == (None, "", "", "")
    assert offer["visible"] is False
    assert timer["active"] is False


def test_a_photo_gives_steps_and_then_the_value(handlers, photo_file):
    *steps, last = handlers.label(photo_file, "", 0)
    assert {step[0]["status"] for step in steps} == {"working"}
    value, facts, key = last[:3]
    assert value["id"] == key
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
    assert last[0] == {"status": "error", "text": texts.INTERNAL_ERROR}
    assert "secret" in caplog.text  # the log has it


def test_a_forgotten_result_is_told(handlers):
    assert handlers.pixel("unknown", None) == {"error": texts.FORGOTTEN}


def test_file_names_cannot_write_into_the_page(handlers, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    path.write_text("no picture")
    *_, last = handlers.label(str(path), "", 0)
    assert last[0]["status"] == "error"  # the viewer shows it as text, never as HTML


def test_words_of_a_download():
    download = Download("deeplabv3_resnet50", 10_000_000, 160_000_000)
    assert texts.download_note(download) == (
        "Downloading the weights of deeplabv3_resnet50: 10 of 160 MB …"
    )
    download.finished.set()
    assert texts.download_note(download) == "The weights of deeplabv3_resnet50 are here."
    assert texts.run_again(download) == "Run this photo again with deeplabv3_resnet50"
    download.error = WeightsError("looked in <here>")
    assert texts.download_note(download) == (
        "The weights of deeplabv3_resnet50 could not be fetched."
        "<details><summary>Why, and what to do</summary>Looked in &lt;here&gt;</details>"
    )
    assert texts.run_again(download) == "Try again to fetch deeplabv3_resnet50"


def test_the_offer_appears_when_the_better_model_is_ready(
    tiny_program, tmp_path, photo_file, monkeypatch
):
    go, real_load = threading.Event(), segmentation.load
    monkeypatch.setattr(segmentation, "find_weights", lambda spec: None)
    monkeypatch.setattr(segmentation, "fetch_weights", lambda spec, progress: go.wait(10))
    monkeypatch.setattr(segmentation, "has_embedded", lambda: True)
    monkeypatch.setattr(segmentation, "load", lambda *a, **k: real_load(str(tiny_program)))
    service = LabelingService(Options(model="fcn_resnet50", device="cpu"))
    handlers = Handlers(service, str(tmp_path / "cache"))
    *_, last = handlers.label(photo_file, "", 0)
    note, offer, timer = last[3:]
    assert note == "Downloading the weights of fcn_resnet50: 0 MB …"
    assert offer["visible"] is False
    assert timer["active"] is True
    assert "fcn_resnet50 is not on this machine yet" in last[1]
    go.set()
    assert service.downloads.get("fcn_resnet50").finished.wait(5)
    note, offer, timer = handlers.watch_download("fcn_resnet50")
    assert offer["visible"] is True
    assert offer["value"] == "Run this photo again with fcn_resnet50"
    assert timer["active"] is False
