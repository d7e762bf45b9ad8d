"""Find the photos in a folder and its subfolders."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from segmentation.batch.journal import JOURNAL
from segmentation.images.file_types import READ, sniff

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng"),
        *(".webp", ".avif", ".avifs", ".gif", ".heic", ".heif", ".heics", ".heifs", ".hif"),
        *(".tif", ".tiff", ".btf", ".tf8", ".bmp", ".dib"),
    }
)
"""Suffixes of image files, in lower case; the file type is detected when a file is opened."""

SKIPPED_FOLDERS = frozenset(
    {
        *("@eadir", "@__thumb", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot"),
        *("$recycle.bin", "recycler", "recycled", "system volume information", "__macosx"),
        "lost+found",
    }
)
"""Folders of thumbnails and deleted files to skip, in lower case."""

_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,9}$")
_HEAD_BYTES = 4096

_Identity = tuple[int, int]


class FolderContents(NamedTuple):
    """The files found in a folder.

    Attributes:
        photos: paths relative to the folder, with slashes, sorted.
        unreadable: unreadable folders, each with the reason.
        skipped: number of skipped files for each suffix; "" for names without one.
    """

    photos: list[str]
    unreadable: list[tuple[str, str]]
    skipped: Counter[str]


def find_photos(folder: Path, out: Path) -> FolderContents:
    """Find every image file in a folder, by its suffix, or by its content if it has none.

    Hidden files and folders, `SKIPPED_FOLDERS`, and output folders of this program are skipped.
    Links are followed, but each folder is read once, by its own path rather than by a link.

    Args:
        folder: the folder to search.
        out: the output folder, which is skipped.
    """
    photos: list[str] = []
    unreadable: list[tuple[str, str]] = []
    skipped: Counter[str] = Counter()

    def record_error(error: OSError) -> None:
        name = _relative(str(error.filename or folder), folder)
        unreadable.append((name, f"this folder cannot be read: {error.strerror or error}"))

    for parent, names in _walk(folder, {_identity(out)}, record_error):
        for name in names:
            path = os.path.join(parent, name)
            suffix = _suffix(name)
            if name.startswith("."):
                continue
            if suffix in SUFFIXES or (not suffix and _is_image(path)):
                photos.append(_relative(path, folder))
            else:
                skipped[suffix] += 1
    return FolderContents(sorted(photos), sorted(unreadable), skipped)


def _suffix(name: str) -> str:
    """Return a name's suffix in lower case; "" if it does not begin with a letter, as in a date."""
    suffix = _SUFFIX.search(name)
    return suffix[0].lower() if suffix else ""


def _is_image(path: str) -> bool:
    if not os.path.isfile(path):  # opening a pipe would block
        return False
    try:
        with open(path, "rb") as file:
            return sniff(file.read(_HEAD_BYTES)) in READ
    except OSError:
        return False


def _walk(
    folder: Path, seen: set[_Identity | None], record_error: Callable[[OSError], None]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder with its file names; the targets of links come last."""
    pending = [str(folder)]
    while pending:
        top = pending.pop(0)
        if top != str(folder) and not _is_new(top, seen):
            continue
        seen.add(_identity(top))
        for parent, folders, files in os.walk(top, onerror=record_error):
            entered = []
            for name in sorted(folders):
                path = os.path.join(parent, name)
                if name.startswith(".") or name.lower() in SKIPPED_FOLDERS:
                    continue
                if os.path.islink(path):
                    pending.append(path)
                elif _is_new(path, seen):
                    seen.add(_identity(path))
                    entered.append(name)
            folders[:] = entered
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
