"""What the page says of the model that answered."""

from types import SimpleNamespace

import pytest

from page.words import built_in_note


def answer(model: str, miou: float | None) -> SimpleNamespace:
    card = SimpleNamespace(name="deeplabv3plus_resnet18", miou=miou)
    return SimpleNamespace(result=SimpleNamespace(model=model), card=card)


@pytest.mark.parametrize(
    ("miou", "end"),
    [
        (71.0, "and sheep (mean IoU 71 % on validation photos), weak at the rest."),
        (57.4, "(mean IoU 57 % on validation photos), weak at the rest. Take it as a sketch."),
        (None, "horses, cows and sheep, weak at the rest. Take it as a sketch."),
    ],
)
def test_the_built_in_model_says_what_it_is_and_how_good(miou, end):
    (note,) = built_in_note(answer("embedded", miou))
    assert note.startswith("This is the built-in deeplabv3plus_resnet18: small, trained from")
    assert note.endswith(end)


def test_other_models_need_no_such_note():
    assert built_in_note(answer("deeplabv3_resnet50", 66.4)) == []
