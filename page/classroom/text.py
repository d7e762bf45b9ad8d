"""Texts of the classroom: introductions of the views, the glossary, and small pieces of HTML."""

import html
import re

TERMS = {
    "argmax": (
        "Argmax",
        "The place of the largest number in a list, not the number itself. Each pixel gets the "
        "class whose logit is largest, however small its lead.",
    ),
    "aspp": (
        "ASPP",
        "Atrous spatial pyramid pooling: several branches look at the same feature map at once, "
        "each over another distance. Their outputs are joined, so that small and large things can "
        "both be recognised.",
    ),
    "atrous": (
        "Atrous rate",
        "How many cells lie between two taps of a kernel; at rate 1 they touch. A 3 × 3 kernel at "
        "rate 12 still has nine weights, but spans 25 cells.",
    ),
    "backbone": (
        "Encoder (backbone)",
        "The first and largest part of the network, which turns the photo into feature maps. It "
        "was designed to classify whole photos; the head behind it makes pixels of that.",
    ),
    "decoder": (
        "Decoder",
        "The part that turns coarse feature maps back into a map with fine edges. In DeepLabV3+ it "
        "joins the ASPP's output with early features of four times its resolution.",
    ),
    "entropy": (
        "Entropy",
        "One number for how undecided a distribution is, in bits: 0 for certainty, log₂ 21 ≈ 4.39 "
        "when all 21 classes are equally likely. It is large along edges and on things the network "
        "does not know.",
    ),
    "feature": (
        "Feature map",
        "A picture made by the network in which each channel says how strongly something was found "
        "in each cell. Early maps show edges and colours, late ones whole parts of objects.",
    ),
    "gradient": (
        "Gradient",
        "How much an output would move if an input were nudged a little. Taken with respect to "
        "the photo, it shows which pixels the output depends on.",
    ),
    "iou": (
        "IoU",
        "Intersection over union: the pixels that two masks share, divided by the pixels that "
        "either of them has. It is 1 for equal masks, 0 for masks that do not touch.",
    ),
    "logit": (
        "Logit",
        "The raw score that the network gives a class at a pixel; any number, also below zero. "
        "Softmax turns the logits of all classes into probabilities.",
    ),
    "margin": (
        "Margin",
        "The winner's probability less the runner-up's. A small margin means that a little noise "
        "could flip the label.",
    ),
    "miou": (
        "mIoU",
        "The mean, over the classes, of the IoU between what the network labels and what people "
        "labelled on a test set. Two models' numbers can be compared only on the same test set.",
    ),
    "padding": (
        "Padding",
        "Zeros around a feature map, so that a kernel can be centred at its edge. A tap in "
        "the padding reads nothing of the photo.",
    ),
    "pooling": (
        "Image pooling",
        "The mean of a feature map over all its cells: one vector that summarizes the whole "
        "photo. ASPP passes it back to every cell.",
    ),
    "receptive": (
        "Receptive field",
        "The part of the photo that can influence a pixel's output at all (theoretical), or "
        "that really does (effective). The second is much smaller than the first and fades towards "
        "its rim.",
    ),
    "skip": (
        "Skip connection",
        "A path that carries early, fine features past the coarse middle of the network to the "
        "decoder. Without it, edges come out soft.",
    ),
    "softmax": (
        "Softmax",
        "Turns logits into probabilities: each is raised to a power of e and divided by the sum. "
        "The largest logit stays the largest, and all add up to 1.",
    ),
    "stride": (
        "Stride",
        "How many pixels of the input one cell of a feature map stands for, along each side. At "
        "stride 16 a photo of 512 × 512 becomes 32 × 32 cells.",
    ),
}
"""Terms: key -> (name, explanation in two sentences)."""

