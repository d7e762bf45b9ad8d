"""What the page says of a photo: where it goes, who labelled it, what that model knows."""

import html
import math
from typing import TYPE_CHECKING

from page.texts import EMBEDDED, model_name

if TYPE_CHECKING:
    from page.service.result_cache import LabelResult

INVITATION = "This is an example. Point anywhere. Then try yours."


def chip(answer: "LabelResult") -> str:
    """Who answered, in how long; HTML with a button that opens the rest."""
    name = answer.result.model
    who = "Built-in model" if name == EMBEDDED else model_name(name)
    return chip_of(f"{who} · {max(0.1, answer.result.seconds):.1f} s")


def chip_of(text: str) -> str:
    """The chip with a text; HTML."""
    return (
        f'<p class="pw-chip"><span>{html.escape(text)}</span> · '
        '<button type="button" data-act="details">details</button></p>'
    )


def privacy(keep_minutes: float, shared: bool) -> str:
    """Where a photo goes, and when it is deleted.

    Args:
        keep_minutes: after which it is deleted.
        shared: whether there is a public link, whose relay photos pass.
    """
    relay = " On its way it passes Gradio’s relay." if shared else ""
    return (
        "Your photo goes to the computer that runs this page, nowhere else, and is deleted within "
        f"{span_of(keep_minutes)}.{relay}"
    )


def span_of(minutes: float) -> str:
    """A span of time: "a minute", "30 minutes", "an hour", "1.5 hours"."""
    if minutes < 60:
        whole = math.ceil(minutes)
        return "a minute" if whole == 1 else f"{whole} minutes"
    return "an hour" if minutes == 60 else f"{minutes / 60:.3g} hours"


def knows_sentence() -> str:
    """What the built-in model knows, from its card; "" where there is none."""
    from segmentation import has_embedded
    from segmentation.categories import plural_name
    from segmentation.models.knowledge import good_at, in_words
    from segmentation.models.registry import embedded_card

    figures = embedded_card().figures if has_embedded() else None
    good = in_words([plural_name(name) for name in good_at(figures)]) if figures else ""
    return f"The built-in model is good at {good}; less so at the rest." if good else ""
