"""A progress bar that is set to absolute progress, based on tqdm."""

import sys
from typing import Any

from tqdm import tqdm


class Bar:
    """Shows the progress and the remaining time of a task on standard error.

    Args:
        title: name of the task.
        quiet: whether to show nothing.
        options: further options of `tqdm`.
    """

    def __init__(self, title: str, *, quiet: bool = False, **options: Any) -> None:
        disabled = quiet or sys.stderr is None  # pythonw has none
        # tasks shorter than this show nothing
        seconds = 0.5 if not disabled and sys.stderr.isatty() else 30.0
        bar_format = "{desc}: {percentage:5.1f}% |{bar:30}| {elapsed}<{remaining}{postfix}"
        options = {"mininterval": seconds, "delay": seconds, "bar_format": bar_format, **options}
        self._bar = tqdm(desc=title, disable=disabled, **options)

    def __call__(self, done: float, total: float | None, note: str = "") -> None:
        """Show progress, at most every half second (every half minute in a log file).

        Args:
            done: completed amount.
            total: total amount; None if unknown.
            note: short text to append.
        """
        if not self._bar.disable:
            self._bar.total = total
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Finish the bar's line."""
        self._bar.close()
