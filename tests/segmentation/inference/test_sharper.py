"""Several sizes averaged: the arithmetic, the command line, the API's name for it."""

import io
import json
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

import segmentation
from helpers import tiny
from page import texts
from page.api import Api
from page.options import Options
from page.service.labeling_service import LabelingService
from page.service.queue.sessions import Sessions
from page.service.result_cache import SHARPER
from page.tabs.label_handlers import Handlers
from segmentation.batch.settings import BatchSettings
from segmentation.cli.main import main
from segmentation.errors import ModelError
from segmentation.export.records import result_facts
from segmentation.inference.segmenter import Segmenter
from segmentation.inference.sharper import mean_logits, sharper_size
from segmentation.models.card import sizes_of
from segmentation.models.card_figures import Figures
from segmentation.models.registry import embedded_card


def test_the_mean_is_of_probabilities_and_not_of_logits():
    first = torch.log(torch.tensor([0.9, 0.1])).view(2, 1, 1)
    second = torch.log(torch.tensor([0.3, 0.7])).view(2, 1, 1) + 5  # a shift means nothing
    mean = mean_logits([first, second]).softmax(0).flatten()
    assert mean.tolist() == pytest.approx([0.6, 0.4], abs=1e-6)
    assert mean_logits([first]) is first


def test_the_finest_resolution_is_kept_and_the_others_are_upsampled():
    coarse = torch.tensor([[[0.0]], [[2.0]]])
    fine = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    mean = mean_logits([coarse, fine])
    assert mean.shape == (2, 4, 6)
    expected = (coarse.softmax(0) + fine.softmax(0)) / 2  # one pixel upsampled is that pixel
    torch.testing.assert_close(mean.softmax(0), expected, atol=1e-6, rtol=0)


def test_a_class_that_nobody_gives_anything_has_a_finite_logit():
    assert torch.isfinite(mean_logits([torch.tensor([[[0.0]], [[-500.0]]])] * 2)).all()


@pytest.fixture
def segmenter(tiny_program) -> Segmenter:
    return segmentation.load(tiny_program)


def test_a_segmenter_averages_the_sizes_that_it_is_given(segmenter):
    photo = tiny.photo()
    both = segmenter.predict(photo, size=(64, 96))
    parts = [segmenter.logits(photo, size=size) for size in (64, 96)]
    expected = mean_logits(parts)
    torch.testing.assert_close(both.logits, expected)
    torch.testing.assert_close(segmenter.logits(photo, size=(64, 96)), expected)
    plain = segmenter.predict(photo, size=64)
    alone = segmenter.predict(photo, size=(64,))
    np.testing.assert_array_equal(plain.class_map, alone.class_map)
    assert both.class_map.shape == plain.class_map.shape
    assert both.seconds > 0


def test_several_photos_and_sizes_keep_their_order(segmenter):
    photos = [tiny.photo(), tiny.photo()[::-1].copy()]
    many = segmenter.predict_many(photos, size=(64, 96))
    for photo, result in zip(photos, many, strict=True):
        alone = segmenter.predict(photo, size=(64, 96))
        np.testing.assert_array_equal(result.class_map, alone.class_map)


@pytest.mark.parametrize("size", [(), (64, 3), (64, None), (64, "96"), (64, True)])
def test_odd_sizes_are_refused(size, segmenter):
    with pytest.raises(ModelError, match="size is"):
        segmenter.predict(tiny.photo(), size=size)


def test_sizes_one_by_one():
    assert sizes_of(None) == (None,)
    assert sizes_of(192) == (192,)
    assert sizes_of((192, 288)) == (192, 288)


def test_a_model_that_nobody_measured_says_so(segmenter, tiny_program):
    with pytest.raises(ModelError, match="colour_net has no sizes measured for sharper outlines"):
        segmentation.load(tiny_program, sharper=True)
    with pytest.raises(ModelError, match="leave out size=64"):
        segmentation.load("embedded", size=64, sharper=True)
    measured = replace(segmenter.card, sharper=Figures(photos=1, data="x", size=(64, 96)))
    assert sharper_size(measured) == (64, 96)


