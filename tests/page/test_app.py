"""Importing the app builds the page and starts nothing."""

import subprocess
import sys
from types import ModuleType

import pytest

from helpers.server import ROOT
from page.__main__ import main as start
from page.main import running
from page.options import parse_options

PROBE = """
import socket, sys, threading

def refuse(*args, **kwargs):
    raise SystemExit(f"a connection was tried: {args}")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
before = threading.active_count()
import segmentation
assert "gradio" not in sys.modules  # it knows nothing of the page
from segmentation.devices import may_have_cuda
alone = may_have_cuda()
from page.components.page_blocks import Page
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


def test_ctrl_c_while_gradio_is_imported_is_one_line(monkeypatch, capsys):
    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "page.main", Interrupted("page.main"))
    with pytest.raises(SystemExit) as ended:
        start("app.py")
    assert ended.value.code == 130
    assert capsys.readouterr().err == "app.py: stopped\n"


def test_help_is_worth_reading(capsys):
    with pytest.raises(SystemExit) as ended:
        parse_options(["--help"], program="app.py")
    assert ended.value.code == 0
    assert "python app.py --share --auth ana:secret" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (["--device", "cuda:7"], {}, "device 'cuda:7' is not available"),
        ([], {"PIXELWISE_WEIGHTS": "/no/such/folder"}, "there is no such folder"),
    ],
)
def test_a_start_that_cannot_be_is_one_line(words, variables, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["app.py", *words])
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended, running("app.py"):
        pass
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("app.py: error: ")
    assert message in line
