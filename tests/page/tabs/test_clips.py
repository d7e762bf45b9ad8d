"""Clips on the page, without a browser: progress, turns, who leaves, what is told."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from page.options import Options
from page.service.labeling_service import LabelingService
from page.service.queue.sessions import Sessions
from page.tabs.clip_job import CLIP, MAX_CLIPS, ClipJobs

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no imageio-ffmpeg here")


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / "my film.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i"]
    command += ["testsrc=s=128x96:r=10:d=3", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.fixture
def clips(tiny_program, tmp_path):
    service = LabelingService(Options(model=str(tiny_program), device="cpu", clip_seconds=4.0))
    return ClipJobs(service, str(tmp_path), Sessions())


def files(folder: str) -> list[str]:
    return [path.name for path in Path(folder).rglob("*")]


def test_a_clip_is_labelled_with_progress(clips, film):
    steps = list(clips.run(str(film), ""))
    told = [re.sub("<[^>]+>", "", said).strip() for said, _ in steps]
    assert told[0] == "Looking at the clip …"
    assert "Labelling frame 1 of 30 …" in told
    assert told[-1].startswith("Done: 30 frames, 128 × 96 px, 10 frames a second, no sound in it.")
    assert told[-1].endswith("Labelled by colour_net.")
    assert Path(steps[-1][1]).name == "my_film_labels.mp4"
    assert Path(steps[-1][1]).is_relative_to(clips.cache)


def test_every_frame_takes_a_turn(clips, film, monkeypatch):
    turns = []
    line = clips.service.scheduler
    slot = line.slot

    def counted(model, *args, **options):
        turns.append((model, options["counts_in_position"], len(line)))
        return slot(model, *args, **options)

    monkeypatch.setattr(line, "slot", counted)
    list(clips.run(str(film), ""))
    assert turns == [(CLIP, False, 0)] * 30


def test_who_leaves_leaves_nothing_behind(clips, film):
    steps = clips.run(str(film), "")
    while "of 30" not in next(steps)[0]:
        pass
    steps.close()
    with clips._at_work:  # the frame at work ends first
        assert files(clips.cache) == []
    assert list(clips.run(str(film), ""))[-1][0].count("Done") == 1


def test_errors_are_sentences(clips, film, tmp_path, monkeypatch):
    def last(file: object) -> str:
        return list(clips.run(file, ""))[-1][0]

    assert "Choose a clip first." in last(None)
    words = tmp_path / "words.mp4"
    words.write_text("dear diary")
    assert "This file is not a readable clip" in last(str(words))
    words.unlink()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert "pip install imageio-ffmpeg" in last(str(film))
    assert files(clips.cache) == []


def test_the_limits_are_the_pages_own(clips, film):
    object.__setattr__(clips.service.options, "clip_seconds", 1.0)
    assert "lasts 3.0 s; at most 1 s are allowed" in list(clips.run(str(film), ""))[-1][0]
    object.__setattr__(clips.service.options, "max_upload_mb", 10.0)
    assert "At most 1 s and 10 MB" in clips.rules()


def test_too_many_are_turned_away_and_the_next_is_told_to_wait(clips, film):
    for _ in range(MAX_CLIPS):
        clips._here.acquire()
    assert "Busy: 4 clips" in list(clips.run(str(film), ""))[-1][0]
    clips._here.release()
    with clips._at_work:
        steps = clips.run(str(film), "")
        while "yours is next" not in next(steps)[0]:
            pass
    assert "Done" in list(steps)[-1][0]
