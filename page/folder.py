"""The app's temporary folder: its own, bounded by age and size, and gone at the end."""

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "GRADIO_TEMP_DIR"
YOUNG_SECONDS = 60.0
"""A younger file is never removed: somebody may be about to read or fetch it."""

log = logging.getLogger(__name__)


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for uploads and results that nobody else on this machine can read.

    It is removed at the end. Where GRADIO_TEMP_DIR is set, that folder is used and stays. Must be
    entered before the page is built, as its components remember the folder.

    Yields:
        The folder.
    """
    given = os.environ.get(VARIABLE)
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        yield Path(given)
        return
    folder = tempfile.mkdtemp(prefix="pixelwise-")  # mode 700
    os.environ[VARIABLE] = folder
    try:
        yield Path(folder)
    finally:
        os.environ.pop(VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)


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


@dataclass
class _Found:
    path: Path
    size: int
    seconds: float  # since it was last written, moved or touched


class Janitor:
    """Removes files by age and by their size together, and the folders that they leave empty.

    Args:
        folder: the app's temporary folder.
        keep_seconds: older files go.
        max_bytes: where the files are more than this together, the oldest go.
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
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Size of all files at the last sweep, and of the uploads since."""
        return self._bytes

    def has_room(self) -> bool:
        """Whether more may be uploaded: the youngest files may exceed the limit, but not by far."""
        return self._bytes <= 2 * self.max_bytes

    def received(self, size: int) -> None:
        """Count an upload."""
        self._bytes += size

    def sweep(self, now: float | None = None) -> int:
        """Remove what is to go.

        Args:
            now: seconds since the epoch, for tests.

        Returns:
            How many files were removed.
        """
        with self._lock:
            now = time.time() if now is None else now
            kept = {os.path.realpath(path) for path in self.kept()}
            waiting = {os.path.realpath(path) for path in self.waiting()}
            found = sorted(self._files(now, kept), key=lambda file: -file.seconds)
            total = sum(file.size for file in found)
            removed = 0
            for file in found:
                if not self._goes(file, total) or os.path.realpath(file.path) in waiting:
                    continue
                with contextlib.suppress(OSError):
                    file.path.unlink()
                    total -= file.size
                    removed += 1
            self._remove_empty(now)
            self._bytes = total
        if removed:
            log.info("removed %d temporary files, %.1f MB are left", removed, total / 1e6)
        return removed

    def _goes(self, file: _Found, total: int) -> bool:
        # A finished upload is moved into a folder of its own; one here was broken off.
        if file.path.parent == self.folder and file.seconds > YOUNG_SECONDS:
            return True
        if file.seconds <= YOUNG_SECONDS:
            return False
        return file.seconds > self.keep_seconds or total > self.max_bytes

    def _files(self, now: float, kept: set[str]) -> Iterator[_Found]:
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if os.path.realpath(path) not in kept or path.is_symlink():
                        # ctime: a moved file is as young as its move
                        seconds = now - max(status.st_mtime, status.st_ctime)
                        yield _Found(path, status.st_size, seconds)

    def _remove_empty(self, now: float) -> None:
        """Remove empty folders, but not one that was just made for a file that is on its way."""
        for folder, _, _ in os.walk(self.folder, topdown=False):
            path = Path(folder)
            with contextlib.suppress(OSError):
                if path != self.folder and now - path.stat().st_mtime > 1:
                    path.rmdir()
