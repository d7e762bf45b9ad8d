"""Markdown tables and the words in their cells."""

from collections.abc import Sequence
from typing import Any


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; columns after the first are set to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def ratio(value: float) -> str:
    """A ratio as text, `3.41x`."""
    return f"{value:.2f}x"


def machine_line(facts: dict[str, Any]) -> str:
    """The facts of `timing.machine` in one line."""
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gb']:g} GB, "
        f"{facts['instructions']}, bfloat16 {'yes' if facts['bfloat16'] else 'no'}, "
        f"{facts['system']}, Python {facts['python']}, torch {facts['torch']} on "
        f"{facts['threads']} threads, load {facts['load']} at the start, {facts['date']}"
    )
