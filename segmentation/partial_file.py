"""Write a file under a temporary name, so that no reader sees an incomplete file."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".part"


@contextlib.contextmanager
def partial_file(folder: Path, prefix: str) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a new file that is removed after the `with` block unless it was renamed.

    Its name is chosen before it is created, so that Ctrl-C at any moment leaves no file behind.
    `tempfile.mkstemp` does not guarantee this.

    Args:
        folder: an existing folder.
        prefix: beginning of the file name.

    Yields:
        The file, open for writing, and its path. Close the file before you rename it (Windows).

    Raises:
        OSError: the file cannot be created or written.
    """
    part = folder / f"{prefix}{secrets.token_hex(8)}{SUFFIX}"
    try:
        with open(part, "xb", opener=_private) as file:
            yield file, part
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
