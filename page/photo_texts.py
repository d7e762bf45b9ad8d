"""Texts before a photo: where it goes, and what the model knows."""

import math

INVITATION = "This is an example. Point anywhere. Then try yours."


def privacy(keep_minutes: float, shared: bool) -> str:
    """Return where a photo goes, and when it is deleted.

    Args:
        keep_minutes: minutes after which it is deleted.
        shared: whether photos pass the relay of a public link.
    """
    relay = " On its way it passes Gradio’s relay." if shared else ""
    return (
        "Your photo goes to the computer that runs this page, nowhere else, and is deleted within "
        f"{span_of(keep_minutes)}.{relay}"
    )


def span_of(minutes: float) -> str:
    """Return a duration in words: "a minute", "30 minutes", "an hour", "1.5 hours"."""
    if minutes < 60:
        whole = math.ceil(minutes)
        return "a minute" if whole == 1 else f"{whole} minutes"
    return "an hour" if minutes == 60 else f"{minutes / 60:.3g} hours"


def knows_sentence() -> str:
    """Return what the built-in model knows, from its card; "" without such a model."""
    from segmentation import has_embedded
    from segmentation.categories import plural_name
    from segmentation.models.knowledge import good_at, in_words
    from segmentation.models.registry import embedded_card

    figures = embedded_card().figures if has_embedded() else None
    good = in_words([plural_name(name) for name in good_at(figures)]) if figures else ""
    return f"The built-in model is good at {good}; less so at the rest." if good else ""
