"""The page's texts."""

import functools
import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page.service.background import Stage
from page.service.models.downloads import Download
from page.service.queue.scheduler import QueuePosition

if TYPE_CHECKING:
    from page.service.result_cache import LabelResult
    from segmentation import ModelCard
    from segmentation.models.card_figures import Size

EMBEDDED = "embedded"
Failures = Sequence[tuple[str, str]]
"""(name, why) of each photo that could not be labelled."""

TITLE = "Pixelwise"
MASTHEAD = (
    '<a class="pw-skip" href="#viewer">Skip to the picture</a>'
    "<h1>Pixelwise</h1><p>What does a computer see in your photo? It names every single pixel.</p>"
)
NOT_SHARPER = (
    "Sharper outlines were measured for the built-in model only: this model was shown one size."
)
FORGOTTEN = "This photo was forgotten here. Show it again to ask about its pixels."
INTERNAL_ERROR = "The server had a problem; your photo was not labelled. Please try again."
ODD_CALL = "This call could not be answered. Check its values, then try again."
FETCH_FAILED = "The weights of this model could not be fetched. Try again later."
MODEL_FAILED = "This model cannot be used at the moment. Choose another one."
FULL = "The server's storage for photos is full. Please try again in a minute."
NO_ROOM = "The server could not store this file. Please try again later."
CLOSING = "This page is shutting down. Please try again later."
NO_MEMORY = (
    "The server does not have enough memory for this photo. Choose a smaller size or a smaller "
    "photo; other photos are not affected."
)


def busy(waiting: int, seconds: int | None) -> str:
    """Return the refusal of a full queue.

    Args:
        waiting: number of queued photos.
        seconds: until they are done; None where that is not known.
    """
    when = "in a minute" if seconds is None else f"in about {seconds} s"
    photos = "1 photo is" if waiting == 1 else f"{waiting} photos are"
    return f"Busy: {photos} waiting. Try again {when}."


def queue_position(number: int, seconds: float | None, loading: bool = False) -> str:
    """Return the text for a `QueuePosition`."""
    if loading and number == 1:
        return "The network is being loaded; your photo is next …"
    where = "You are next" if number == 1 else f"You are number {number} in the queue"
    if seconds is None:
        return f"{where} …"
    rounded = math.ceil(seconds) if seconds <= 10 else 5 * math.ceil(seconds / 5)
    return f"{where}, about {max(1, rounded)} s …"


def queue_timeout(seconds: float) -> str:
    """Return the text for a photo that was queued for too long."""
    return f"Timed out after {seconds:.0f} s in the queue."


def too_long(seconds: float) -> str:
    """Return the text for a photo that was being labelled for too long."""
    return (
        f"This took more than {seconds:g} s, the limit of this page. "
        "Choose a smaller size or a smaller model, or try again later."
    )


STAGES = {
    "waiting": "Another photo is being labelled, yours is next …",
    "loading": "Reading the weights of {model} …",
    "reading": "Reading the photo …",
    "labelling": "Labelling every pixel …",
}
"""Texts for the states of a `Stage`."""


def step_text(step: Any) -> str:
    """Return the text for a reported step; see `page.service.background.Report`."""
    if isinstance(step, QueuePosition):
        return queue_position(*step)
    if isinstance(step, Stage):
        return STAGES[step.state].format(model=step.model)
    return download_text(step) if isinstance(step, Download) else step


SEVERAL_NONE = '<p role="status">Choose some photos first.</p>'


def several_intro(max_photos: int) -> str:
    """Return the introduction of the tab for several photos; HTML."""
    return (
        f"<p>Drop up to {max_photos} photos. They share one queue with everybody's photos, "
        "and are labelled by the model and at the size chosen in the tab Label. The ZIP has each "
        "photo's label map and overlay, a table of the classes and the facts as JSON.</p>"
    )


def several_progress(number: int, total: int, step: str, failed: Failures = ()) -> str:
    """Return how far a run of several photos is; HTML.

    Args:
        number: of the current photo, from 1.
        total: number of photos.
        step: what is happening to the current photo; "" before it starts.
        failed: see `several_status`.
    """
    bar = f'<progress max="{total}" value="{number - 1}" aria-label="Photos done"></progress>'
    return bar + several_status(f"{number} of {total}: {step or 'next …'}", failed)


def several_done(total: int, labelled: int, *, stopped: bool) -> str:
    """Return the outcome of a run of several photos."""
    photos = "1 photo is" if labelled == 1 else f"{labelled} photos are"
    of_total = f", of {total}" if stopped or labelled < total else ""
    return f"{'Stopped' if stopped else 'Done'}: {photos} labelled{of_total}."


def several_status(text: str, failed: Failures = ()) -> str:
    """Return a sentence, and below it the photos that could not be labelled; HTML."""
    status = f'<p role="status">{html.escape(text)}</p>'
    if not failed:
        return status
    rows = ""
    for name, why in ((short_name(name), why) for name, why in failed):
        rows += f"<li>{html.escape(why if name in why else f'{name}: {why}')}</li>"
    return f"{status}<p>Not labelled:</p><ul>{rows}</ul>"


def several_busy(visitors: int) -> str:
    """Return the refusal where too many visitors label several photos; HTML."""
    return several_status(
        f"Busy: {visitors} visitors are labelling several photos. Try again in a minute."
    )


