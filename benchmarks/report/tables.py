"""Markdown tables of measurements and of targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FACTS = {
    "processor": "processor",
    "cores": "cores",
    "memory_gb": "memory, GB",
    "instructions": "instructions that torch uses",
    "bfloat16": "native bfloat16",
    "system": "system",
    "python": "Python",
    "torch": "torch",
    "threads": "threads of torch",
}
"""Keys of `timing.machine` that the page shows, and their names."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; columns after the first are right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def ratio(value: float) -> str:
    """Return a ratio as text, `3.41x`."""
    return f"{value:.2f}x"


def machine_line(facts: dict[str, Any]) -> str:
    """Return the facts of `timing.machine` as one line."""
    return ", ".join(f"{name}: {facts[key]}" for key, name in FACTS.items())


@dataclass(frozen=True)
class Target:
    """One target and its measured value.

    Attributes:
        name: what is measured.
        bound: the value to reach.
        measured: the value reached.
        unit: of both, such as "x", "%" or " ms".
        upper: True if the value may not exceed the bound, False if it may not fall below it.
        note: a related figure.
    """

    name: str
    bound: float
    measured: float
    unit: str = "x"
    upper: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the measured value respects the bound."""
        return self.measured <= self.bound if self.upper else self.measured >= self.bound

    def cells(self) -> list[str]:
        """Return the target as a row of the table."""
        digits = {"x": 2, "%": 1}.get(self.unit, 0)
        bound = f"{'at most' if self.upper else 'at least'} {self.bound:g}{self.unit}"
        measured = f"{self.measured:.{digits}f}{self.unit}"
        return [self.name, bound, measured, self.note, "yes" if self.met else "**no**"]


def targets_table(targets: Sequence[Target]) -> str:
    """Return all targets as a Markdown table."""
    header = ["target", "bound", "measured", "note", "met"]
    return markdown(header, [target.cells() for target in targets])
