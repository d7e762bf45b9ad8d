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

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """Show progress, at most every half second (every half minute in a log file)."""
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
        print(
            f"\r{line}" if self.terminal else line,
            end="" if self.terminal else "\n",
            file=sys.stderr,
        )

    def close(self) -> None:
        """End the line."""
        if not self.quiet and self.terminal:
            print(file=sys.stderr)
