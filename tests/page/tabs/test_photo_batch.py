"""Several photos at once, as the page answers them; the last one in a browser."""

import html
import io
import json
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segmentation
from helpers import tiny
from helpers.inside import file_data, png, running_inside
from helpers.schemas import check
from page import texts
from page.options import Options
from page.service.labeling_service import LabelingService
from page.service.result_cache import SHARPER
from page.tabs import photo_batch_job as module
from page.tabs.photo_batch_job import MAX_PHOTOS, RUNS_AT_ONCE, PhotoBatch
from segmentation import read_indexed_png
from segmentation.export.contact_sheet import caption

STATUS, SHEET, ZIP, START, STOP = range(5)


class Request:
    """As much of `gr.Request` as the handlers look at."""

    def __init__(self, session: str = "ana") -> None:
        self.session_hash = session
        self.request = self
        self.scope = {"path": "/gradio_api/queue/join"}


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def several(tiny_program, cache):
    service = LabelingService(Options(model=str(tiny_program), device="cpu"))
    service.segmenter(service.default)  # torch reads one program at a time, and some tests leave
    return PhotoBatch(service, str(cache))


@pytest.fixture
def uploads(tmp_path):
    """Three photos, the second one broken, the third one of the first one's name."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "a").write_bytes(png(pnginfo=None))
    (folder / "b").write_text("dear diary")
    Image.fromarray(tiny.photo(64, 96)).save(folder / "c", "PNG")
    names = ("sun & moon.png", "diary.jpg", "SUN & MOON.jpg")
    return [(str(folder / path), name) for path, name in zip("abc", names, strict=True)]


def facts_of(path: str) -> dict:
    with zipfile.ZipFile(path) as archive:
        facts = json.loads(archive.read("facts.json"))
    check("several", facts)
    return facts


def test_each_photo_is_labelled_or_told_by_name(several, uploads, tiny_program):
    *steps, last = several.run(uploads, "", 0, Request())
    said = [step[STATUS] for step in steps]
    assert "1 of 3: next" in said[0]
    assert any("3 of 3: Labelling every pixel" in text for text in said)
    assert {step[STOP]["visible"] for step in steps} == {True}
    assert "Done: 2 photos are labelled, of 3." in last[STATUS]
    assert "<li>diary.jpg: " in last[STATUS]
    assert "is text, not a picture" in last[STATUS]
    here = segmentation.load(tiny_program, device="cpu")
    assert [text for _, text in last[SHEET]["value"]] == [
        f"{name}: {caption(here.predict(path))}" for path, name in uploads[::2]
    ]
    assert np.asarray(Image.open(last[SHEET]["value"][1][0])).shape == (64, 96, 3)
    facts = facts_of(last[ZIP]["value"])
    assert [one["image"] for one in facts["photos"]] == ["sun _ moon", "SUN _ MOON_2"]
    assert [one["image"] for one in facts["failed"]] == ["diary"]
    with zipfile.ZipFile(last[ZIP]["value"]) as archive:
        for stem, (path, _) in zip(("sun _ moon", "SUN _ MOON_2"), uploads[::2], strict=True):
            labels = read_indexed_png(archive.read(f"{stem}_labels.png"))
            np.testing.assert_array_equal(labels, here.predict(path).class_map)
    assert (last[START]["interactive"], last[STOP]["visible"]) == (True, False)


def test_a_model_without_a_sharper_size_says_so_once(several, uploads):
    *_, last = several.run(uploads, "", SHARPER, Request())
    assert last[STATUS].count(html.escape(texts.NOT_SHARPER)) == 1
    *_, last = several.run(uploads, "", 0, Request())
    assert html.escape(texts.NOT_SHARPER) not in last[STATUS]


def test_nothing_but_the_answer_is_left_behind(several, uploads, cache):
    *_, last = several.run(uploads, "", 0, Request())
    left = {path for path in cache.rglob("*") if path.is_file()}
    assert left == {Path(last[ZIP]["value"]), *(Path(path) for path, _ in last[SHEET]["value"])}
    from gradio.processing_utils import save_file_to_cache

    assert save_file_to_cache(last[ZIP]["value"], str(cache)) == last[ZIP]["value"]  # no copy
    assert not several._stops._running


def test_no_metadata_of_an_upload_is_in_the_zip(several, tmp_path):
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "secret place", "secret person"
    path = tmp_path / "photo"
    Image.fromarray(tiny.photo()).save(path, "JPEG", exif=exif, comment=b"secret word")
    *_, last = several.run([(str(path), "photo.jpg")], "", 0, Request())
    with zipfile.ZipFile(last[ZIP]["value"]) as archive:
        for name in archive.namelist():
            assert b"secret" not in archive.read(name)
        overlay = Image.open(io.BytesIO(archive.read("photo_overlay.jpg")))
        assert not overlay.getexif()
    assert b"secret" not in Path(last[SHEET]["value"][0][0]).read_bytes()


def test_without_photos_it_says_so(several):
    (last,) = several.run(None, "", 0, Request())
    assert "Choose some photos first" in last[STATUS]


def test_more_than_a_handful_are_told(several, uploads):
    *_, last = several.run([uploads[0]] * (MAX_PHOTOS + 2), "", 0, Request())
    assert f"Done: {MAX_PHOTOS} photos are labelled." in last[STATUS]
    assert last[STATUS].count(f"Only {MAX_PHOTOS} photos at a time") == 2
    assert len(facts_of(last[ZIP]["value"])["failed"]) == 2


def test_none_good_gives_no_zip(several, uploads):
    *_, last = several.run([uploads[1]], "", 0, Request())
    assert "Done: 0 photos are labelled, of 1." in last[STATUS]
    assert (last[ZIP]["visible"], last[SHEET]["visible"]) == (False, False)


def test_stopping_keeps_what_was_labelled(several, uploads):
    run = several.run([uploads[0], *[uploads[2]] * 5], "", 0, Request())
    for step in run:
        if "2 of 6" in step[STATUS]:
            break
    several.stop(Request("somebody else"))
    several.stop(Request())
    *_, last = run
    assert "Stopped: 1 photo is labelled, of 6." in last[STATUS]
    assert len(facts_of(last[ZIP]["value"])["photos"]) == 1


def test_who_leaves_frees_everything(several, uploads, cache):
    run = several.run(uploads, "", 0, Request())
    next(run)
    run.close()
    assert not several._stops._running
    assert not [path for path in cache.rglob("*") if path.is_file()]
    for _ in range(RUNS_AT_ONCE + 1):  # each place is free again
        next(run := several.run(uploads, "", 0, Request()))
        run.close()


def test_who_has_left_ends_the_run(several, uploads, monkeypatch):
    monkeypatch.setattr(several.sessions, "has_disconnected", lambda session: True)
    steps = list(several.run(uploads, "", 0, Request()))
    assert not any("Done" in step[STATUS] for step in steps)
    assert not several._stops._running


def test_few_visitors_do_so_at_once(several, uploads):
    runs = [several.run(uploads, "", 0, Request(f"v{n}")) for n in range(RUNS_AT_ONCE)]
    for run in runs:
        next(run)
    (last,) = several.run(uploads, "", 0, Request("late"))
    assert f"Busy: {RUNS_AT_ONCE} visitors" in last[STATUS]
    for run in runs:
        run.close()


def test_a_photo_that_takes_too_long_is_told_and_the_others_go_on(several, uploads, monkeypatch):
    real, slow, end = several.service.work, threading.Event(), threading.Event()

    def work(ticket, progress):
        if not slow.is_set():
            slow.set()
            end.wait(30)
        return real(ticket, progress)

    monkeypatch.setattr(several.service, "work", work)
    several.service.time_limit = 0.5
    run = several.run([uploads[0], uploads[2]], "", 0, Request())
    for step in run:
        if "took more than 0.5 s" in step[STATUS]:
            several.service.time_limit = 60.0
            end.set()
    assert "Done: 1 photo is labelled, of 2." in step[STATUS]


def test_photos_that_wait_stay_young(several, uploads, monkeypatch):
    import os

    for path, _ in uploads:
        os.utime(path, (1, 1))
    monkeypatch.setattr(module, "TOUCH_SECONDS", 0.0)
    for step in several.run(uploads, "", 0, Request()):
        if "1 of 3: Labelling" in step[STATUS]:
            break
    assert all(Path(path).stat().st_mtime > 1e9 for path, _ in uploads)


def test_the_room_of_a_zip_is_bounded(several, uploads):
    several.max_zip_bytes = 4000
    *_, last = several.run([uploads[0]] * 3, "", 0, Request())
    assert "The ZIP is full at" in last[STATUS]
    assert Path(last[ZIP]["value"]).stat().st_size < 12_000


def test_it_waits_in_the_line_of_the_network_and_only_uploads_can_be_named(
    tiny_program, tmp_path, uploads
):
    with running_inside(tiny_program, tmp_path / "cache", max_queue=2) as app:
        demo = app.site.demo
        number = next(n for n, fn in demo.fns.items() if fn.api_name == "several")
        assert demo.fns[number].concurrency_limit is None  # `Scheduler.join` has the limit
        call = {"fn_index": number, "session_hash": "x"}
        data = [[file_data(uploads[0][0])], app.model, 0]
        answer = app.http.post("/gradio_api/queue/join", json={**call, "data": data})
        assert answer.status_code == 403


# --- in a browser ----------------------------------------------------------------------------


def open_room(page, url, files) -> None:
    page.goto(url)
    page.get_by_role("tab", name="Several").click()
    page.wait_for_selector("#several-photos input[type=file]", state="attached")
    page.set_input_files("#several-photos input[type=file]", files)


@pytest.fixture
def files(tmp_path):
    """A large photo, a broken one, a small one."""
    Image.fromarray(tiny.photo()).save(tmp_path / "large one.png")
    (tmp_path / "broken.jpg").write_text("dear diary")
    Image.fromarray(tiny.photo(64, 96)).save(tmp_path / "small.png")
    return [tmp_path / name for name in ("large one.png", "broken.jpg", "small.png")]


@pytest.mark.browser
def test_three_photos_become_a_sheet_and_a_zip(page, app_url, files, tiny_program):
    open_room(page, app_url, files)
    page.wait_for_function("document.querySelectorAll('#several-photos .file').length == 3")
    page.click("#several-start")
    page.wait_for_selector("#several-zip:visible")
    status = page.locator("#several-status").inner_text()
    assert "Done: 2 photos are labelled, of 3." in status
    assert "broken.jpg" in status
    pictures = page.locator("#several-sheet .gallery-item img")
    here = segmentation.load(tiny_program, device="cpu")
    assert [one.get_attribute("alt") for one in pictures.all()] == [
        f"{file.name}: {caption(here.predict(file))}" for file in files[::2]
    ]
    with page.expect_download() as download:
        page.click("#several-zip")
    assert download.value.suggested_filename == "pixelwise.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        check("several", json.loads(archive.read("facts.json")))
        for stem, file in (("large one", files[0]), ("small", files[2])):
            labels = read_indexed_png(archive.read(f"{stem}_labels.png"))
            np.testing.assert_array_equal(labels, here.predict(file).class_map)


@pytest.mark.browser
def test_photos_dropped_anywhere_on_the_open_tab_are_taken(page, app_url):
    page.goto(app_url)
    page.get_by_label("Example photo: Cat").wait_for()  # the page's own script runs
    page.get_by_role("tab", name="Several").click()
    page.wait_for_selector("#several-photos input[type=file]", state="attached")
    page.evaluate(
        """async () => {
            const transfer = new DataTransfer();
            for (const colour of ["#00f", "#f00"]) {
                const canvas = new OffscreenCanvas(60, 40);
                const paint = canvas.getContext("2d");
                paint.fillStyle = colour;
                paint.fillRect(0, 0, 60, 40);
                const name = `${colour.slice(1)}.png`;
                transfer.items.add(
                    new File([await canvas.convertToBlob()], name, {type: "image/png"}));
            }
            document.querySelector("#several-intro").dispatchEvent(
                new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }"""
    )
    page.wait_for_function("document.querySelectorAll('#several-photos .file').length == 2")
    page.click("#several-start")
    page.wait_for_selector("#several-zip:visible")
    alts = [one.get_attribute("alt") for one in page.locator("#several-sheet img").all()]
    assert alts == ["00f.png: dog 100\u00a0%", "f00.png: person 100\u00a0%"]


@pytest.mark.browser
def test_it_fits_on_a_phone(browser, app_url, files):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    open_room(page, app_url, files[::2])
    page.wait_for_function("document.querySelectorAll('#several-photos .file').length == 2")
    page.click("#several-start")
    page.wait_for_selector("#several-zip:visible")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
