"""What went wrong, for the owner: one line each, and the whole trace only where it is asked for.

A stranger's odd request must not fill the log with traces, nor write lines of their own into it.
"""

import logging
import traceback
from pathlib import Path


def tell(log: logging.Logger, what: str, error: BaseException) -> None:
    """Log an error in one line; with `--log-level debug` its trace, too.

    Args:
        log: where.
        what: what could not be done.
        error: why.
    """
    log.error("%s: %s", what, in_short(error))
    log.debug("%s", what, exc_info=error)


def in_short(error: BaseException) -> str:
    """An error's kind, words and place, in one line."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    steps = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(steps[-1].filename).name}:{steps[-1].lineno}" if steps else ""
    return f"{type(error).__name__}: {str(error)[:300]!r}{where}"


class OneLine(logging.Formatter):
    """A formatter whose messages are one line, whatever is in them; traces come below."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line, with line ends and control characters as escapes."""
        return "".join(
            c if c.isprintable() else repr(c)[1:-1] for c in super().formatMessage(record)
        )