VIEWS = (
    (
        "Three steps",
        "Which classes are in the photo, where their boxes are, which pixels are theirs: "
        "classification, bounding, masking. Point at one to highlight it in the others.",
    ),
    (
        "One pixel",
        "Click a pixel in any photo here. Its [[logit|logits]] become probabilities by "
        "[[softmax]], and [[argmax]] makes the label of them; [[margin]] and [[entropy]] show what "
        "argmax leaves out.",
    ),
    (
        "ASPP microscope",
        "To judge your pixel, each branch of the [[aspp|ASPP]] reads the [[feature|feature map]] "
        "at its taps, [[atrous|rate]] × [[stride]] pixels apart; taps beyond the edge read "
        "[[padding]]. Switch a branch off to see what it contributes.",
    ),
    (
        "What it looks at",
        "The [[receptive|receptive field]] of your pixel: what the layers could see in theory, and "
        "which part the [[gradient]] shows they really use.",
    ),
    (
        "Inside",
        "The [[feature|feature maps]] from stage to stage: the [[backbone|encoder]] trades "
        "resolution for meaning, the [[decoder]] restores the edges, and a [[skip|skip "
        "connection]] helps it.",
    ),
    (
        "Resolution",
        "The same photo, shown to the network at five sizes. More pixels cost time, and are not "
        "always better: the network was trained to see things at one scale.",
    ),
    (
        "Compare",
        "Two or three models on the same photo. Where they disagree, at least one is wrong; "
        "[[miou|mIoU]] measures them on thousands of photos.",
    ),
    (
        "Your turn",
        "Paint one object, and get your [[iou|IoU]], counted pixel by pixel.",
    ),
    (
        "Break it",
        "A person still sees the same thing; does the network? Each change is run at once, and the "
        "labels are brought back to the pixels that they belong to before they are compared.",
    ),
)
"""Title and introduction of each view, in the order of the lesson."""

NO_PHOTO = "Label a photo first: choose one under <strong>Label</strong>, or take an example here."
LABEL_FIRST = "This result has been deleted. Label the photo again."
PICK_FIRST = "Click a pixel in your photo first."
NOTHING_HERE = {
    "coffee": (
        "A cup is not among the 20 classes, and neither is a saucer or a spoon. The network cannot "
        "output “I do not know”: argmax must pick one of 21 classes for each pixel: it picks the "
        "most similar class that it has learned, or background."
    ),
    "rocket": (
        "A rocket is not among the 20 classes. Background was the right answer everywhere; "
        "any other label is an invention, because the 21 probabilities of a pixel must add "
        "up to 1 and one of them must be the largest."
    ),
}
SURE = "Softmax only compares the classes with each other, so a high score is no proof either."


def escape(text: object) -> str:
    """Escape a text for HTML."""
    return html.escape(str(text))


def linked(text: str) -> str:
    """Turn `[[term]]` and `[[term|words]]` into buttons that explain the term."""

    def button(match: re.Match[str]) -> str:
        key, _, shown = match[1].partition("|")
        return (
            f'<button type="button" class="cl-term" popovertarget="cl-term-{key}">'
            f"{shown or key}</button>"
        )

    return re.sub(r"\[\[(.+?)\]\]", button, text)


def glossary() -> str:
    """Return every term's explanation as a popover, and all of them as a collapsed list."""
    pops = "".join(
        f'<div popover id="cl-term-{key}" class="cl-popover"><h4>{name}</h4><p>{text}</p></div>'
        for key, (name, text) in TERMS.items()
    )
    rows = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in TERMS.values())
    return f"{pops}<details class='cl-words'><summary>All terms</summary><dl>{rows}</dl></details>"


def masthead() -> str:
    """Return the navigation through the nine views, and the projector switch."""
    steps = "".join(
        f'<button type="button" class="cl-step" data-view="{i}"><span>{i}</span>{title}</button>'
        for i, (title, _) in enumerate(VIEWS, 1)
    )
    return (
        f'<nav class="cl-nav" aria-label="Views of the classroom">{steps}</nav>'
        '<button type="button" class="cl-projector" aria-pressed="false">Projector mode</button>'
    )


def intro(number: int) -> str:
    """Return title and introduction of a view."""
    title, text = VIEWS[number - 1]
    return f"<h2>{number} · {title}</h2><p>{linked(text)}</p>"


def note(text: str, kind: str = "note") -> str:
    """Return a paragraph; `text` is HTML."""
    return f'<p class="cl-{kind}">{text}</p>'


def working(text: str, done: int = 0, total: int = 0) -> str:
    """Return a status line with a progress bar."""
    bar = (
        f'<progress max="{total}" value="{done}"></progress>' if total else "<progress></progress>"
    )
    return f'<p class="cl-status" role="status">{escape(text)} {bar}</p>'


def percent(share: float) -> str:
    """Format a share: 0 %, <0.1 %, 4.2 %, 37 %."""
    value = share * 100
    if value == 0:
        return "0 %"
    if value < 0.1:
        return "&lt;0.1 %"
    return f"{value:.1f} %" if value < 10 else f"{value:.0f} %"


def seconds(value: float) -> str:
    """Format a time: 62 ms, 1.4 s."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
