"""Types of command-line options for argparse: bounded numbers and existing files."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

_MAX_DIGITS = 18


def bounded_int(low: int, high: int | None = None, name: str = "whole number") -> Callable:
    """Return a parser of whole numbers in decimal digits from `low` to `high`, if given."""
    bounds = f"from {low}" if high is None else f"from {low} to {high}"

    def read(text: str) -> int:
        digits = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
        if not digits or int(text) < low or (high is not None and int(text) > high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a {name} {bounds}")
        return int(text)

    return read


def bounded_float(
    low: float, high: float = math.inf, *, above: bool = False, bounds: str = ""
) -> Callable:
    """Return a parser of finite numbers from `low` to `high`.

    Args:
        low: lower bound.
        high: upper bound, inclusive.
        above: whether `low` itself is excluded.
        bounds: text of the bounds in the error message, such as "from 0"; by default
            made from `low` and `high`.
    """
    lower = f"above {low:g}" if above else f"from {low:g}"
    bounds = bounds or (lower if high == math.inf else f"{lower} to {high:g}")

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and value < math.inf) or (above and value == low):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {bounds}")
        return value

    return read


def existing_file(text: str) -> str:
    """Return the path if it is a file, for argparse's `type`."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"no file at {text!r}")
    return text
