"""A progress bar for the terminal, and a line now and then for a log file."""

import sys
import time


class Bar:
    """Shows how far a task is, with the time left.

    Args:
        title: What is being done.
        quiet: Show nothing.
    """

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self.title, self.quiet = title, quiet
        self.terminal = sys.stderr.isatty()
        self.started = self.shown = time.monotonic()
        self.first: float | None = None
        self._width = 0  # of the line that stands in the terminal

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """Show progress, at most every half second (every half minute in a log file).

        Args:
            done: How much is done; the first call says where the task starts.
            total: How much there is.
            note: A few words more.
        """
        now = time.monotonic()
        if self.first is None:
            self.first = done
        if self.quiet or now - self.shown < (0.5 if self.terminal else 30):
            return
        self.shown = now
        share = done / total if total else 1.0
        left = "?"
        if done > self.first:
            seconds = (now - self.started) / (done - self.first) * (total - done)
            left = f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
        filled = "#" * round(30 * share)
        line = f"{self.title} [{filled:<30}] {share:6.1%}, {left} left{', ' + note if note else ''}"
        if self.terminal:
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._width:
            print(file=sys.stderr)
            self._width = 0
