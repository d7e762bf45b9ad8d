"""The app's temporary folder: its own, bounded by age and size, and gone at the end."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from page.storage.temp_folder import LOCK, VARIABLE, keep_private, own_folder

__all__ = ["VARIABLE", "TempFileCleaner", "disk_use", "is_inside", "keep_private", "own_folder"]

BLOCK = 4096
"""Bytes of disk that a name costs at least, be it of a file or of a folder."""
MAX_NAMES = 20_000
"""Files that are kept at most."""
YOUNG_SECONDS = 60.0
"""A younger file is never removed: somebody may be about to read or fetch it."""

log = logging.getLogger(__name__)


def is_inside(path: str, folder: Path) -> bool:
    """Whether a path is an existing file in a folder, links followed.

    Args:
        path: what a visitor named; anything.
        folder: an existing folder.
    """
    try:
        found = Path(path)
        if not found.is_absolute() or not found.is_file():
            return False
        return found.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a circle of links
        return False


def disk_use(path: Path) -> int:
    """Bytes of disk that a file or a folder takes; 0 for none."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    blocks = getattr(status, "st_blocks", None)  # Windows tells the length alone
    return max(BLOCK, status.st_size if blocks is None else 512 * blocks)


@dataclass
class _Found:
    path: Path
    size: int  # of disk, with its folder's where it is the first one in there
    seconds: float  # since it was last written, moved or touched


class TempFileCleaner:
    """Removes files by age, size and number, and the folders that they leave empty.

    Args:
        folder: the app's temporary folder.
        keep_seconds: older files go.
        max_bytes: where the files and their folders take more disk than this, the oldest go; so
            they do where there are more than `MAX_NAMES`.
        kept: paths that stay, such as the page's example photos; asked at each sweep.
        waiting: paths that are still to be read, which stay as well and count; asked at each sweep.
    """

    def __init__(
        self,
        folder: Path,
        keep_seconds: float,
        max_bytes: int,
        kept: Callable[[], Iterable[str]] = tuple,
        waiting: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.folder = folder
        self.keep_seconds = max(keep_seconds, YOUNG_SECONDS)
        self.max_bytes = max_bytes
        self.kept = kept
        self.waiting = waiting
        self._bytes = self._names = 0
        self._lock, self._counting = threading.Lock(), threading.Lock()

    @property
    def bytes(self) -> int:
        """Disk that all files took at the last sweep, and the uploads since."""
        return self._bytes

    def has_room(self) -> bool:
        """Whether more may be uploaded: the youngest files may exceed the limit, but not by far."""
        return self._bytes <= 2 * self.max_bytes and self._names <= 2 * MAX_NAMES

    def received(self, size: int, names: int = 0) -> None:
        """Count an upload, or take back what was counted of one that was not kept.

        Args:
            size: bytes of disk.
            names: files.
        """
        with self._counting:
            self._bytes += size
            self._names += names

    def sweep(self, now: float | None = None) -> int:
        """Remove what is to go.

        Args:
            now: seconds since the epoch, for tests.

        Returns:
            How many files were removed.
        """
        with self._lock:
            now = time.time() if now is None else now
            keep_private(self.folder)
            kept = {os.path.realpath(path) for path in self.kept()}
            waiting = {os.path.realpath(path) for path in self.waiting()}
            found = sorted(self._files(now, kept), key=lambda file: -file.seconds)
            total, names, removed = sum(file.size for file in found), len(found), 0
            for file in found:
                crowded = total > self.max_bytes or names - removed > MAX_NAMES
                if not self._goes(file, crowded) or os.path.realpath(file.path) in waiting:
                    continue
                with contextlib.suppress(OSError):
                    file.path.unlink()
                    total -= file.size
                    removed += 1
            self._remove_empty(now)
            self._bytes, self._names = total, names - removed
        if removed:
            log.info("removed %d temporary files, %.1f MB are left", removed, total / 1e6)
        return removed

    def _goes(self, file: _Found, crowded: bool) -> bool:
        # A finished upload is moved into a folder of its own; one here was broken off.
        if file.path.parent == self.folder and file.seconds > YOUNG_SECONDS:
            return True
        if file.seconds <= YOUNG_SECONDS:
            return False
        return file.seconds > self.keep_seconds or crowded

    def _files(self, now: float, kept: set[str]) -> Iterator[_Found]:
        for folder, _, names in os.walk(self.folder):
            around = 0 if Path(folder) == self.folder else disk_use(Path(folder))
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    ours = name == LOCK and Path(folder) == self.folder
                    if not ours and (os.path.realpath(path) not in kept or path.is_symlink()):
                        # ctime: a moved file is as young as its move
                        seconds = now - max(status.st_mtime, status.st_ctime)
                        yield _Found(path, disk_use(path) + around, seconds)
                        around = 0

    def _remove_empty(self, now: float) -> None:
        """Remove empty folders, but not one that was just made for a file that is on its way."""
        for folder, _, _ in os.walk(self.folder, topdown=False):
            path = Path(folder)
            with contextlib.suppress(OSError):
                if path != self.folder and now - path.stat().st_mtime > 1:
                    path.rmdir()
