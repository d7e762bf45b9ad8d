"""What the page says, in one place."""

import functools
import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from page.service.models.downloads import Download
    from page.service.queue.scheduler import QueuePosition
    from page.service.result_cache import LabelResult
    from segmentation import ModelCard
    from segmentation.models.card_figures import Size

EMBEDDED = "embedded"
Failures = Sequence[tuple[str, str]]
"""Names of photos, and why each could not be labelled."""

TITLE = "Pixelwise"
MASTHEAD = (
    "<h1>Pixelwise</h1><p>What does a computer see in your photo? It names every single pixel.</p>"
)
API_ALPHA = 0.6
NOT_SHARPER = (
    "Sharper outlines were measured for the built-in model only: this model was shown one size."
)
FORGOTTEN = "This photo was forgotten here. Show it again to ask about its pixels."
BUSY = "The server had a problem; your photo was not labelled. Please try again."
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
    """What somebody is told who finds the queue full.

    Args:
        waiting: how many photos wait.
        seconds: how long it will take until they are done, where that can be told.
    """
    when = "in a minute" if seconds is None else f"in about {seconds} s"
    photos = "1 photo is" if waiting == 1 else f"{waiting} photos are"
    return f"Busy: {photos} waiting. Try again {when}."


def place(number: int, seconds: float | None, loading: bool = False) -> str:
    """What somebody is told who waits in the queue; see `QueuePosition`."""
    if loading and number == 1:
        return "The network is being loaded; your photo is next …"
    where = "You are next" if number == 1 else f"You are number {number} in the queue"
    if seconds is None:
        return f"{where} …"
    rounded = math.ceil(seconds) if seconds <= 10 else 5 * math.ceil(seconds / 5)
    return f"{where}, about {max(1, rounded)} s …"


def waited(seconds: float) -> str:
    """What somebody is told who has waited in vain."""
    return f"Timed out after {seconds:.0f} s in the queue."


def too_long(seconds: float) -> str:
    """What somebody is told whose photo took too long."""
    return (
        f"This took more than {seconds:g} s, the limit of this page. "
        "Choose a smaller size or a smaller model, or try again later."
    )


def step_text(step: "QueuePosition | str") -> str:
    """What is happening to a photo, as the page says it."""
    return step if isinstance(step, str) else place(*step)


SEVERAL_NONE = '<p role="status">Choose some photos first.</p>'


def several_intro(most: int) -> str:
    """What the tab for several photos is for; HTML."""
    return (
        f"<p>Drop up to {most} photos. They share one queue with everybody's photos, "
        "and are labelled by the model and at the size chosen in the tab Label. The ZIP has each "
        "photo's label map and overlay, a table of the classes and the facts as JSON.</p>"
    )


def several_progress(number: int, total: int, doing: str, failed: Failures = ()) -> str:
    """How far a visitor's photos are; HTML.

    Args:
        number: of the photo that is next or at work, from 1.
        total: how many there are.
        doing: what is happening to it.
        failed: (name, why) of those that could not be labelled.
    """
    done = f'<progress max="{total}" value="{number - 1}" aria-label="Photos done"></progress>'
    return several_status(f"{number} of {total}: {doing or 'next …'}", failed, done)


def several_done(total: int, labelled: int, *, stopped: bool) -> str:
    """What became of a visitor's photos."""
    photos = "1 photo is" if labelled == 1 else f"{labelled} photos are"
    if stopped:
        return f"Stopped: {photos} labelled, of {total}."
    if labelled == total:
        return f"Done: {photos} labelled."
    return f"Done: {photos} labelled, of {total}."


def several_status(text: str, failed: Failures, before: str = "") -> str:
    """A sentence on a visitor's photos, and those that could not be labelled; HTML."""
    said = f'{before}<p role="status">{html.escape(text)}</p>'
    if not failed:
        return said
    rows = "".join(f"<li>{_failure(short_name(name), why)}</li>" for name, why in failed)
    return f"{said}<p>Not labelled:</p><ul>{rows}</ul>"


def _failure(name: str, why: str) -> str:
    """Why a photo could not be labelled, with its name, once; HTML."""
    return html.escape(why if name in why else f"{name}: {why}")


def several_busy(visitors: int) -> str:
    """What somebody is told where too many label several photos; HTML."""
    text = f"Busy: {visitors} visitors are labelling several photos. Try again in a minute."
    return several_status(text, ())


def several_too_many(most: int) -> str:
    """Why a photo was not even tried."""
    return f"Only {most} photos at a time; start another run for the rest."


def short_name(name: str) -> str:
    """An upload's name for a line of text: no folder, printable, 40 letters at most."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(c if c.isprintable() else "?" for c in last) or "photo"
    return clean if len(clean) <= 40 else f"{clean[:24]}…{clean[-15:]}"


def is_memory_error(error: BaseException) -> bool:
    """Whether an error of ours stands for too little memory."""
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
    """How a menu names a model: its title, and what must be fetched first.

    Args:
        name: the model.
        ready: whether it can answer without a download.
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


def run_facts(answer: "LabelResult") -> str:
    """Which model and device answered, how long it took, and what else to know; HTML."""
    result = answer.result
    height, width = result.class_map.shape
    sharper = (
        f" at {size_text(answer.request.size)}" if isinstance(answer.request.size, tuple) else ""
    )
    facts = (
        f"<strong>{html.escape(result.model)}</strong> on {html.escape(result.device)} in "
        f"{result.precision}{sharper} · {height} × {width} px · {result.seconds:.2f} s"
    )
    notes = [*answer.notes, *built_in_note(answer)]
    return "<br>".join([facts, *(html.escape(note) for note in notes)])


def size_text(size: "Size") -> str:
    """A size or several in words: "192 px", "192 and 288 px"."""
    sizes = size if isinstance(size, tuple) else (size,)
    return f"{' and '.join(map(str, sizes))} px"


def built_in_note(answer: "LabelResult") -> list[str]:
    """What the built-in model is, what it knows and how good it is, where it labelled the photo."""
    is_built_in = answer.result.model == EMBEDDED
    return [_model_note(answer.card, answer.request.size)] if is_built_in else []


@functools.lru_cache(maxsize=16)
def _model_note(card: "ModelCard", size: "Size") -> str:
    """All of it from the model's card, and the figures only at the size that they hold at."""
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


LARGER_FAILED = "The larger model could not be fetched."


def download_note(download: "Download", why: bool = True) -> str:
    """How the larger model is doing that somebody wanted; HTML.

    Args:
        download: of its weights.
        why: whether to say why it failed: that names this machine's folders.
    """
    if download.error and not why:
        return f"{LARGER_FAILED} Try again later."
    if download.error:
        said = html.escape(error_text(download.sentence()))
        return f"{LARGER_FAILED}<details><summary>Why, and what to do</summary>{said}</details>"
    if download.ended:
        return "The larger model is here."
    total = f" of {download.total / 1e6:.0f}" if download.total else ""
    return f"Fetching the larger model: {download.done / 1e6:.0f}{total} MB …"


def error_text(error: Exception | str) -> str:
    """An error that we raised, as the page shows it: plain text, first letter large."""
    text = str(error)
    return text[:1].upper() + text[1:]
