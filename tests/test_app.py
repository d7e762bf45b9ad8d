"""Importing the app builds the page and starts nothing."""

import os
import subprocess
import sys

import pytest

from server import ROOT

PROBE = """
import socket, sys, threading

def refuse(*args, **kwargs):
    raise SystemExit(f"a connection was tried: {args}")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
before = threading.active_count()
from segmentation.devices import may_have_cuda
alone = may_have_cuda()
from page.blocks import Page
pages, init = [], Page.__init__
Page.__init__ = lambda page, **options: (pages.append(page), init(page, **options))[1]
import app
import gradio
assert pages == [app.demo], "one page, built once"
assert isinstance(app.demo, gradio.Blocks)
assert threading.active_count() == before, threading.enumerate()
assert not app.demo.is_running
assert not app.demo.service.pool.loaded
names = [fn.api_name for fn in app.demo.fns.values() if fn.api_visibility == "public"]
assert names == ["segment", "probabilities", "compare"], names
assert alone or "torch" not in sys.modules  # only a GPU's driver makes it worth the wait
print("quiet")
"""


def test_importing_the_app_starts_nothing(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GRADIO_TEMP_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.stdout.strip().endswith("quiet"), run.stdout + run.stderr
    assert not list(tmp_path.rglob("*.pth"))


def test_help_is_worth_reading():
    run = subprocess.run(
        [sys.executable, "app.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0
    assert "python app.py --share --auth ana:secret" in run.stdout


def test_segmentation_knows_nothing_of_gradio():
    probe = "import sys, segmentation; assert 'gradio' not in sys.modules; print('without')"
    run = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.stdout.strip() == "without", run.stderr


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (["--device", "cuda:7"], {}, "device 'cuda:7' is not here"),
        ([], {"PIXELWISE_WEIGHTS": "/no/such/folder"}, "there is no such folder"),
    ],
)
def test_a_start_that_cannot_be_is_one_line(words, variables, message):
    run = subprocess.run(
        [sys.executable, "app.py", *words],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("app.py: error: ")
    assert message in run.stderr
    assert "Traceback" not in run.stderr
