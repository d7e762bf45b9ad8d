"""The classroom's seventh view: two or three models side by side."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from page.classroom import figures as fig
from page.classroom import text as words
from page.classroom.session import ClassroomSession, MissingInputError, palette_of, told
from page.service import error_messages
from page.service.result_cache import LabelResult
from page.texts import size_text
from segmentation import MODELS, PixelwiseError, Segmentation
from segmentation.inference.metrics import agreement, disagreement, joint_classes
from segmentation.models.loader import count_parameters

log = logging.getLogger(__name__)

MAX_COMPARED = 3
OTHER_SIZE = 2  # a model can be compared with itself at this part or multiple of its size


class Compare:
    """Compares models, each named as "model" or "model@size".

    Args:
        lab: finds answers and networks.
    """

    def __init__(self, lab: ClassroomSession) -> None:
        self.lab = lab

    def choices(self, key: str) -> list[tuple[str, str]]:
        """What can be compared: (shown, value) pairs; value is "model" or "model@size"."""
        service = self.lab.service
        pairs = []
        for name in service.model_names():
            fetch = "" if service.is_ready(name) else ", to be fetched"
            pairs.append((Path(name).stem + fetch, name))
        answer = self.lab.answer(key)
        small = answer.card.resize // OTHER_SIZE
        for size in (small, answer.card.resize * OTHER_SIZE):
            shown = f"{Path(answer.request.used_model).stem} seeing {size} px"
            pairs.append((shown, f"{answer.request.used_model}@{size}"))
        return pairs

    @told
    def run(self, key: str, chosen: Sequence[str]) -> Iterator[str]:
        """Two or three models on one photo: labels, where they disagree, what is known of them."""
        answer = self.lab.answer(key)
        if not 2 <= len(chosen) <= MAX_COMPARED:
            raise MissingInputError(f"Choose two or {MAX_COMPARED} models.")
        image = answer.photo.image
        figures, found, facts, answers, sorry = [], [], [], [], ""
        for number, choice in enumerate(chosen):
            name, _, size = choice.partition("@")
            shown = Path(name).stem + (f" at {size} px" if size else "")
            yield _side_by_side(figures) + sorry + words.working(f"{shown} …", number, len(chosen))
            try:
                other = self.lab.again(answer, name, int(size) if size else None)
            except PixelwiseError as error:
                sorry += words.note(
                    f"<strong>{words.escape(shown)}</strong> cannot answer: "
                    + words.escape(error_messages.plain(log, error)),
                    "error",
                )
                continue
            figures.append(
                fig.label_figure(
                    image,
                    other.result,
                    palette_of(other),
                    f"<strong>{words.escape(shown)}</strong> ",
                )
            )
            found.append((words.escape(shown), other.result))
            facts.append(_known(shown, name, other))
            answers.append(other)
        table = fig.table(
            ("Model", "mIoU", "Parameters", "Shown", "This photo"), facts, "What is known of them"
        )
        table += _warning(answers)
        yield _side_by_side(figures) + sorry + (_verdict(image, found) if found else "") + table

    def first(self, key: str) -> list[str]:
        """What is chosen at first: two models that are here, or one at two sizes."""
        answer = self.lab.answer(key)
        service = self.lab.service
        here = [
            n
            for n in service.model_names()
            if n != answer.request.used_model and service.is_ready(n)
        ]
        other = (
            here[0] if here else f"{answer.request.used_model}@{answer.card.resize * OTHER_SIZE}"
        )
        return [answer.request.used_model, other]


def _side_by_side(figures: Sequence[str]) -> str:
    return fig.row(*figures, linked=True, classes="cl-three") if figures else ""


def _known(shown: str, name: str, other: LabelResult) -> tuple[str, ...]:
    card = other.card
    parameters = card.parameters or (count_parameters(name) if name in MODELS else None)
    return (
        words.escape(shown),
        _quality(other),
        f"{parameters / 1e6:.1f} million" if parameters else "unknown",
        size_text(other.request.size or card.resize),
        words.seconds(other.result.seconds),
    )


def _quality(answer: LabelResult) -> str:
    """A model's mean IoU with the photos that it was measured on; HTML."""
    quality = answer.card.quality_at(answer.request.size)
    if quality is not None:
        return f"{quality[0]:.1f} <small>on {words.escape(quality[1])}</small>"
    return "not measured" if answer.card.miou is None else "not measured at this size"


def _warning(answers: Sequence[LabelResult]) -> str:
    """A sentence where the models' figures come from different photos, else nothing; HTML."""
    qualities = [answer.card.quality_at(answer.request.size) for answer in answers]
    if len({quality[1] for quality in qualities if quality is not None}) < 2:
        return ""
    return words.note(
        "These mIoU figures were measured on different photos, so they cannot be compared."
    )


def _verdict(image: np.ndarray, found: Sequence[tuple[str, Segmentation]]) -> str:
    """Where the models disagree, and how often each two agree."""
    names, results = zip(*found, strict=True)
    maps, _ = joint_classes([r.class_map for r in results], [r.categories for r in results])
    table = agreement(maps)
    differ = disagreement(maps)
    rows = [
        (name, *(_cell(i, j, table[i, j]) for j in range(len(names))))
        for i, name in enumerate(names)
    ]
    return fig.row(
        fig.frame(
            fig.marked(image, differ > 0),
            f"<strong>They disagree on {words.percent(float((differ > 0).mean()))}</strong> of the "
            "pixels.",
            alt="Where the models disagree",
        ),
        fig.table(("", *names), rows, "Share of pixels on which two agree"),
        classes="cl-pair cl-small",
    )


def _cell(i: int, j: int, value: float) -> str:
    return "–" if i == j else words.percent(value)