def several_too_many(max_photos: int) -> str:
    """Return why a photo beyond the limit was not labelled."""
    return f"Only {max_photos} photos at a time; start another run for the rest."


def short_name(name: str) -> str:
    """Return an upload's name without folders, printable, 40 characters at most."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(c if c.isprintable() else "?" for c in last) or "photo"
    return clean if len(clean) <= 40 else f"{clean[:24]}…{clean[-15:]}"


def is_memory_error(error: BaseException) -> bool:
    """Return whether an error was caused by too little memory."""
    cause = error.__cause__
    return isinstance(cause, MemoryError) or "alloc" in str(cause) or "memory" in str(cause)


def model_name(name: str) -> str:
    """What a person calls a model: its title; for a file of one's own, the file's name."""
    from segmentation import MODELS

    if name == EMBEDDED:
        return "The small built-in model"
    spec = MODELS.get(name)
    return Path(name).stem if spec is None else spec.title


def model_label(name: str, ready: bool) -> str:
    """Return a menu's text for a model: its title, and the size of its download if it needs one.

    Args:
        name: the model.
        ready: whether it needs no download.
    """
    from segmentation import MODELS

    spec = MODELS.get(name)
    if ready or spec is None or not spec.url:
        return model_name(name)
    return f"{spec.title} · {spec.bytes / 1e6:.0f} MB to fetch"


def fetch_label(name: str) -> str:
    """How a larger model is offered whose weights must be fetched first."""
    from segmentation import MODELS

    return (
        f"Fetch a larger model ({MODELS[name].bytes / 1e6:.0f} MB, once): slower, and it knows more"
    )


def notes(answer: "LabelResult") -> tuple[str, ...]:
    """Return what the visitor should know of a result, a sentence each."""
    request = answer.request
    if not request.is_fallback:
        return tuple(answer.photo.notes)
    absent = f"{request.requested_model} is not on this machine yet, so the small built-in model"
    return (*answer.photo.notes, f"{absent} answers.")


def chip(answer: "LabelResult") -> str:
    """Return which model labelled the photo, and in how long; HTML with a button for the rest."""
    name = answer.result.model
    who = "Built-in model" if name == EMBEDDED else model_name(name)
    return chip_of(f"{who} · {max(0.1, answer.result.seconds):.1f} s")


def chip_of(text: str) -> str:
    """Return the chip with a text; HTML."""
    return (
        f'<p class="pw-chip"><span>{html.escape(text)}</span> · '
        '<button type="button" data-act="details">details</button></p>'
    )


def run_facts(answer: "LabelResult") -> str:
    """Return the model, device, size and seconds of a result, and its notes; HTML."""
    result, size = answer.result, answer.request.size
    height, width = result.class_map.shape
    sharper = f" at {size_text(size)}" if isinstance(size, tuple) else ""
    facts = (
        f"<strong>{html.escape(result.model)}</strong> on {html.escape(result.device)} in "
        f"{result.precision}{sharper} · {height} × {width} px · {result.seconds:.2f} s"
    )
    sentences = [*notes(answer)]
    if result.model == EMBEDDED:
        sentences.append(built_in_note(answer.card, size))
    return "<br>".join([facts, *map(html.escape, sentences)])


def size_text(size: "Size") -> str:
    """Return a size or several as text: "192 px", "192 and 288 px"."""
    sizes = size if isinstance(size, tuple) else (size,)
    return f"{' and '.join(map(str, sizes))} px"


@functools.lru_cache(maxsize=16)
def built_in_note(card: "ModelCard", size: "Size") -> str:
    """Return what the built-in model is, and its figures if they were measured at this size."""
    from segmentation.models.knowledge import calibration_sentence, knowledge_sentence

    figures = card.figures_at(size)
    start = "This is the small built-in model, trained from scratch."
    if figures is None:
        if card.figures is None:
            return start
        return f"{start} How good it is was measured at {card.figures.size} px only."
    quality = ""
    if figures.miou is not None:
        quality = f"Mean IoU {100 * figures.miou:.0f} %, measured on {figures.measured_on}."
    parts = [start, knowledge_sentence(figures), calibration_sentence(figures), quality]
    return " ".join(filter(None, parts))


def download_text(download: Download) -> str:
    """Return how far a download is, or why it has failed."""
    if download.error:
        return str(download.error)
    if download.ended:
        return f"The weights of {download.name} are here."
    total = f" of {download.total / 1e6:.0f}" if download.total else ""
    return f"Downloading the weights of {download.name}: {download.done / 1e6:.0f}{total} MB …"


LARGER_FAILED = "The larger model could not be fetched."


def download_note(download: Download, why: bool = True) -> str:
    """Return how far the download of a larger model is, or that it has failed; HTML.

    Args:
        download: of its weights.
        why: whether to add why it failed, which names this machine's folders.
    """
    if download.error and not why:
        return f"{LARGER_FAILED} Try again later."
    if download.error:
        reason = html.escape(error_text(download_text(download)))
        return f"{LARGER_FAILED}<details><summary>Why, and what to do</summary>{reason}</details>"
    if download.ended:
        return "The larger model is here."
    total = f" of {download.total / 1e6:.0f}" if download.total else ""
    return f"Fetching the larger model: {download.done / 1e6:.0f}{total} MB …"


def error_text(error: Exception | str) -> str:
    """Return an error's message with its first letter large; plain text."""
    text = str(error)
    return text[:1].upper() + text[1:]
