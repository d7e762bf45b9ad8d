"""What the page says of the model that labelled the photo: from its card, at its size."""

from types import SimpleNamespace

import numpy as np
import pytest

from page import photo_texts, texts
from page.texts import built_in_note, run_facts
from segmentation.models.card import ModelCard
from segmentation.models.card_figures import Bin, ClassFigure, Figures
from segmentation.models.registry import embedded_card

FIGURES = Figures(
    photos=40,
    data="VOC",
    size=192,
    miou=0.504,
    classes={"cat": ClassFigure(0.8, 9), "chair": ClassFigure(0.1, 9)},
    bins=(Bin(0.1, 0.9, 0.8),),
)


def card(figures: Figures | None) -> ModelCard:
    return ModelCard("n", ("a", "b"), "voc", 192, (0.5,) * 3, (0.5,) * 3, figures=figures)


def answer(model: str) -> SimpleNamespace:
    result = SimpleNamespace(
        model=model, class_map=np.zeros((2, 3)), device="cpu", precision="float32", seconds=0.5
    )
    return SimpleNamespace(
        result=result,
        card=card(FIGURES),
        photo=SimpleNamespace(notes=("animated",)),
        request=SimpleNamespace(size=None, is_fallback=False),
    )


@pytest.mark.parametrize("size", [None, 192])
def test_the_built_in_model_says_what_its_card_says(size):
    assert built_in_note(card(FIGURES), size) == (
        "This is the small built-in model, trained from scratch. Good at: cats; hardly knows: "
        "chairs. When it says 90 %, it is right 80 times in 100. Mean IoU 50 %, measured on 40 "
        "photos of VOC at 192 px."
    )


def test_figures_are_not_shown_at_another_size():
    assert built_in_note(card(FIGURES), 320) == (
        "This is the small built-in model, trained from scratch. How good it is was measured at "
        "192 px only."
    )


def test_a_card_without_figures_promises_nothing():
    note = built_in_note(card(None), None)
    assert note == "This is the small built-in model, trained from scratch."


def test_the_shipped_card_names_classes_and_a_number():
    note = built_in_note(embedded_card(), None)
    assert "Good at: cats, trains, dogs, sheep, cows, horses, buses and cars" in note
    assert "hardly knows: bottles, chairs" in note
    miou = round(embedded_card().miou)
    assert f"Mean IoU {miou} %, measured on 334 photos of PASCAL VOC 2012 val and COCO 2017" in note


def test_the_note_is_with_the_facts_of_the_built_in_model_alone():
    facts = "<strong>{}</strong> on cpu in float32 · 2 × 3 px · 0.50 s<br>animated"
    assert run_facts(answer("fcn_resnet50")) == facts.format("fcn_resnet50")
    note = built_in_note(card(FIGURES), None)
    assert run_facts(answer("embedded")) == f"{facts.format('embedded')}<br>{note}"


def test_the_menu_names_a_model_and_no_figure():
    assert texts.model_label("deeplabv3_resnet50", ready=True) == "DeepLabV3, ResNet-50"
    absent = texts.model_label("deeplabv3_resnet50", ready=False)
    assert absent == "DeepLabV3, ResNet-50 · 168 MB to fetch"
    assert texts.model_label("embedded", ready=True) == "The small built-in model"
    assert texts.model_label("/models/street.pt2", ready=True) == "street"


@pytest.mark.parametrize(
    ("minutes", "span"),
    [(0.5, "a minute"), (1, "a minute"), (30, "30 minutes"), (60, "an hour"), (90, "1.5 hours")],
)
def test_where_a_photo_goes_and_when_it_is_deleted(minutes, span):
    said = photo_texts.privacy(minutes, shared=False)
    assert said.endswith(f"nowhere else, and is deleted within {span}.")
    assert photo_texts.privacy(minutes, shared=True).endswith("it passes Gradio’s relay.")


def test_what_the_built_in_model_knows_is_its_cards():
    assert photo_texts.knows_sentence() == (
        "The built-in model is good at cats, trains, dogs, sheep, cows, horses, buses and cars; "
        "less so at the rest."
    )
