"""What is wanted, what was measured, and whether that is enough."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.tables import markdown


@dataclass(frozen=True)
class Target:
    """One promise.

    Attributes:
        what: what is measured.
        wanted: the bound.
        measured: the value.
        met: whether it keeps within the bound.
        unit: of both, such as "x", "%" or " ms".
        most: the bound is an upper one.
        beside: what else one should know of it.
    """

    what: str
    wanted: float
    measured: float
    unit: str = "x"
    most: bool = False
    beside: str = ""

    @property
    def met(self) -> bool:
        """Whether the measured value keeps within the bound."""
        return self.measured <= self.wanted if self.most else self.measured >= self.wanted

    def cells(self) -> list[str]:
        """As a row of the table; the value has enough digits to see on which side it lies."""
        digits = {"x": 2, "%": 1}.get(self.unit, 0)
        bound = f"{'at most' if self.most else 'at least'} {self.wanted:g}{self.unit}"
        measured = f"{self.measured:.{digits}f}{self.unit}"
        return [self.what, bound, measured, self.beside, "yes" if self.met else "**no**"]


def targets_table(targets: Sequence[Target]) -> str:
    """All of them as Markdown."""
    rows = [target.cells() for target in targets]
    return markdown(["target", "wanted", "measured", "beside it", "met"], rows)
