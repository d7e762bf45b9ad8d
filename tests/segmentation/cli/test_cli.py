import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import segmentation
from conftest import ROOT
from helpers.published import QUICK, publishing, save_random
from helpers.tiny import photo, save_program
from segmentation import MODELS, blend, colorize, read_indexed_png, safe_palette, voc_palette
from segmentation.cli.main import main
from segmentation.export.records import result_facts
from segmentation.models.registry import embedded_card


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """An empty hub cache, no folder of the person's own, and an empty folder to work in."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.delenv("PIXELWISE_WEIGHTS", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> str:
    """The network that knows red, green and blue."""
    return str(save_program(tmp_path_factory.mktemp("program") / "tiny.pt2"))


@pytest.fixture
def picture() -> str:
    """A photo in the working folder."""
    Image.fromarray(photo()).save("photo.png")
    return "photo.png"


def run(capsys, *arguments: str) -> tuple[int, list[dict], str]:
    """Exit status, the JSON lines, and standard error."""
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], err


def test_a_photo_becomes_two_files_and_one_line(capsys, program, picture):
    status, (line,), err = run(capsys, picture, "--model", program, "--out", "new/out")
    assert (status, err) == (0, "")
    keys = ["image", "model", "device", "precision", "height", "width", "seconds", "classes"]
    assert list(line) == [*keys, "unsure", "schema"]
    assert (line["image"], line["model"]) == (picture, "colour_net")
    assert (line["height"], line["width"]) == (128, 192)
    result = segmentation.load(program).predict(picture)
    assert line["classes"] == result_facts(result)["classes"]
    assert {c["name"] for c in line["classes"]} == {"__background__", "person", "cat", "dog"}
    assert sorted(os.listdir("new/out")) == ["photo_labels.png", "photo_overlay.png"]
    np.testing.assert_array_equal(
        read_indexed_png(Path("new/out/photo_labels.png").read_bytes()), result.class_map
    )
    colors = colorize(result.class_map, voc_palette())
    with Image.open("new/out/photo_labels.png") as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), colors)
    with Image.open("new/out/photo_overlay.png") as image:
        np.testing.assert_array_equal(np.asarray(image), blend(photo(), colors, 0.5))


def test_alpha_palette_and_size_are_heard(capsys, program, picture):
    arguments = (picture, "--model", program, "--alpha", "1", "--palette", "safe", "--size", "32")
    assert run(capsys, *arguments)[0] == 0
    result = segmentation.load(program).predict(picture, size=32)
    with Image.open("photo_overlay.png") as image:
        colors = colorize(result.class_map, safe_palette())
        np.testing.assert_array_equal(np.asarray(image), colors)


def test_one_bad_photo_is_reported_and_the_others_go_on(capsys, program, picture):
    Path("text.jpg").write_text("no picture")
    status, lines, err = run(
        capsys, "missing.png", picture, "text.jpg", picture, "--model", program, "--out", "out"
    )
    assert status == 1
    assert [line["image"] for line in lines] == [picture, picture]
    assert [line.split(":")[0] for line in err.splitlines()] == ["missing.png", "text.jpg"]
    assert len(os.listdir("out")) == 4


def test_photos_of_the_same_name_are_numbered(capsys, program, picture):
    os.makedirs("other")
    Image.fromarray(photo(64, 64)).save("other/PHOTO.jpg")
    status, lines, _ = run(
        capsys, picture, "other/PHOTO.jpg", picture, "--model", program, "--out", "out"
    )
    assert (status, len(lines)) == (0, 3)
    names = {name.replace("_labels", "").replace("_overlay", "") for name in os.listdir("out")}
    assert names == {"photo.png", "PHOTO_2.png", "photo_3.png"}
    assert read_indexed_png(Path("out/PHOTO_2_labels.png").read_bytes()).shape == (64, 64)


def test_a_photo_that_is_still_to_come_is_not_overwritten(capsys, program, picture):
    Image.fromarray(photo(64, 64)).save("photo_overlay.png")
    before = Path("photo_overlay.png").read_bytes()
    status, lines, _ = run(capsys, picture, "photo_overlay.png", "--model", program)
    assert status == 0
    assert [line["height"] for line in lines] == [128, 64]
    assert Path("photo_overlay.png").read_bytes() == before
    assert Path("photo_2_overlay.png").exists()


def test_long_names_are_shortened(capsys, program):
    name = "é" * 120 + ".png"
    Image.fromarray(photo(64, 64)).save(name)
    status, _, err = run(capsys, name, "--model", program, "--out", "out")
    assert (status, err) == (0, "")
    assert len(os.listdir("out")) == 2


def test_nothing_half_written_is_left(capsys, program, picture, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    status, lines, err = run(capsys, picture, "--model", program, "--out", "out")
    assert (status, lines) == (1, [])
    assert "photo.png: cannot write to out: No space left on device" in err
    assert os.listdir("out") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "deeplabv3_resnet_101"], "did you mean deeplabv3_resnet101"),
        (["--model", "none.pt2"], "there is no file 'none.pt2'"),
        (["--device", "cuda:99"], "device 'cuda:99' is not available"),
        (["--model", QUICK, "--weights", "none.pth"], "there is no weights file 'none.pth'"),
    ],
)
def test_what_cannot_be_loaded_is_one_line_and_status_one(capsys, picture, arguments, message):
    status, lines, err = run(capsys, picture, *arguments)
    assert (status, lines) == (1, [])
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a photo, or --list"),
        (["p.jpg", "--size", "31"], "'31' is not a whole number from 32 to 2048"),
        (["p.jpg", "--size", "big"], "'big' is not a whole number"),
        (["p.jpg", "--alpha", "1.1"], "'1.1' is not a number from 0 to 1"),
        (["p.jpg", "--alpha", "nan"], "'nan' is not a number from 0 to 1"),
        (["p.jpg", "--palette", "gray"], "invalid choice: 'gray'"),
    ],
)
def test_wrong_usage_is_status_two(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_the_list_has_every_model_with_its_facts(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELWISE_WEIGHTS", str(tmp_path))
    here = tmp_path / MODELS["fcn_resnet50"].file
    here.write_bytes(b"")
    assert main(["--list"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(MODELS) < set(rows)
    facts = r"deeplabv3_resnet101 +61\.0 M +245 MB +67\.4 +COCO val2017 with VOC's classes +not"
    facts += " downloaded"
    assert re.fullmatch(facts, rows["deeplabv3_resnet101"])
    card = embedded_card()
    measured = rf"{card.miou:.1f} +{re.escape(card.measured_on)} +/.*embedded.pth$"
    assert re.search(measured, rows["embedded"])
    assert rows["fcn_resnet50"].endswith(f"  {here}")
    assert "--weights FILE" in rows["unet"]
    assert "model.json card" in rows["PATH.pt2"]


def test_the_list_says_when_the_weights_folder_is_not_there(capsys, monkeypatch):
    monkeypatch.setenv("PIXELWISE_WEIGHTS", "nowhere")
    assert main(["--list"]) == 1
    out, err = capsys.readouterr()
    assert "lraspp_mobilenet_v3_large" in out
    assert err.count("there is no such folder") == 1


def test_named_weights_answer_and_a_named_model_is_never_exchanged(capsys, picture, monkeypatch):
    weights = save_random(QUICK, Path("w.pth"))
    arguments = (picture, "--model", QUICK, "--size", "64")
    status, (line,), _ = run(capsys, *arguments, "--weights", str(weights))
    assert (status, line["model"]) == (0, QUICK)
    with publishing(b"") as publisher:
        publisher.mode = "missing"
        monkeypatch.setitem(MODELS, QUICK, publisher.spec())
        status, lines, err = run(capsys, *arguments)
    assert (status, lines) == (1, [])
    assert "the server answered 404" in err


def test_a_download_is_announced_on_standard_error(capsys, picture, monkeypatch):
    data = save_random(QUICK, Path("w.pth")).read_bytes()
    with publishing(data) as publisher:
        spec = publisher.spec()
        monkeypatch.setitem(MODELS, QUICK, spec)
        status, (line,), err = run(capsys, picture, "--model", QUICK, "--size", "64")
    assert (status, line["model"]) == (0, QUICK)
    assert f"fetching {spec.file}" in err


def test_the_module_runs_as_a_command(program, picture):
    done = subprocess.run(
        [sys.executable, "-m", "segmentation", picture, "none.png", "--model", program],
        cwd=Path.cwd(),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["model"] == "colour_net"
    assert done.stderr.startswith("none.png: ")
    assert done.stderr.count("\n") == 1
