"""The values of black and white in images whose type does not fix them."""

from typing import NamedTuple

import numpy as np

LIMITS = {"f": (1.0, 255.0), "i": (255.0, 65535.0, float(2**32 - 1), float(2**64 - 1))}
"""Conventional greatest values of an image, rising: of floats ("f") and whole numbers ("i")."""

DARK = 0.25
"""An image whose greatest value is below this share of its limit has a smaller range: 14 bits or
less of 16, or reflectances of some thousands."""


class ValueRange(NamedTuple):
    """The values that are shown as black and as white, and a note for the user."""

    low: float
    high: float
    note: str | None


def conventional_range(low: float, high: float, limits: tuple[float, ...]) -> ValueRange:
    """Return the range of an image of floats, or of whole numbers without a fixed range.

    Args:
        low: The least finite value.
        high: The greatest finite value; less than `low` if there is none.
        limits: Conventional greatest values, rising; the first that holds all values is used.

    Returns:
        0 and the limit. With a note: the values' own range where they are negative or beyond all
        limits; 0 and the greatest value where that is below `DARK` of a limit other than the first.
    """
    if low > high:
        return ValueRange(0.0, 1.0, None)
    limit = next((limit for limit in limits if high <= limit), None)
    if low < 0 or limit is None:
        return ValueRange(low, high, _note(low, high))
    if 0 < high < DARK * limit and limit != limits[0]:
        return ValueRange(0.0, high, _note(0, high))
    return ValueRange(0.0, limit, None)


def stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return rint(255 * (value - low) / (high - low)) within 0 to 255 as uint8; NaN becomes 0."""
    scaled = (values.astype(np.float64) - low) * (255 / (high - low or 1))
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0)
    return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def _note(low: float, high: float) -> str:
    return f"values {low:g} to {high:g} stretched to 0 to 255"
