"""A progress bar: tqdm, told how far a task is and not how much was added."""

import sys
from typing import Any

from tqdm import tqdm


class Bar:
    """Shows how far a task is, with the time left, on standard error.

    Args:
        title: What is being done.
        quiet: Show nothing.
        options: As tqdm takes them.
    """

    def __init__(self, title: str, *, quiet: bool = False, **options: Any) -> None:
        nowhere = quiet or sys.stderr is None  # pythonw has none
        often = not nowhere and sys.stderr.isatty()
        seconds = 0.5 if often else 30.0  # what is over before shows nothing
        shape = "{desc}: {percentage:5.1f}% |{bar:30}| {elapsed}<{remaining}{postfix}"
        options = {"mininterval": seconds, "delay": seconds, "bar_format": shape, **options}
        self._bar = tqdm(desc=title, disable=nowhere, **options)

    def __call__(self, done: float, total: float | None, note: str = "") -> None:
        """Show progress, at most every half second (every half minute in a log file).

        Args:
            done: How much is done.
            total: How much there is; None where that is not known.
            note: A few words more.
        """
        if not self._bar.disable:
            self._bar.total = total
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the line."""
        self._bar.close()
