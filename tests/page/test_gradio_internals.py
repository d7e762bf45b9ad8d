"""What the project leans on in Gradio is there, and is named in one place."""

import ast
import importlib
import re
from pathlib import Path

import gradio as gr
import pytest
from gradio.routes import App

from helpers.server import ROOT
from page.gradio_internals import NAMES

PRIVATE = re.compile(
    r"(?<!self)\._queue\b|\bevent\._data\b|\bkeep_in_cache\b|\bcustom_mount_path\b|\bcookie_id\b|\.tokens\b"
    r"|\b_signals\b|ANAYLTICS|pending_messages_per_session|event_ids_to_events"
)
HOME = ROOT / "page" / "gradio_internals.py"


@pytest.fixture(scope="module")
def places():
    """What the first half of a name stands for, where it is no module."""
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Textbox()
    app = App.create_app(demo)
    app.middleware_stack = app.middleware_stack  # Starlette's: None until the first request
    return {"demo": demo, "app": app}


@pytest.mark.parametrize("name", NAMES)
def test_gradio_still_has_what_the_page_leans_on(name, places):
    place, _, path = name.partition(":")
    found = places[place] if place in places else importlib.import_module(place)
    for part in path.split("."):
        assert hasattr(found, part), (
            f"Gradio {gr.__version__} has no {name!r} any more, which is needed here: "
            f"{NAMES[name]} Mend page/gradio_internals.py."
        )
        found = getattr(found, part)


def test_components_keep_a_set_of_files(places):
    assert all(isinstance(one.keep_in_cache, set) for one in places["demo"].blocks.values())


def sources() -> list[Path]:
    folders = (ROOT / name for name in ("page", "viewer", "deploy"))
    return [ROOT / "app.py", *(path for folder in folders for path in folder.glob("*.py"))]


@pytest.mark.parametrize("path", sources(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_private_names_have_one_place(path):
    text = path.read_text(encoding="utf-8")
    if path == HOME:
        return
    assert not PRIVATE.findall(text), "page/gradio_internals.py is the place for it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and re.match(r"gradio(_client)?\.", node.module or ""):
            assert path.parent.name == "viewer", f"{node.module} is for page/gradio_internals.py"
            for one in node.names:
                assert f"{node.module}:{one.name}" in NAMES, f"{one.name} is not on the list"
