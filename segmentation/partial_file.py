"""A file that is written under another name first, so that nobody sees half of it."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".part"


@contextlib.contextmanager
def partial_file(folder: Path, prefix: str) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a new file that is removed after the block, unless the block has moved it away.

    Its name is chosen before it exists: Ctrl-C at any moment, also between creating and opening
    it, leaves nothing behind, which `tempfile.mkstemp` cannot promise.

    Args:
        folder: where; it exists.
        prefix: how its name begins.

    Yields:
        The file, open for writing, and its path. Close it before you move it (Windows).

    Raises:
        OSError: it cannot be created or written.
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
