"""Which numbers mean black and white, where a file's type alone does not tell."""

from typing import NamedTuple

LIMITS = {"f": (1.0, 255.0), "i": (255.0, 65535.0, float(2**32 - 1), float(2**64 - 1))}
"""What the greatest value of a picture may be by convention: floats ("f"), whole numbers ("i")."""

DARK = 0.25
"""A picture whose greatest value is below this share of its limit uses less than the limit: 14 bits
or less of 16, or reflectances of some thousands."""


class ValueRange(NamedTuple):
    """What is shown as black and as white, and what a person should know about it."""

    low: float
    high: float
    note: str | None


def conventional_range(low: float, high: float, limits: tuple[float, ...]) -> ValueRange:
    """The range of a picture of whole numbers without a fixed one, or of floats.

    Args:
        low: The least finite value.
        high: The greatest finite value; less than `low` where there is none.
        limits: The conventions, rising, of which the first that holds all values is taken.

    Returns:
        0 and the limit; or, with a note, the values' own range where they are negative or beyond
        all limits, and 0 and the greatest where that is below `DARK` of a limit but the first.
    """
    if low > high:
        return ValueRange(0.0, 1.0, None)
    limit = next((limit for limit in limits if high <= limit), None)
    if low < 0 or limit is None:
        return ValueRange(low, high, _note(low, high))
    if 0 < high < DARK * limit and limit != limits[0]:
        return ValueRange(0.0, high, _note(0, high))
    return ValueRange(0.0, limit, None)


def _note(low: float, high: float) -> str:
    return f"values {low:g} to {high:g} stretched to 0 to 255"
