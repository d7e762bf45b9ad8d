"""What a command tells the person at the terminal."""

import sys


def complain(message: str) -> int:
    """Print one line on standard error.

    Returns:
        1, the exit status that goes with a complaint.
    """
    line = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    print(line, file=sys.stderr, flush=True)  # a file's name may hold a terminal's commands
    return 1
