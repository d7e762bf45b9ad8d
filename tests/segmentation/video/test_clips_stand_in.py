"""Clips where the default's weights cannot be had: the built-in model answers, and says so."""

import logging
import re
import subprocess
from pathlib import Path

import pytest
import torch

import segmentation
from helpers.published import QUICK, publishing
from page.options import Options
from page.service.labeling_service import LabelingService
from page.service.queue.sessions import Sessions
from page.tabs.clip_job import ClipJobs
from segmentation import MODELS
from segmentation.models import registry

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no imageio-ffmpeg here")


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No weights but the built-in model's, and a publisher that has none either."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.delenv("PIXELWISE_WEIGHTS", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with publishing(b"") as publisher:
        publisher.mode = "missing"
        for name in (QUICK, "fcn_resnet50"):
            monkeypatch.setitem(MODELS, name, publisher.spec(name, digest="0123abcd"))
        yield publisher


@pytest.fixture
def film(tmp_path) -> Path:
    path = tmp_path / "film.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i"]
    command += ["testsrc=s=64x48:r=5:d=1", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def told(clips: ClipJobs, film: Path, model: str = "") -> tuple[str, str | None]:
    said, file = list(clips.run(str(film), model))[-1]
    return re.sub("<[^>]+>", "", said).strip(), file


@pytest.fixture
def clips(tmp_path, monkeypatch):
    service = LabelingService(Options(device="cpu"))
    monkeypatch.setattr(segmentation, "default_model", lambda device: QUICK)
    return ClipJobs(service, str(tmp_path), Sessions())


def test_the_built_in_model_answers_and_says_why(clips, film, caplog):
    assert clips.service.default == QUICK
    with caplog.at_level(logging.WARNING):
        said, file = told(clips, film)
    assert said.startswith("Done: 5 frames")
    assert said.endswith(f"Labelled by embedded. The weights of {QUICK} are not available.")
    assert Path(file).is_file()
    assert "server answered 404" in caplog.text  # the reason is for the owner's terminal


def test_a_broken_file_in_the_cache_is_no_obstacle(clips, film, tmp_path):
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / f"{QUICK}-0123abcd.pth").write_bytes(b"half")
    assert clips.service.is_ready(QUICK)
    assert "Labelled by embedded." in told(clips, film)[0]


def test_a_model_that_was_asked_for_by_name_is_not_replaced(clips, film):
    said, _ = told(clips, film, "fcn_resnet50")
    assert "Done" not in said
    assert "No weights for fcn_resnet50" in said


def test_without_a_built_in_model_the_reason_is_told(clips, film, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "EMBEDDED_FOLDER", tmp_path)
    assert f"No weights for {QUICK}" in told(clips, film)[0]
