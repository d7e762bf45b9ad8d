"""The classroom without a browser: the text of its views, and their errors."""

import base64
import io
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import tiny
from page.classroom import text as texts
from page.classroom.chart import sweep_chart
from page.classroom.comparison import Compare
from page.classroom.figures import fit_size, frame, thumbnail_map
from page.classroom.network_views import NetworkViews
from page.classroom.painting import Grader, painted
from page.classroom.pixel_views import PixelViews
from page.classroom.session import ClassroomSession, MissingInputError
from page.options import Options
from page.service.labeling_service import LabelingService
from segmentation import open_image
from segmentation.networks.deeplabv3plus import deeplabv3plus_resnet18

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def last(steps) -> str:
    *_, html = steps
    return html


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.fixture(scope="module")
def photo_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "colours.png"
    Image.fromarray(tiny.photo()).save(path)
    return path


@pytest.fixture(scope="module")
def program(tiny_program, photo_file):
    """A session whose model is an exported program, and the key of a labelled photo."""
    service = LabelingService(Options(model=str(tiny_program), device="cpu"))
    return ClassroomSession(service), service.segment(str(photo_file), session="pupil").key


@pytest.fixture(scope="module")
def plus(tmp_path_factory, photo_file):
    """The same with a DeepLabV3+ of random weights, shown 64 px."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "plus.pth"
    torch.save(deeplabv3plus_resnet18().state_dict(), path)
    name = "deeplabv3plus_resnet18"
    service = LabelingService(Options(model=name, weights=str(path), device="cpu"))
    return ClassroomSession(service), service.segment(str(photo_file), size=64, session="pupil").key


def test_every_term_has_two_sentences_and_every_link_a_term():
    for name, explanation in texts.TERMS.values():
        assert len(re.findall(r"[.!?](?:\s|$)", explanation)) == 2, name
    linked = {
        match.split("|")[0]
        for _, intro in texts.VIEWS
        for match in re.findall(r"\[\[(.+?)\]\]", intro)
    }
    assert linked <= set(texts.TERMS)
    assert {"stride", "atrous", "logit", "argmax", "iou"} <= linked
    for key in texts.TERMS:
        assert f'id="cl-term-{key}"' in texts.glossary()
    assert texts.linked("[[iou|IoU]]").count('popovertarget="cl-term-iou"') == 1


def test_without_a_photo_every_view_invites(program):
    lab, _ = program
    for html in (last(PixelViews(lab).steps("")), last(NetworkViews(lab, EXAMPLES).inside(""))):
        assert "Label a photo first" in text(html)
    assert "has been deleted" in text(last(PixelViews(lab).steps("gone")))


def test_three_steps_link_class_box_and_mask(program):
    lab, key = program
    html = last(PixelViews(lab).steps(key))
    for index in (tiny.PERSON, tiny.CAT, tiny.DOG):
        assert html.count(f'data-link="c{index}"') == 3  # score, box, mask
    assert "This explains colour_net (exported program)." in text(html)
    left = re.search(r'<rect class="cl-box-line" x="0" y="0" width="(\d+)" height="(\d+)"', html)
    assert (int(left[1]), int(left[2])) == pytest.approx((64, 96), abs=2)


def test_maps_show_a_class_the_entropy_and_the_runner_up(program):
    lab, key = program
    shown = text(last(PixelViews(lab).maps(key, tiny.CAT)))
    assert "cat at most 100%" in shown
    assert "4.39 bits" in shown
    assert "Runner-up" in shown


def test_a_model_without_the_part_gets_a_sentence_in_each_view(program):
    lab, key = program
    look, runs = PixelViews(lab), NetworkViews(lab, EXAMPLES)
    scope = text(last(look.microscope(key, [1, 1], ["1 × 1"])))
    assert "This explains colour_net (exported program)." in scope
    assert "An exported program runs as one piece" in scope
    assert "are not accessible" in text(last(runs.inside(key)))
    field = text(last(look.receptive(key, [40, 90], None)))
    assert "How much each pixel moves the logit of cat at row 40, column 90" in field
    assert "Click a pixel in your photo first" in text(last(look.receptive(key, None, None)))


def test_the_microscope_changes_nothing_with_all_branches_on(plus):
    lab, key = plus
    names = PixelViews(lab).branches(key)
    assert names == ["1 × 1", "rate 6", "rate 12", "rate 18", "image pooling"]
    whole = text(last(PixelViews(lab).microscope(key, [60, 90], names)))
    assert "0 % of the pixels changed" in whole
    # 64 x 96 px at stride 16: 4 x 6 cells, and every rate of 6 or more leaves a map of 4 rows
    assert "The feature map has 4 × 6 cells at stride 16; your pixel lies in cell (1, 2)" in whole
    assert "8 taps in the padding" in whole
    less = text(last(PixelViews(lab).microscope(key, [60, 90], ["1 × 1"])))
    assert "Without rate 6, rate 12, rate 18, image pooling" in less
    share = float(re.search(r"([\d.]+) % of the pixels changed", less)[1])
    assert share > 0


def test_the_encoder_runs_once_a_photo(plus, monkeypatch):
    lab, key = plus
    lab.encoded(lab.entry(key))

    def refuse(*_args):
        raise AssertionError("the encoder ran again")

    monkeypatch.setattr("segmentation.explain.ablation.encode", refuse)
    assert "cells at stride 16" in text(last(PixelViews(lab).microscope(key, [1, 1], ["rate 6"])))


def test_inside_shows_each_stage_and_cuts_the_skip(plus):
    lab, key = plus
    shown = text(last(NetworkViews(lab, EXAMPLES).inside(key)))
    assert "layer1 encoder: 64 channels of 16 × 24 cells, stride 4" in shown
    assert "layer3 encoder: 256 channels of 4 × 6 cells, stride 16" in shown
    assert "With and without the skip connection" in shown
    plain = lab.entry(key).result
    again = lab.segmenter(lab.entry(key)).predict(str_photo(lab, key), size=64)
    np.testing.assert_array_equal(again.class_map, plain.class_map)  # the hooks were removed


def str_photo(lab, key):
    return lab.entry(key).photo


def test_the_walk_reuses_what_was_run_before(program):
    lab, key = program
    runs = NetworkViews(lab, EXAMPLES)
    steps = list(runs.resolution(key))
    assert len(steps) == 7  # the model's own size, five sizes, the chart
    assert all("cl-status" in step for step in steps[:-1])
    assert "130 px" in text(steps[-1])
    kept = lab.relabel(lab.entry(key), "", 1040).result
    list(runs.resolution(key))
    again = lab.relabel(lab.entry(key), "", 1040).result
    assert again is kept


def test_comparing_a_model_with_itself_at_another_size(program):
    lab, key = program
    compare = Compare(lab)
    name = lab.entry(key).request.used_model
    shown = text(last(compare.run(key, [name, f"{name}@128"])))
    assert "They disagree on" in shown
    assert "not measured" in shown
    assert "Choose two or 3 models" in text(last(compare.run(key, [name])))
    assert f"{name}@128" in [value for _, value in compare.choices(key)]


def test_a_model_that_cannot_be_had_does_not_spoil_the_comparison(program, monkeypatch):
    from segmentation import WeightsError

    lab, key = program
    name = lab.entry(key).request.used_model
    plain = lab.service.segment

    def segment(source, asked=None, size=None, **options):
        if asked == "fcn_resnet50":
            raise WeightsError("no weights for fcn_resnet50: the host did not answer")
        return plain(source, asked, size, **options)

    monkeypatch.setattr(lab.service, "segment", segment)
    shown = text(last(Compare(lab).run(key, [name, "fcn_resnet50", f"{name}@128"])))
    assert "fcn_resnet50 could not label the photo: no weights for fcn_resnet50" in shown
    assert "They disagree on" in shown


def test_breaking_counts_the_changed_pixels(program):
    lab, key = program
    shown = text(last(NetworkViews(lab, EXAMPLES).broken(key, ["rotate_180", "grey"])))
    assert "Rotate 180°: 0 % of the pixels changed" in shown
    # without colour, no pixel is red, green or blue: only the black quarter is unchanged
    share = int(re.search(r"Grey: (\d+) % of the pixels changed", shown)[1])
    assert share == pytest.approx(75, abs=2)


def test_photos_of_something_else_come_with_the_reason(program):
    lab, key = program
    shown = text(last(NetworkViews(lab, EXAMPLES).foreign(key, "coffee")))
    assert "A cup is not among the 20 classes" in shown
    assert "Background was the right answer" in text(
        last(NetworkViews(lab, EXAMPLES).foreign("", "rocket"))
    )


# ---- grading


def paint_of(mask) -> str:
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[mask] = (13, 148, 136, 255)
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_a_perfect_painting_gets_one(program):
    lab, key = program
    mask = lab.entry(key).result.class_map == tiny.CAT
    shown = text(last(Grader(lab, EXAMPLES).graded(key, tiny.CAT, paint_of(mask))))
    assert f"IoU 1.00 {mask.sum():,} pixels right, 0 missed, 0 extra" in shown
    assert "no truth made by hand for this photo" in shown


def test_half_a_painting_gets_half(program):
    lab, key = program
    mask = lab.entry(key).result.class_map == tiny.CAT
    half = mask.copy()
    half[:48] = False
    iou = half.sum() / mask.sum()
    shown = text(last(Grader(lab, EXAMPLES).graded(key, tiny.CAT, paint_of(half))))
    assert f"IoU {iou:.2f}" in shown


@pytest.mark.parametrize("paint", [None, "", "data:image/png;base64,AAAA", "data:text/html,x", 7])
def test_what_is_no_painting_is_refused(paint):
    with pytest.raises(MissingInputError, match="did not arrive whole"):
        painted(paint, (10, 10))


def test_an_empty_painting_asks_for_one(program):
    lab, key = program
    nothing = paint_of(np.zeros((128, 192), bool))
    assert "Paint something first" in text(
        last(Grader(lab, EXAMPLES).graded(key, tiny.CAT, nothing))
    )


def test_example_photos_carry_their_truth(program):
    lab, _ = program
    grader = Grader(lab, EXAMPLES)
    for name, index, share in (("astronaut", 15, 0.41), ("chelsea", 8, 0.74)):
        image = open_image(str(EXAMPLES / f"{name}.jpg"))
        truth = grader.truth_of(image)
        assert truth.shape == image.shape[:2]
        assert (truth == index).mean() == pytest.approx(share, abs=0.01)
        assert set(np.unique(truth)) <= {0, index, 255}
    assert grader.truth_of(tiny.photo()) is None


def test_the_network_is_graded_against_the_truth(program):
    lab, _ = program
    service = lab.service
    key = service.segment(str(EXAMPLES / "astronaut.jpg"), session="pupil").key
    grader = Grader(lab, EXAMPLES)
    assert ("person", 15) in grader.classes(key)
    truth = grader.truth_of(lab.entry(key).photo.image)
    shown = text(last(grader.graded(key, 15, paint_of(truth == 15))))
    assert "You against the truth IoU 1.00" in shown
    assert "The network against the truth" in shown


# ---- pictures


def test_a_frame_escapes_and_keeps_the_photos_size():
    html = frame(np.zeros((4, 8, 3), np.uint8), "a", alt='"<x>', photo_size=(40, 80))
    assert "&quot;&lt;x&gt;" in html
    assert 'data-height="40" data-width="80"' in html
    assert "aspect-ratio:80/40" in html


def test_small_maps_keep_labels():
    assert fit_size((3000, 4000)) == (480, 640)
    assert fit_size((30, 40)) == (30, 40)
    halves = np.zeros((1000, 1000), np.uint8)
    halves[:, 500:] = 7
    small = thumbnail_map(halves, 100)
    assert small.shape == (100, 100)
    assert (small[:, :50] == 0).all()
    assert (small[:, 50:] == 7).all()


def test_the_chart_says_its_numbers():
    html = sweep_chart([(130, 0.05, 0.4), (520, 1.25, 0.0)], 520)
    assert "130 px: 50 ms, 40 % changed; 520 px: 1.2 s, 0 % changed" in html


# ---- the lesson


LESSON = EXAMPLES.parent / "docs" / "lesson.md"


def test_the_lesson_walks_through_every_view_in_45_minutes():
    lesson = LESSON.read_text(encoding="utf-8")
    for number, (title, _) in enumerate(texts.VIEWS, 1):
        assert f"view {number}" in lesson or f"views {number}" in lesson or f"**{number}" in lesson
        assert title in lesson or number in (3, 4)  # these two share a heading
    spans = [tuple(map(int, m)) for m in re.findall(r"^## (\d+) to (\d+) min", lesson, re.M)]
    assert spans[0][0] == 0
    assert spans[-1][1] == 45
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


def test_the_lessons_numbers_are_of_the_model_that_ships():
    from docs.lesson_numbers import BEGIN, END, fingerprint, inner_parts
    from segmentation import has_embedded, load

    numbers = LESSON.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    if not has_embedded() or fingerprint() not in numbers:
        pytest.skip("the built-in model changed: run python -m docs.lesson_numbers")
    for what, seen in inner_parts(load("embedded", device="cpu")):
        written = re.search(rf"^\| {re.escape(what)} \| (.*) \|$", numbers, re.M)[1]
        here, there = (list(map(int, re.findall(r"\d+", text))) for text in (seen, written))
        assert here == pytest.approx(there, abs=1), what  # CPUs round differently
