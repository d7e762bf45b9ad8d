"""Print messages on the terminal, without control sequences."""

import re
import sys

_COMMANDS = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.?)|\x9b[0-?]*[@-~]")


def print_error(message: str) -> int:
    """Print one line on standard error.

    Returns:
        1, the exit status of a failed command.
    """
    # file names may contain terminal control sequences
    print(plain(" ".join(message.split())), file=sys.stderr, flush=True)
    return 1


def plain(text: str, max_length: int | None = None, *, lines: bool = False) -> str:
    """Remove terminal control sequences; other unprintable characters become "?".

    Args:
        text: untrusted text.
        max_length: maximum number of characters; None for all.
        lines: keep line breaks.
    """
    characters = _COMMANDS.sub("", text).strip()[:max_length]
    return "".join(c if c.isprintable() or (lines and c == "\n") else "?" for c in characters)
