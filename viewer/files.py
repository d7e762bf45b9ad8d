"""Files that a visitor may fetch, in Gradio's folder for them."""

import os
import tempfile
from pathlib import Path

from gradio.processing_utils import hash_bytes


def keep_file(data: bytes, name: str, cache: str) -> Path:
    """Write a file where Gradio serves it, whole at every moment.

    Equal contents share a file. Gradio's own `save_bytes_to_cache` writes it anew in place, so that
    somebody who fetches it just then gets nothing.

    Args:
        data: its content.
        name: its name.
        cache: Gradio's folder (`Blocks.GRADIO_CACHE`).

    Returns:
        Its path.

    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    path = Path(cache, hash_bytes(data), name)
    Path(cache).mkdir(mode=0o700, exist_ok=True, parents=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle, other = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(other, path)
    except BaseException:  # the disk is full: what is there already is no file
        Path(other).unlink(missing_ok=True)
        raise
    return path.resolve()
