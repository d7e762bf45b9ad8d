"""The pictures below a folder."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from segmentation.batch.journal import JOURNAL
from segmentation.images.file_types import READ, sniff

ENDINGS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng"),
        *(".webp", ".avif", ".avifs", ".gif", ".heic", ".heif", ".heics", ".heifs", ".hif"),
        *(".tif", ".tiff", ".btf", ".tf8", ".bmp", ".dib"),
    }
)
"""Of a picture's name, in small letters. What a file is, its content says when it is opened."""

LEFT_OUT = frozenset(
    {
        *("@eadir", "@__thumb", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot"),
        *("$recycle.bin", "recycler", "recycled", "system volume information", "__macosx"),
        "lost+found",
    }
)
"""Folders, in small letters, in which systems keep thumbnails and what was thrown away."""

_ENDING = re.compile(r"\.[A-Za-z]\w{0,9}$")
_HEAD_BYTES = 4096

_Identity = tuple[int, int]


class Found(NamedTuple):
    """What there is below a folder.

    Attributes:
        photos: Paths relative to it, with slashes, sorted.
        troubles: The folders that could not be read, each with the reason.
        others: How many files were left out for each ending; "" for names without one.
    """

    photos: list[str]
    troubles: list[tuple[str, str]]
    others: Counter[str]


def find_photos(folder: Path, out: Path) -> Found:
    """Every picture below a folder, by its name's ending, or where it has none by its content.

    Hidden files and folders are left out, so are `LEFT_OUT` and folders that this program has
    written to. Links are followed, but no folder is entered twice; a folder itself goes before
    links to it.

    Args:
        folder: where to look.
        out: where the labels go, which is not looked into.
    """
    photos: list[str] = []
    troubles: list[tuple[str, str]] = []
    others: Counter[str] = Counter()

    def note(error: OSError) -> None:
        name = _relative(str(error.filename or folder), folder)
        troubles.append((name, f"this folder cannot be read: {error.strerror or error}"))

    for parent, names in _walk(folder, {_identity(out)}, note):
        for name in names:
            path = os.path.join(parent, name)
            ending = _ending(name)
            if name.startswith("."):
                continue
            if ending in ENDINGS or (not ending and _holds_picture(path)):
                photos.append(_relative(path, folder))
            else:
                others[ending] += 1
    return Found(sorted(photos), sorted(troubles), others)


def _ending(name: str) -> str:
    """A name's ending in small letters; a date's last part and the like is none."""
    ending = _ENDING.search(name)
    return ending[0].lower() if ending else ""


def _holds_picture(path: str) -> bool:
    if not os.path.isfile(path):  # a pipe would wait for a writer
        return False
    try:
        with open(path, "rb") as file:
            return sniff(file.read(_HEAD_BYTES)) in READ
    except OSError:
        return False


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
                if name.startswith(".") or name.lower() in LEFT_OUT:
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
