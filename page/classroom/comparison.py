"""View 7 of the classroom: two or three models side by side."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from page.classroom import figures as fig
from page.classroom import text as texts
from page.classroom.session import ClassroomSession, MissingInputError, errors_as_html
from page.service import error_messages
from page.service.result_cache import LabelResult
from page.texts import size_text
from segmentation import MODELS, PixelwiseError, Segmentation
from segmentation.inference.metrics import agreement, disagreement, joint_classes
from segmentation.models.loader import count_parameters

log = logging.getLogger(__name__)

MAX_COMPARED = 3
SIZE_FACTOR = 2  # a model can be compared with itself at its size divided or multiplied by this


class Compare:
    """Compare models, each named as "model" or "model@size".

    Args:
        lab: the results and networks.
    """

    def __init__(self, lab: ClassroomSession) -> None:
        self.lab = lab

    def choices(self, key: str) -> list[tuple[str, str]]:
        """Return the (label, value) pairs to choose from; a value is "model" or "model@size"."""
        service = self.lab.service
        pairs = []
        for name in service.model_names():
            fetch = "" if service.is_ready(name) else ", to be fetched"
            pairs.append((Path(name).stem + fetch, name))
        entry = self.lab.entry(key)
        own = entry.card.resize
        for size in (own // SIZE_FACTOR, own * SIZE_FACTOR):
            label = f"{Path(entry.request.used_model).stem} seeing {size} px"
            pairs.append((label, f"{entry.request.used_model}@{size}"))
        return pairs

    @errors_as_html
    def run(self, key: str, chosen: Sequence[str]) -> Iterator[str]:
        """Yield HTML of two or three models on one photo: labels, disagreement, model figures."""
        entry = self.lab.entry(key)
        if not 2 <= len(chosen) <= MAX_COMPARED:
            raise MissingInputError(f"Choose two or {MAX_COMPARED} models.")
        image = entry.photo.image
        figures, entries, rows, errors = [], [], [], ""
        for number, choice in enumerate(chosen):
            name, _, size = choice.partition("@")
            label = Path(name).stem + (f" at {size} px" if size else "")
            yield _side_by_side(figures) + errors + texts.working(f"{label} …", number, len(chosen))
            try:
                other = self.lab.relabel(entry, name, int(size) if size else None)
            except PixelwiseError as error:
                errors += texts.note(
                    f"<strong>{texts.escape(label)}</strong> could not label the photo: "
                    + texts.escape(error_messages.plain(log, error)),
                    "error",
                )
                continue
            figures.append(fig.label_figure(other, f"<strong>{texts.escape(label)}</strong> "))
            rows.append(_table_row(label, name, other))
            entries.append(other)
        table = fig.table(
            ("Model", "mIoU", "Parameters", "Shown", "This photo"), rows, "The models in figures"
        )
        labels = [row[0] for row in rows]
        verdict = _disagreement(image, labels, [e.result for e in entries]) if entries else ""
        yield _side_by_side(figures) + errors + verdict + table + _warning(entries)

    def first(self, key: str) -> list[str]:
        """Return the first choice: two models that are ready, or one at two sizes."""
        entry = self.lab.entry(key)
        service = self.lab.service
        used = entry.request.used_model
        ready = [n for n in service.model_names() if n != used and service.is_ready(n)]
        return [used, ready[0] if ready else f"{used}@{entry.card.resize * SIZE_FACTOR}"]


def _side_by_side(figures: Sequence[str]) -> str:
    return fig.row(*figures, linked=True, classes="cl-three") if figures else ""


def _table_row(label: str, name: str, other: LabelResult) -> tuple[str, ...]:
    """Return label, mIoU, parameters, input size and seconds as HTML."""
    card = other.card
    parameters = card.parameters or (count_parameters(name) if name in MODELS else None)
    return (
        texts.escape(label),
        _quality(other),
        f"{parameters / 1e6:.1f} million" if parameters else "unknown",
        size_text(other.request.size or card.resize),
        texts.seconds(other.result.seconds),
    )


def _quality(entry: LabelResult) -> str:
    """Return a model's mean IoU and the photos that it was measured on, as HTML."""
    quality = entry.card.quality_at(entry.request.size)
    if quality is not None:
        return f"{quality[0]:.1f} <small>on {texts.escape(quality[1])}</small>"
    return "not measured" if entry.card.miou is None else "not measured at this size"


def _warning(entries: Sequence[LabelResult]) -> str:
    """Return a note as HTML if the mIoU figures come from different photos, else ""."""
    qualities = [entry.card.quality_at(entry.request.size) for entry in entries]
    if len({quality[1] for quality in qualities if quality is not None}) < 2:
        return ""
    return texts.note(
        "These mIoU figures were measured on different photos, so they cannot be compared."
    )


def _disagreement(image: np.ndarray, names: Sequence[str], results: Sequence[Segmentation]) -> str:
    """Return HTML: where the models disagree, and a table of how often each two agree."""
    maps, _ = joint_classes([r.class_map for r in results], [r.categories for r in results])
    table = agreement(maps)
    differ = disagreement(maps)
    rows = [
        (name, *(_cell(i, j, table[i, j]) for j in range(len(names))))
        for i, name in enumerate(names)
    ]
    return fig.row(
        fig.frame(
            fig.highlight(image, differ > 0),
            f"<strong>They disagree on {texts.percent(float((differ > 0).mean()))}</strong> of the "
            "pixels.",
            alt="Where the models disagree",
        ),
        fig.table(("", *names), rows, "Share of pixels on which two agree"),
        classes="cl-pair cl-small",
    )


def _cell(i: int, j: int, value: float) -> str:
    return "–" if i == j else texts.percent(value)
