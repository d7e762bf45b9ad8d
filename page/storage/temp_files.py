"""Limit the app's temporary folder by age, size and number of files."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from page.storage.temp_folder import LOCK, VARIABLE, ensure_folder, own_folder

__all__ = ["VARIABLE", "TempFileCleaner", "disk_use", "ensure_folder", "is_inside", "own_folder"]

BLOCK = 4096
"""Minimal size on disk of a file or a folder, in bytes."""
MAX_FILES = 20_000
"""Limit of the number of files."""
YOUNG_SECONDS = 60.0
"""A younger file is never removed, because it may be about to be read or downloaded."""

log = logging.getLogger(__name__)


def is_inside(path: str, folder: Path) -> bool:
    """Return whether a path is an existing file in a folder, links followed.

    Args:
        path: any text, as a visitor sent it.
        folder: an existing folder.
    """
    try:
        file = Path(path)
        if not file.is_absolute() or not file.is_file():
            return False
        return file.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        return False


def disk_use(path: Path) -> int:
    """Return the size on disk of a file or a folder in bytes; 0 if it does not exist."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    blocks = getattr(status, "st_blocks", None)  # Windows reports the length only
    return max(BLOCK, status.st_size if blocks is None else 512 * blocks)


@dataclass
class _File:
    path: Path
    size: int  # on disk in bytes; a folder's first file includes the folder
    age: float  # seconds since it was last written, moved or touched


class TempFileCleaner:
    """Remove files by age, size and number, and the folders that this leaves empty.

    Args:
        folder: the app's temporary folder.
        keep_seconds: older files are removed.
        max_bytes: limit of the size on disk, folders included; beyond it, or beyond `MAX_FILES`
            files, the oldest are removed.
        permanent: returns paths that stay and do not count, such as the example photos.
        queued: returns paths that are still to be read, which stay but count.
    """

    def __init__(
        self,
        folder: Path,
        keep_seconds: float,
        max_bytes: int,
        permanent: Callable[[], Iterable[str]] = tuple,
        queued: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.folder = folder
        self.keep_seconds = max(keep_seconds, YOUNG_SECONDS)
        self.max_bytes = max_bytes
        self.permanent = permanent
        self.queued = queued
        self._bytes = self._count = 0
        self._lock, self._counting = threading.Lock(), threading.Lock()

    @property
    def bytes(self) -> int:
        """Size on disk of all files at the last sweep, and of the uploads since."""
        return self._bytes

    def has_room(self) -> bool:
        """Return whether uploads are accepted: up to twice the limits, as young files must stay."""
        return self._bytes <= 2 * self.max_bytes and self._count <= 2 * MAX_FILES

    def count_upload(self, size: int, files: int = 0) -> None:
        """Add an upload to the counts, or subtract a failed one with negative values.

        Args:
            size: bytes on disk.
            files: number of files.
        """
        with self._counting:
            self._bytes += size
            self._count += files

    def sweep(self, now: float | None = None) -> int:
        """Remove old and excess files.

        Args:
            now: seconds since the epoch; a parameter for tests.

        Returns:
            The number of removed files.
        """
        with self._lock:
            now = time.time() if now is None else now
            ensure_folder(self.folder)
            permanent = {os.path.realpath(path) for path in self.permanent()}
            queued = {os.path.realpath(path) for path in self.queued()}
            files = sorted(self._files(now, permanent), key=lambda file: -file.age)
            total, removed = sum(file.size for file in files), 0
            for file in files:
                full = total > self.max_bytes or len(files) - removed > MAX_FILES
                if not self._is_due(file, full) or os.path.realpath(file.path) in queued:
                    continue
                with contextlib.suppress(OSError):
                    file.path.unlink()
                    total -= file.size
                    removed += 1
            self._remove_empty(now)
            self._bytes, self._count = total, len(files) - removed
        if removed:
            log.info("removed %d temporary files, %.1f MB are left", removed, total / 1e6)
        return removed

    def _is_due(self, file: _File, full: bool) -> bool:
        if file.age <= YOUNG_SECONDS:
            return False
        # A finished upload is in a folder of its own; a file directly in the folder is incomplete.
        return full or file.age > self.keep_seconds or file.path.parent == self.folder

    def _files(self, now: float, permanent: set[str]) -> Iterator[_File]:
        for folder, _, names in os.walk(self.folder):
            folder_size = 0 if Path(folder) == self.folder else disk_use(Path(folder))
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    is_lock = name == LOCK and Path(folder) == self.folder
                    is_permanent = os.path.realpath(path) in permanent and not path.is_symlink()
                    if not is_lock and not is_permanent:
                        # ctime, because a move does not change mtime
                        age = now - max(status.st_mtime, status.st_ctime)
                        yield _File(path, disk_use(path) + folder_size, age)
                        folder_size = 0

    def _remove_empty(self, now: float) -> None:
        """Remove empty folders, except those younger than 1 s: a file may be about to arrive."""
        for folder, _, _ in os.walk(self.folder, topdown=False):
            path = Path(folder)
            with contextlib.suppress(OSError):
                if path != self.folder and now - path.stat().st_mtime > 1:
                    path.rmdir()
