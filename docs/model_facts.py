"""Write the figures in docs/models.md from the models' cards: `python -m docs.model_facts`."""

import re
from collections.abc import Callable
from pathlib import Path

from segmentation.models.knowledge import calibration_sentence, knowledge_sentence
from segmentation.models.loader import count_parameters
from segmentation.models.registry import EMBEDDED, MODELS, PUBLISHED_ON, embedded_card

PAGE = Path(__file__).with_name("models.md")


def model_table() -> str:
    """Return a Markdown table of the models: figures, photos measured on, and sizes."""
    card = embedded_card()
    rows = [
        "| name | mIoU over 21 classes | measured on | parameters | download |",
        "|---|---|---|---|---|",
        f"| `{EMBEDDED}` | {card.miou:.1f} | {card.measured_on} | "
        f"{count_parameters(EMBEDDED) / 1e6:.1f} M | none: it is in the package |",
    ]
    rows += [
        f"| `{name}` | {spec.miou:.1f} | {PUBLISHED_ON} | {spec.parameters / 1e6:.1f} M | "
        f"{spec.bytes / 1e6:.0f} MB |"
        for name, spec in MODELS.items()
        if spec.miou is not None
    ]
    return "\n".join(rows)


def built_in_model() -> str:
    """Return a Markdown list of the built-in model's strengths, weaknesses and calibration."""
    figures = embedded_card().figures
    lines = [
        f"- {knowledge_sentence(figures)}",
        f"- {calibration_sentence(figures)} Its expected calibration error is "
        f"{figures.calibration_error:.3f}.",
        "- The page marks pixels as unsure where more than one class is likely. The set of classes "
        f"for a pixel holds the true one in {100 * figures.set_coverage:.0f} of 100 cases.",
        f"- All measured on {figures.measured_on} (shorter side).",
    ]
    return "\n".join(lines)


BLOCKS: dict[str, Callable[[], str]] = {
    "model table": model_table,
    "built-in model": built_in_model,
}


def fill(text: str) -> str:
    """Return the page with each block between its two marks written from the cards."""
    for name, write in BLOCKS.items():
        mark = f"<!-- {name}: python -m docs.model_facts -->"
        block = re.compile(f"{re.escape(mark)}\n.*?<!-- end -->", re.DOTALL)
        if not block.search(text):
            raise ValueError(f"docs/models.md has no block {mark} ... <!-- end -->")
        text = block.sub(lambda _, m=mark, w=write: f"{m}\n{w()}\n<!-- end -->", text)
    return text


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
