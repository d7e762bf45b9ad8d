"""A model's figures in the page, the API and the classroom: with their photos, at their size."""

import json
from types import SimpleNamespace

import pytest

from page.classroom.comparison import _quality, _warning
from segmentation.export.records import how_good
from segmentation.models import loader
from segmentation.models.card import ModelCard
from segmentation.models.card_figures import Figures
from segmentation.models.registry import embedded_card


def card(miou: float | None, photos: str, *, size: int = 192) -> ModelCard:
    figures = Figures(photos=9, data=photos, size=size, miou=0.5)
    triple = (0.5, 0.5, 0.5)
    on = figures.measured_on if miou is not None else ""
    return ModelCard(
        "n", ("a", "b"), "voc", 192, triple, triple, miou=miou, measured_on=on, figures=figures
    )


def answer(card: ModelCard, size: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(card=card, request=SimpleNamespace(size=size))


def test_a_figure_stands_beside_the_photos_that_it_was_measured_on():
    assert how_good(card(50.0, "VOC")) == {"miou": 50.0, "measured_on": "9 photos of VOC at 192 px"}
    assert "50.0 <small>on 9 photos of VOC at 192 px</small>" in _quality(answer(card(50.0, "VOC")))


@pytest.mark.parametrize("size", [128, 320])
def test_a_figure_is_not_shown_at_another_size(size):
    assert how_good(card(50.0, "VOC"), size) == {"miou": None, "measured_on": None}
    assert _quality(answer(card(50.0, "VOC"), size)) == "not measured at this size"
    assert how_good(card(50.0, "VOC"), 192)["miou"] == 50.0


def test_a_model_that_nobody_measured_has_no_figure():
    assert how_good(card(None, "VOC")) == {"miou": None, "measured_on": None}
    assert _quality(answer(card(None, "VOC"))) == "not measured"


def test_figures_from_different_photos_get_a_warning():
    voc, coco = answer(card(50.0, "VOC")), answer(card(60.0, "COCO"))
    assert "measured on different photos" in _warning([voc, coco])
    assert _warning([voc, voc]) == ""
    assert _warning([voc, answer(card(None, "COCO"))]) == ""
    assert _warning([voc, answer(card(60.0, "COCO"), 320)]) == ""  # its figure is not shown


def test_the_built_in_models_figure_is_that_of_all_classes():
    shipped = embedded_card()
    assert shipped.miou == pytest.approx(100 * shipped.figures.miou, abs=0.06)
    assert len(shipped.figures.classes) == len(shipped.categories) == 21


def test_figures_of_published_weights_are_read_where_somebody_measured_them(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "FIGURES_FOLDER", tmp_path)
    names = ("__background__", "cat")
    assert loader._measured_figures("deeplabv3_resnet50", names) is None
    measured = {
        "model": "deeplabv3_resnet50",
        "data": ["val", "val21"],
        "photos": 334,
        "size": 520,
        "miou": 0.7,
        "classes": {"cat": {"iou": 0.9, "photos": 62}},
        "sets": {"level": 0.95, "threshold": 0.4, "coverage": 0.95},
    }
    (tmp_path / "deeplabv3_resnet50.json").write_text(json.dumps(measured))
    figures = loader._measured_figures("deeplabv3_resnet50", names)
    assert figures.measured_on == "334 photos of val and val21 at 520 px"
    assert figures.set_threshold == 0.4
