"""The same folder on Ray: the same files, and the same failures."""

import importlib.util
import json
import os
import socket
import sys

import pytest
from PIL import Image

from conftest import ROOT
from helpers.many_workers import make_a_death, make_mortal, make_nothing, tasks
from helpers.tiny import photo
from segmentation.batch.journal import JOURNAL
from segmentation.batch.ray_executor import label_on_ray
from segmentation.cli.main import main
from segmentation.errors import PixelwiseError


@pytest.fixture
def with_ray(monkeypatch) -> None:
    """Ray, with workers that find these tests.

    Steps aside where Ray is not installed, unless PIXELWISE_REQUIRE_RAY is set.
    """
    if importlib.util.find_spec("ray") is None and not os.environ.get("PIXELWISE_REQUIRE_RAY"):
        pytest.skip("Ray is not installed: pip install ray")
    paths = [str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.jpg", "a.png", "sub/b.png", "sub/é.webp"]):
        Image.fromarray(photo(64 + 32 * number, 96)).save(root / name)
    (root / "text.jpg").write_text("no picture")
    return root


def files_in(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != JOURNAL
    }


@pytest.mark.ray
@pytest.mark.usefixtures("with_ray")
def test_ray_writes_the_same_files_and_either_resumes_the_other(
    folder, tmp_path, tiny_program, capsys
):
    def label(*more: str, out: str) -> list[str]:
        arguments = [str(folder), "--out", str(tmp_path / out), "--model", str(tiny_program)]
        assert main([*arguments, "--device", "cpu", *more]) == 1
        return capsys.readouterr().err.splitlines()

    label(out="here")
    err = label("--ray", "local", "--workers", "2", out="there")
    assert err[-2].startswith("text.jpg: 'text.jpg' is text")
    assert err[-1].startswith("4 labelled, 1 failed")
    assert files_in(tmp_path / "here") == files_in(tmp_path / "there")
    assert len(files_in(tmp_path / "there")) == 4 * 2 + 2
    rows = [
        sorted(
            ({**json.loads(line), "seconds": 0} for line in (tmp_path / n / JOURNAL).open()),
            key=lambda row: row["image"],
        )
        for n in ("here", "there")
    ]
    assert rows[0] == rows[1]
    assert label(out="there")[-1].startswith("0 labelled, 4 done before, 1 failed")


@pytest.mark.ray
@pytest.mark.usefixtures("with_ray")
def test_a_worker_that_dies_is_a_failure_of_its_photo_alone(tmp_path):
    names = ["a", "deadly 1", "b", "c", "deadly 2", "d", "e", "f"]
    answers = {
        answer.image: answer
        for answer in label_on_ray(make_mortal, tasks(*names, out=str(tmp_path)), 2, "local")
    }
    assert sorted(answers) == sorted(names)
    assert {name for name in names if answers[name].error} == {"deadly 1", "deadly 2"}
    assert "its worker died" in answers["deadly 1"].error


@pytest.mark.ray
@pytest.mark.usefixtures("with_ray")
def test_what_cannot_run_is_told(tmp_path):
    with pytest.raises(PixelwiseError, match="there is no such model here"):
        list(label_on_ray(make_nothing, tasks("a", "b", out=str(tmp_path)), 2, "local"))
    with pytest.raises(PixelwiseError, match="before its first photo"):
        list(label_on_ray(make_a_death, tasks("a"), 1, "local"))
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        address = f"ray://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(PixelwiseError, match="no Ray cluster responds at 'ray:"):
            list(label_on_ray(make_nothing, tasks("a"), 1, address))


def test_without_ray_the_message_says_what_to_install(
    folder, tmp_path, tiny_program, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = [str(folder), "--out", str(tmp_path / "out"), "--model", str(tiny_program)]
    assert main([*arguments, "--ray", "local"]) == 1
    assert "pip install ray" in capsys.readouterr().err
