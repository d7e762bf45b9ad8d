"""Runs that end badly, wait, or are stopped: clips, cameras, the classroom, and the tidying up."""

import asyncio
import logging
import re
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import page.tabs.label_handlers
from helpers import tiny
from page.http.server import _sweep
from page.options import Options
from page.service.labeling_service import LabelingService
from page.service.queue.sessions import Sessions
from page.storage.temp_files import TempFileCleaner
from page.tabs.camera_sessions import CameraSessions
from page.tabs.cancel_registry import ARRIVED, CancelRegistry
from page.tabs.clip_job import ClipJobs
from segmentation.video.ffmpeg import FfmpegProcess


@pytest.fixture
def service(tiny_program):
    return LabelingService(Options(model=str(tiny_program), device="cpu", clip_seconds=9.0))


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no imageio-ffmpeg here")
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    command = [ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i"]
    command += ["testsrc=s=320x240:r=10:d=9", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def said(step) -> str:
    return re.sub("<[^>]+>", "", step[0]).strip()


@pytest.mark.parametrize("within", [False, True])
def test_a_clip_whose_decoder_dies_is_an_error(service, film, tmp_path, monkeypatch, within):
    clips = ClipJobs(service, str(tmp_path), Sessions())
    read, frames = FfmpegProcess.read_exactly, []

    def read_some(child, count):
        frames.append(count)
        if len(frames) == 7:
            child._process.kill()
            child._process.wait()
            return read(child, count // 2) if within else read(child, count)
        return read(child, count)

    monkeypatch.setattr(FfmpegProcess, "read_exactly", read_some)
    last = list(clips.run(str(film), ""))[-1]
    assert "FFmpeg stopped" in said(last)
    assert not isinstance(last[1], str)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]  # nothing is delivered


def test_a_waiting_clip_is_not_tidied_away(service, tmp_path):
    clips = ClipJobs(service, str(tmp_path), Sessions())
    upload = tmp_path / "a" / "film.mp4"
    upload.parent.mkdir()
    upload.write_bytes(b"film")
    janitor = TempFileCleaner(tmp_path, 60, 1 << 20, queued=clips.files)
    seen = []

    def steps(file, model, request):
        janitor.sweep(time.time() + 4000)
        seen.append(upload.exists())
        yield "", None

    clips._until_stopped = steps
    list(clips.run(str(upload), ""))
    assert seen == [True]
    assert clips.files() == set()
    janitor.sweep(time.time() + 4000)
    assert not upload.exists()


def test_cameras_that_start_together_try_a_model_once(service, monkeypatch):
    live, tried = CameraSessions(service, 60), []
    plain = live._label

    def label(camera, image):
        tried.append(threading.get_ident())
        time.sleep(0.02)
        return plain(camera, image)

    monkeypatch.setattr(live, "_label", label)
    image = tiny.photo()
    cameras = [threading.Thread(target=live._try, args=(service.default, image)) for _ in range(6)]
    for one in cameras:
        one.start()
    while any(one.is_alive() for one in cameras):
        live._facts(service.default, service.segmenter(service.default), chosen=False)
    assert len(tried) == 2  # the second of two counts


def test_a_later_answer_is_later_after_a_restart_too():
    first = next(page.tabs.label_handlers._sequence)
    assert next(page.tabs.label_handlers._sequence) > first
    assert 0 < time.time() - first / 1e6 < 86400  # no clock that begins anew with the machine
    assert first < 2**53


def request(session: str, arrived: float):
    scope = {"path": "/gradio_api/queue/join", ARRIVED: arrived}
    return SimpleNamespace(session_hash=session, request=SimpleNamespace(scope=scope))


def test_a_stop_button_ends_what_runs_and_what_still_waits():
    stops, steps = CancelRegistry(), []

    def run(word):
        for number in range(5):
            steps.append(f"{word} {number}")
            yield f"{word} {number}"

    stoppable = stops.stoppable(run)
    assert stoppable.__name__ == "run"
    going = stoppable(request("ana", time.monotonic()), "a")
    other = stoppable(request("ben", time.monotonic()), "b")
    waits = stoppable(request("ana", time.monotonic()), "c")
    assert (next(going), next(other)) == ("a 0", "b 0")
    stops.stop(request("ana", 0.0))
    assert list(going) == []
    assert len(list(waits)) == 1  # an empty step: Gradio wants one
    assert list(other) == [f"b {number}" for number in range(1, 5)]
    assert not [step for step in steps if step.startswith("c")]
    again = stoppable(request("ana", time.monotonic()), "d")
    assert list(again) == [f"d {number}" for number in range(5)]


def test_tidying_up_goes_on_whatever_happens(monkeypatch, caplog):
    calls = []

    def fail():
        calls.append("sweep")
        raise ZeroDivisionError("a secret\nline")

    kept = SimpleNamespace(evict_expired=lambda: calls.append("forget"))
    demo = SimpleNamespace(service=SimpleNamespace(results=kept))
    site = SimpleNamespace(cleaner=SimpleNamespace(sweep=fail), demo=demo, sessions=Sessions())
    monkeypatch.setattr("page.http.server.SWEEP_SECONDS", 0.01)

    async def some_time():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_sweep(site), 0.5)

    with caplog.at_level(logging.ERROR):
        alone = threading.Thread(target=asyncio.run, args=(some_time(),))  # a browser has a loop
        alone.start()
        alone.join()
    assert calls.count("sweep") > 2
    assert calls.count("forget") > 2
    assert "cleaning up failed and will be tried again: ZeroDivisionError" in caplog.text
    assert "Traceback" not in caplog.text
