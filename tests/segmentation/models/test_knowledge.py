"""What a card says of a model, read as data and put into words."""

import json

import pytest

from docs import model_facts
from segmentation.categories import VOC_CATEGORIES, plural_name
from segmentation.errors import ModelError
from segmentation.models.card import parse_card
from segmentation.models.card_figures import Bin, ClassFigure, Figures, parse_figures
from segmentation.models.knowledge import (
    calibration_sentence,
    good_at,
    hardly_knows,
    in_words,
    knowledge_sentence,
)

CATEGORIES = ("__background__", "cat", "dog", "bus", "chair")


def figures_of(**classes: tuple[float, int]) -> Figures:
    rows = {name: ClassFigure(*row) for name, row in classes.items()}
    return Figures(photos=10, data="photos", size=64, classes=rows)


def test_one_rule_says_what_a_model_knows():
    figures = figures_of(
        __background__=(0.95, 50),
        cat=(0.61, 5),
        bus=(0.9, 5),
        dog=(0.6, 50),  # not above 0.6
        sheep=(0.99, 4),  # too few photos
        chair=(0.1, 5),
        sofa=(0.29, 9),
        boat=(0.3, 9),  # not below 0.3
        bottle=(0.0, 4),
    )
    assert good_at(figures) == ["bus", "cat"]
    assert hardly_knows(figures) == ["chair", "sofa"]
    assert knowledge_sentence(figures) == "Good at: buses and cats; hardly knows: chairs and sofas."


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ({"cat": (0.9, 9)}, "Good at: cats."),
        ({"person": (0.1, 9)}, "Hardly knows: people."),
        ({"cat": (0.5, 9)}, ""),
        ({}, ""),
    ],
)
def test_what_is_not_known_is_not_said(classes, sentence):
    assert knowledge_sentence(figures_of(**classes)) == sentence


def test_confidence_in_words_is_that_of_the_bin_around_ninety():
    bins = (Bin(0.5, 0.99, 0.97), Bin(0.1, 0.9035, 0.8515), Bin(0.1, 0.5, 0.4))
    figures = Figures(photos=1, data="x", size=64, bins=bins)
    assert calibration_sentence(figures) == "When it says 90 %, it is right 85 times in 100."
    assert calibration_sentence(Figures(photos=1, data="x", size=64, bins=bins[:1])) == ""


def test_every_voc_class_has_a_plural():
    words = {plural_name(name) for name in VOC_CATEGORIES[1:]}
    assert {"people", "sheep", "buses", "dining tables", "TV monitors", "cats"} <= words
    assert len(words) == 20
    assert plural_name("road") == "road"  # another model's class stays as it is
    assert in_words(["a"]) == "a"
    assert in_words(["a", "b", "c"]) == "a, b and c"


def card(**fields: object) -> str:
    plain = {"name": "n", "categories": CATEGORIES, "mean": [0.5] * 3, "std": [0.5] * 3}
    return json.dumps({**plain, "resize": 64, **fields})


def good_figures(**changes: object) -> dict:
    return {
        "photos": 7,
        "data": "VOC",
        "size": 64,
        "miou": 0.5,
        "pixel_accuracy": 0.9,
        "classes": {"cat": {"iou": 0.7, "photos": 6}},
        "calibration": {
            "ece": 0.02,
            "temperature": 1.2,
            "bins": [{"share": 1, "confidence": 0.9, "accuracy": 0.8}],
        },
        "sets": {"level": 0.95, "threshold": 0.2, "coverage": 0.94},
        **changes,
    }


def test_figures_hold_at_their_size_only():
    read = parse_card(card(figures=good_figures(), miou=50))
    assert read.figures.measured_on == read.measured_on == "7 photos of VOC at 64 px"
    assert read.figures.classes == {"cat": ClassFigure(0.7, 6)}
    assert (read.figures.set_threshold, read.figures.temperature) == (0.2, 1.2)
    assert read.figures_at(None) is read.figures_at(64) is read.figures
    assert read.figures_at(65) is None
    assert read.quality_at(None) == read.quality_at(64) == (50, "7 photos of VOC at 64 px")
    assert read.quality_at(128) is None


def test_figures_of_two_sizes_averaged_hold_for_both_together_only():
    sharper = good_figures(size=[64, 96], miou=0.55)
    read = parse_card(card(figures=good_figures(), miou=50, sharper=sharper))
    assert read.figures_at((64, 96)) is read.sharper
    assert read.figures_at(64) is read.figures
    assert read.figures_at(96) is None
    quality, photos = read.quality_at((64, 96))
    assert quality == pytest.approx(55)
    assert photos == "7 photos of VOC at 64 and 96 px"


def test_figures_of_another_size_than_the_cards_own_do_not_hold_by_default():
    read = parse_card(card(figures=good_figures(size=128), miou=50))
    assert read.figures_at(None) is None
    assert read.figures_at(128) is read.figures
    assert read.quality_at(None) is None


def test_a_card_without_figures_says_nothing():
    read = parse_card(card())
    assert read.figures is None
    assert read.figures_at(None) is None
    assert read.measured_on == ""
    assert parse_figures(None, CATEGORIES) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"photos": 0}, "figures.photos is 0, not a whole number from 1 up"),
        ({"photos": True}, "figures.photos is True"),
        ({"size": 64.5}, "figures.size is 64.5, not a size in pixels or a list of several"),
        ({"size": [64]}, "figures.size is [64]"),
        ({"size": [64, "96"]}, "figures.size is [64, '96']"),
        ({"miou": 50.1}, "figures.miou is 50.1, not a number from 0 to 1"),
        ({"miou": float("nan")}, "figures.miou is nan"),
        ({"data": 3}, "figures.data is 3"),
        ({"data": ""}, "figures.data is ''"),
        ({"classes": {"cow": {"iou": 1, "photos": 1}}}, "names 'cow', which is no category"),
        ({"classes": {"cat": {"photos": 1}}}, "figures.classes.cat lacks the field 'iou'"),
        ({"classes": {"cat": 3}}, "figures.classes.cat is 3, not an object"),
        ({"classes": 3}, "figures.classes is 3"),
        ({"sets": {"threshold": 0}}, "figures.sets.threshold is 0, not a number from 0.001"),
        ({"sets": [1]}, "figures.sets is "),
        ({"calibration": {"bins": [{"share": 1}]}}, "needs share, confidence and accuracy"),
        ({"calibration": {"bins": 3}}, "figures.calibration.bins is 3"),
        ({"calibration": {"temperature": 0}}, "figures.calibration.temperature is 0"),
    ],
)
def test_wrong_figures_are_refused_by_name(changes, message):
    with pytest.raises(ModelError) as error:
        parse_card(card(figures=good_figures(**changes)))
    assert message in str(error.value)


def test_figures_that_are_no_object_are_refused():
    with pytest.raises(ModelError, match="figures is 'good', not an object"):
        parse_card(card(figures="good"))


def test_the_page_of_models_has_the_figures_of_the_cards():
    text = model_facts.PAGE.read_text(encoding="utf-8")
    assert model_facts.fill(text) == text, "run python -m docs.model_facts"
    with pytest.raises(ValueError, match="has no block <!-- model table"):
        model_facts.fill("")