def test_the_built_in_model_has_measured_its_second_size():
    card = embedded_card()
    own, second = card.sharper.size
    assert own == card.resize < second
    # A point over the seven classes or three near outlines is why it is there at all.
    fields = json.loads(
        (segmentation.models.registry.EMBEDDED_FOLDER / "embedded.json").read_text()
    )
    plain, sharper = fields["figures"], fields["sharper"]
    assert sharper["miou"] > plain["miou"]
    assert sharper["miou_7"] >= plain["miou_7"] + 0.01
    assert sharper["outline_accuracy"] > plain["outline_accuracy"]
    assert card.sharper.set_threshold is not None


def test_the_command_line_averages_the_built_in_models_sizes(capsys, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(tiny.photo()).save(photo)
    arguments = [str(photo), "--model", "embedded", "--device", "cpu", "--out", str(tmp_path)]
    assert main([*arguments, "--sharper"]) == 0
    line = json.loads(capsys.readouterr().out)
    result = segmentation.load("embedded", device="cpu", sharper=True).predict(str(photo))
    assert line["classes"] == result_facts(result)["classes"]
    assert result.set_threshold == embedded_card().sharper.set_threshold
    plain = segmentation.load("embedded", device="cpu").predict(str(photo))
    assert not torch.equal(plain.logits, result.logits)
    with pytest.raises(SystemExit):
        main([*arguments, "--sharper", "--size", "192"])
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("photos", "options"),
    [(["a.png"], []), (["a.png", "b.png"], []), (["."], []), (["."], ["--workers", "2"])],
)
def test_one_photo_several_and_a_folder_fail_with_one_message_before_the_first(
    photos, options, tiny_program, capsys, tmp_path
):
    for name in ("a.png", "b.png"):
        Image.fromarray(tiny.photo()).save(tmp_path / name)
    out = tmp_path / "out"
    paths = [str(tmp_path / photo) for photo in photos]
    model = ["--model", str(tiny_program), "--device", "cpu", "--sharper"]
    assert main([*paths, *options, *model, "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("colour_net has no sizes measured for sharper outlines") == 1
    assert not list(out.rglob("*.png"))


def test_a_folder_that_was_labelled_plainly_is_labelled_again_when_sharper():
    plain, sharper = BatchSettings(model="embedded"), BatchSettings(model="embedded", sharper=True)
    assert (plain.record()["size"], sharper.record()["size"]) == (None, "sharper")
    options = segmentation.cli.options.make_parser().parse_args(["x.jpg", "--sharper"])
    assert BatchSettings.of(options).sharper


def test_the_page_takes_the_sizes_of_the_model_that_labels(tiny_program):
    service = LabelingService(Options(model=str(tiny_program), device="cpu"))
    photo = tiny.photo()
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    sharper = service.segment(file.getvalue(), "embedded", SHARPER, session="ana")
    assert sharper.request.size == embedded_card().sharper.size
    assert service.segment(file.getvalue(), "embedded", session="ana").key != sharper.key
    note = texts.run_facts(sharper)
    assert "at 192 and 288 px" in note
    assert f"Mean IoU {100 * embedded_card().sharper.miou:.0f} %" in note
    # Of the tests' own network nobody has measured it: it is shown its own size.
    assert service.segment(file.getvalue(), "colour_net", SHARPER).request.size is None


def test_the_visitor_reads_where_sharper_was_not_measured(tiny_program, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(tiny.photo()).save(photo)
    service = LabelingService(Options(model=str(tiny_program), device="cpu"))
    handlers = Handlers(service, str(tmp_path), Sessions())
    *_, (value, *_) = handlers.label(str(photo), "colour_net", SHARPER)
    assert value["note"] == texts.NOT_SHARPER
    *_, (value, *_) = handlers.label(str(photo), "colour_net", 0)
    assert value["note"] == ""


def test_programs_ask_for_it_behind_the_models_name(tiny_program, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(tiny.photo()).save(photo)
    service = LabelingService(Options(model=str(tiny_program), device="cpu"))
    programs = Api(service, str(tmp_path), Sessions())
    _, _, facts = programs.segment(str(photo), "embedded+sharper")
    expected = segmentation.load("embedded", device="cpu", sharper=True).predict(str(photo))
    assert facts["classes"] == result_facts(expected)["classes"]
    with pytest.raises(gr.Error, match="measured for the built-in model only"):
        programs.segment(str(photo), "colour_net+sharper")
    with pytest.raises(gr.Error, match="measured for the built-in model only"):
        programs.segment(str(photo), "+sharper")  # the page's default
