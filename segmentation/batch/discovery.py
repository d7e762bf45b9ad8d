"""Find the photos in a folder and its subfolders."""

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
"""Suffixes of image files, in lower case; the file type is detected when a file is opened."""

LEFT_OUT = frozenset(
    {
        *("@eadir", "@__thumb", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot"),
        *("$recycle.bin", "recycler", "recycled", "system volume information", "__macosx"),
        "lost+found",
    }
)
"""Folders of thumbnails and deleted files to skip, in lower case."""

_ENDING = re.compile(r"\.[A-Za-z]\w{0,9}$")
_HEAD_BYTES = 4096

_Identity = tuple[int, int]


class Found(NamedTuple):
    """The files found in a folder.

    Attributes:
        photos: paths relative to the folder, with slashes, sorted.
        troubles: unreadable folders, each with the reason.
        others: number of skipped files for each suffix; "" for names without one.
    """

    photos: list[str]
    troubles: list[tuple[str, str]]
    others: Counter[str]


def find_photos(folder: Path, out: Path) -> Found:
    """Find every image file in a folder, by its suffix, or by its content if it has none.

    Hidden files and folders, `LEFT_OUT`, and output folders of this program are skipped. Links are
    followed, but each folder is read once, by its own path rather than by a link.

    Args:
        folder: the folder to search.
        out: the output folder, which is skipped.
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
    """Return a name's suffix in lower case; "" if it does not begin with a letter, as in a date."""
    ending = _ENDING.search(name)
    return ending[0].lower() if ending else ""


def _holds_picture(path: str) -> bool:
    if not os.path.isfile(path):  # opening a pipe would block
        return False
    try:
        with open(path, "rb") as file:
            return sniff(file.read(_HEAD_BYTES)) in READ
    except OSError:
        return False


def _walk(
    folder: Path, seen: set[_Identity | None], note: Callable[[OSError], None]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder with its file names; the targets of links come last."""
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
    """Return the device and inode of a folder, which are the same for all its paths."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _relative(path: str, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
