"""Read one file's bytes from a path, and give it a name for messages."""

import os
import stat
from pathlib import Path

from segmentation.errors import ImageError

# An uncompressed 16-bit RGB image takes 6 bytes a pixel; a larger file holds something else.
_BYTES_PER_PIXEL = 6
_SPARE_BYTES = 1 << 20


def read_source(
    source: str | os.PathLike | bytes,
    max_bytes: int | None,
    max_megapixels: float | None,
    first: int | None = None,
) -> tuple[str, bytes]:
    """Return the bytes of one regular file, and its name for messages.

    Args:
        source: A path, or the bytes themselves.
        max_bytes: The largest file to accept; None for what `max_megapixels` could need.
        max_megapixels: The limit that `max_bytes=None` is derived from; None for no limit.
        first: Read at most this many bytes of a file; None for all of them.

    Returns:
        subject ("'cat.jpg'" or "This file"), data.

    Raises:
        ImageError: No such file, not a regular file, not allowed to read, empty or too large.
    """
    if max_bytes is None and max_megapixels is not None:
        max_bytes = int(max_megapixels * 1e6 * _BYTES_PER_PIXEL) + _SPARE_BYTES
    if isinstance(source, bytes | bytearray | memoryview):
        subject, data = "This file", bytes(source)
    else:
        path = os.fsdecode(os.fspath(source))
        subject = display_filename(path)
        data = _read_path(path, subject, max_bytes, first)
    if max_bytes is not None and len(data) > max_bytes:
        raise _too_large(subject, len(data), max_bytes)
    if not data:
        raise ImageError(f"{subject} is empty.")
    return subject, data


def display_filename(path: str) -> str:
    """Return a file's name for a message, in quotes.

    It has no folders, only printable characters, none that HTML interprets, and 60 at most.
    """
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
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise _not_a_file(subject, status)
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
        if not stat.S_ISREG(status.st_mode):  # the path may name another file by now
            raise _not_a_file(subject, status)
        if max_bytes is not None and status.st_size > max_bytes:
            raise _too_large(subject, status.st_size, max_bytes)
        # One byte more than the size at opening, in case the file is growing.
        return file.read(status.st_size + 1 if first is None else first)


def _not_a_file(subject: str, status: os.stat_result) -> ImageError:
    if stat.S_ISDIR(status.st_mode):
        return ImageError(f"{subject} is a folder: name a picture file in it.")
    return ImageError(f"{subject} is a device or a pipe, not a picture file.")


def _too_large(subject: str, size: int, max_bytes: int) -> ImageError:
    return ImageError(
        f"{subject} has {size / 1e6:,.1f} MB; the limit is {max_bytes / 1e6:,.1f} MB. "
        "Save it smaller."
    )
