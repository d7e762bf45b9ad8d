"""The pictures below a folder."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from segmentation.many.journal import JOURNAL

ENDINGS = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif")
)
"""Of a picture's name, in small letters. What a file is, its content says when it is opened."""

_Identity = tuple[int, int]


def find_photos(folder: Path, out: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Every picture below a folder by its name's ending.

    Hidden files and folders are left out, and so are folders that this program has written to.
    Links are followed, but no folder is entered twice; a folder itself goes before links to it.

    Args:
        folder: where to look.
        out: where the labels go, which is not looked into.

    Returns:
        Paths relative to `folder`, with slashes, sorted; and the folders that could not be read,
        each with the reason.
    """
    photos: list[str] = []
    troubles: list[tuple[str, str]] = []

    def note(error: OSError) -> None:
        name = _relative(str(error.filename or folder), folder)
        troubles.append((name, f"this folder cannot be read: {error.strerror or error}"))

    for parent, names in _walk(folder, {_identity(out)}, note):
        photos += [
            _relative(os.path.join(parent, name), folder)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in ENDINGS
        ]
    return sorted(photos), sorted(troubles)


def _walk(
    folder: Path, seen: set[_Identity | None], note: Callable[[OSError], None]
) -> Iterator[tuple[str, list[str]]]:
    """Each folder with its files; folders proper first, then what links lead to."""
    waiting = [str(folder)]
    while waiting:
        top = waiting.pop(0)
        if top != str(folder) and not _is_new(top, seen):
            continue
        seen.add(_identity(top))
        for parent, folders, files in os.walk(top, onerror=note):
            kept = []
            for name in sorted(folders):
                path = os.path.join(parent, name)
                if name.startswith("."):
                    continue
                if os.path.islink(path):
                    waiting.append(path)
                elif _is_new(path, seen):
                    seen.add(_identity(path))
                    kept.append(name)
            folders[:] = kept
            yield parent, files


def _is_new(path: str, seen: set[_Identity | None]) -> bool:
    return _identity(path) not in seen and not os.path.exists(os.path.join(path, JOURNAL))


def _identity(path: str | Path) -> _Identity | None:
    """What tells a folder from all others, by whatever path it is reached."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _relative(path: str, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
