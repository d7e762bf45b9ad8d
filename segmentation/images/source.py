"""From a path or bytes to the bytes of one file, and how a message calls it."""

import os
import stat
from pathlib import Path

from segmentation.errors import ImageError

# An uncompressed 16-bit RGB picture takes 6 bytes a pixel; a larger file holds something else.
_BYTES_PER_PIXEL = 6
_SPARE_BYTES = 1 << 20


def read_source(
    source: str | os.PathLike | bytes,
    max_bytes: int | None,
    max_megapixels: float | None,
    first: int | None = None,
) -> tuple[str, bytes]:
    """The bytes of one regular file, and how a message should call it.

    Args:
        source: A path, or the bytes themselves.
        max_bytes: The most bytes to accept, or None for what the megapixels could need.
        max_megapixels: The limit that `max_bytes=None` is derived from; None for no limit.
        first: How many bytes of a file to read at most; None for all of them.

    Returns:
        subject ("'cat.jpg'" or "This file"), data.

    Raises:
        ImageError: No such file, not a regular file, not allowed to read, empty or too large.
    """
    if max_bytes is None and max_megapixels is not None:
        max_bytes = int(max_megapixels * 1e6 * _BYTES_PER_PIXEL) + _SPARE_BYTES
    if isinstance(source, bytes | bytearray | memoryview):
        subject, data = "This file", bytes(source)
        _check_bytes(subject, len(data), max_bytes)
    else:
        path = os.fsdecode(os.fspath(source))
        subject = display_filename(path)
        data = _read_path(path, subject, max_bytes, first)
    if not data:
        raise ImageError(f"{subject} is empty.")
    return subject, data


def display_filename(path: str) -> str:
    """A file's name for a message: no folders, printable, safe in a page, 60 characters at most."""
    name = Path(path).name or path
    safe = "".join(c if c.isprintable() and c not in "<>&\"'`" else "?" for c in name[-1000:])
    if len(safe) > 60:
        safe = f"{safe[:40]}...{safe[-17:]}"
    return f"'{safe}'"


def _read_path(path: str, subject: str, max_bytes: int | None, first: int | None) -> bytes:
    if not path:
        raise ImageError("The path is empty: name a picture file.")
    if "\0" in path:
        raise ImageError(f"{subject} has a NUL character in its path, which no file can have.")
    # Without O_NONBLOCK, opening a named pipe would wait for a writer.
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        _check_regular(os.stat(path), subject)
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        hint = " Download the picture first." if "://" in path else ""
        raise ImageError(f"{subject} does not exist.{hint}") from None
    except PermissionError:
        raise ImageError(f"{subject} may not be read: its permissions forbid it.") from None
    except (OSError, ValueError) as error:  # ValueError: characters that no file name can have
        reason = getattr(error, "strerror", None) or "not a name that a file can have"
        raise ImageError(f"{subject} cannot be opened: {reason.lower()}.") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        _check_regular(status, subject)  # again: the path may name another file by now
        _check_bytes(subject, status.st_size, max_bytes)
        # One byte more than the size at opening, in case the file is growing.
        data = file.read(status.st_size + 1 if first is None else first)
    _check_bytes(subject, len(data), max_bytes)
    return data


def _check_regular(status: os.stat_result, subject: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{subject} is a folder: name a picture file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{subject} is a device or a pipe, not a picture file.")


def _check_bytes(subject: str, size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise ImageError(
            f"{subject} has {size / 1e6:,.1f} MB; the limit is {max_bytes / 1e6:,.1f} MB. "
            "Save it smaller."
        )
