"""Texts of the camera and of clips."""

import html

TITLE = "Live"
CLIP_TITLE = "A clip"
FAILED = "The server had a problem. Please start the camera again."
CLIP_FAILED = "The server had a problem; the clip was not labelled. Please try again."
CLIP_WAITS = "Another clip is being labelled, yours is next …"
CLIP_CANCELLED = "Cancelled. Nothing of the clip is kept."


def ended(seconds: float) -> str:
    """Return the message after a camera's time limit."""
    return (
        f"Stopped by itself: a camera is on for {seconds:g} s at most, so that a forgotten one "
        "does not keep the network busy. Go on if you are still there."
    )


def crowded(most: int) -> str:
    """Return the message for a camera that is refused because too many are on."""
    return f"{most} cameras are on already, and they share one network. Try again in a minute."


def not_here(name: str) -> str:
    """Return the message for a model whose weights are not on this machine."""
    return (
        f"The weights of {name} are not on this machine yet. Choose it once in the tab Label, "
        "which fetches them, or take another model here."
    )


def why(name: str, rates: dict[str, float], chosen: bool, least: float) -> str:
    """Return which model labels the camera, and why.

    Args:
        name: the model's name.
        rates: measured models -> frames per second.
        chosen: whether the visitor chose it.
        least: the wanted frames per second.
    """
    own = f"{name} answers"
    pace = f"{_rate(rates[name])} frames a second when tried here" if name in rates else ""
    if chosen:
        return f"{own}, as you chose ({pace})." if pace else f"{own}, as you chose."
    others = ", ".join(f"{one} {_rate(rate)}" for one, rate in rates.items() if one != name)
    compared = f"; tried as well: {others}" if others else ""
    if rates.get(name, 0.0) >= least:
        return f"{own}: the best one here that keeps up ({pace}{compared})."
    return f"{own}: the quickest one here, though not quick ({pace}{compared})."


def _rate(frames: float) -> str:
    return f"{frames:.0f}" if frames >= 10 else f"{frames:.1f}"


def clip_rules(seconds: float, megabytes: float, longest: int, fps: float) -> str:
    """Return the limits of a clip; HTML."""
    return (
        f"<p>At most {seconds:g} s and {megabytes:g} MB, as MP4, MOV, WebM, MKV or AVI. You get "
        f"an MP4 with the colours laid over it, {longest} pixels on its longer side and {fps:g} "
        "frames a second at most, with its sound. It is labelled on the machine that runs this "
        "page; its place and date are not handed on.</p>"
    )


def frame_of(done: int, total: int | None) -> str:
    """Return the progress of a clip."""
    return f"Labelling frame {done + 1}{f' of {total}' if total else ''} …"


def clip_done(
    frames: int,
    fps: float,
    height: int,
    width: int,
    sound: str,
    model: str,
    *,
    note: str = "",
    instead_of: str = "",
) -> str:
    """Return the facts of a labelled clip in a sentence.

    Args:
        frames: how many it has.
        fps: frames a second.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        sound: "kept", "recoded", "none" or "lost".
        model: the model that labelled it.
        note: on its colours.
        instead_of: names a model whose weights are unavailable.
    """
    facts = {
        "kept": "sound kept as it was",
        "recoded": "sound kept, as AAC",
        "none": "no sound in it",
        "lost": "its sound could not be read and is missing",
    }[sound]
    facts += f"; {note}" if note else ""
    return (
        f"Done: {frames} frames, {width} × {height} px, {fps:g} frames a second, {facts}. "
        f"Labelled by {model}."
        + (f" The weights of {instead_of} are not available." if instead_of else "")
    )


def status(text: str, fraction: float | None = None, *, busy: bool = False) -> str:
    """Return a status line, with a progress bar while work runs; HTML."""
    if not text:
        return ""
    bar = ""
    if busy:
        value = "" if fraction is None else f' value="{min(max(fraction, 0.0), 1.0):.3f}"'
        bar = f' <progress max="1"{value} aria-label="How much is done"></progress>'
    return f'<p class="clip-status" role="status">{html.escape(text)}{bar}</p>'
