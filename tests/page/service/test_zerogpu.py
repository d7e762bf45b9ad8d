"""A GPU that is lent on Hugging Face's ZeroGPU, with a package that forks and pickles as theirs."""

import os
import subprocess
import sys

import numpy as np
import pytest

import segmentation
from helpers import tiny
from helpers.server import ROOT
from page.options import Options
from page.service.labeling_service import LabelingService
from page.service.models import zerogpu, zerogpu_predictor
from segmentation import ImageError

FAKE = str(ROOT / "tests" / "helpers" / "fake")


@pytest.fixture
def spaces(monkeypatch):
    """As on a ZeroGPU Space."""
    monkeypatch.syspath_prepend(FAKE)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr(zerogpu_predictor, "DEVICE", "cuda")  # and back to it afterwards
    import spaces

    yield spaces
    spaces.end()
    spaces.GPU.quota = None
    spaces.calls.clear()
    del sys.modules["spaces"]


def test_everywhere_else_a_function_stays_as_it_is(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert zerogpu.gpu(len) is len
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")  # and no such package
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert zerogpu.gpu(len) is len


def test_a_photo_is_labelled_in_another_process(spaces, tiny_program):
    service = LabelingService(Options(model=str(tiny_program)))
    photo = segmentation.Photo(tiny.photo())
    answers = [service.segment(photo, size=size).result for size in (None, 96)]
    here = segmentation.load(tiny_program, device="cpu")
    for result, size in zip(answers, (None, 96), strict=True):
        np.testing.assert_array_equal(
            result.class_map, here.predict(tiny.photo(), size=size).class_map
        )
    (first, *_), (second, duration, recipe, *_) = spaces.calls
    assert first == second != os.getpid()  # the process and its network are kept
    assert duration == zerogpu.SECONDS
    assert recipe.name == str(tiny_program)


def test_this_process_keeps_to_the_processor(spaces, tiny_program):
    service = LabelingService(Options(model=str(tiny_program), device="auto"))
    assert service.segmenter(str(tiny_program)).model.device.type == "cpu"
    assert LabelingService(Options()).default == segmentation.default_model("cpu")


def test_without_quota_the_processor_labels(spaces, tiny_program, caplog):
    spaces.GPU.quota = 0
    service = LabelingService(Options(model=str(tiny_program)))
    result = service.segment(segmentation.Photo(tiny.photo())).result
    assert result.class_map[20, 10] == tiny.PERSON
    assert not spaces.calls
    assert "the processor labels: You have exceeded your GPU quota" in caplog.text


def test_an_error_of_the_photo_is_told_from_there(spaces, tiny_program, tmp_path):
    service = LabelingService(Options(model=str(tiny_program)))
    bad = tmp_path / "notes.jpg"
    bad.write_text("dear diary")
    with pytest.raises(ImageError, match="is text, not a picture"):
        service.segment(str(bad))


def test_the_package_comes_before_torch():
    """The app imports `spaces` before torch, as CUDA must not be touched first."""
    probe = "import app, spaces; assert not spaces.torch_came_first; print('first')"
    run = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": FAKE, "SPACES_ZERO_GPU": "true"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.stdout.strip() == "first", run.stderr
