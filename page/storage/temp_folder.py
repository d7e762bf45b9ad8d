"""The app's own temporary folder: private, locked while the app runs, and gone afterwards.

A killed app cannot remove its folder. The system lets go of its lock, though, and by that the next
app knows that nobody needs what lies there, and removes it.
"""

import contextlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock

VARIABLE = "GRADIO_TEMP_DIR"
PREFIX = "pixelwise-"
LOCK = ".pixelwise.lock"
"""The file in the folder that is locked while an app uses it."""
PRIVATE = 0o077
"""The rights that nobody else gets on what the app writes."""
FORSAKEN_SECONDS = 3600.0
"""A folder without a lock file belongs to nobody after this time."""
# What Gradio and this app put into their folder; of a folder that was given, nothing else is ours.
_OURS = re.compile(r"[0-9a-f]{64}|tmp\w{8}|(upload|clip)-\w{8}|deep_links", re.ASCII)

log = logging.getLogger(__name__)
_locks: dict[Path, ExitStack] = {}


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for uploads and results that nobody else on this machine can read.

    It is removed at the end, and so are at the start those of apps that were killed. Where
    GRADIO_TEMP_DIR is set, that folder is used and stays; what a killed app has left in it goes.
    Must be entered before the page is built, as its components remember the folder.

    Yields:
        The folder.
    """
    before = os.umask(PRIVATE)
    given = os.environ.get(VARIABLE)
    folder = _take_given(Path(given)) if given else _make()
    os.environ[VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        _locks.pop(folder, ExitStack()).close()
        if not given:
            os.environ.pop(VARIABLE, None)
            shutil.rmtree(folder, ignore_errors=True)
        os.umask(before)


def keep_private(folder: Path) -> None:
    """Make the folder anew, for its owner alone, where it was deleted under the running app."""
    if not folder.is_dir():
        with contextlib.suppress(FileExistsError):  # another request was quicker
            folder.mkdir(mode=0o700, parents=True)
            if folder in _locks:
                _locks.pop(folder).close()
                _lock(folder)
            log.warning("the temporary folder was deleted under the running app; made anew")


def _make() -> Path:
    _remove_left(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # mode 700
    _lock(folder)
    return folder


def _take_given(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    left = (folder / LOCK).exists()  # an app that ends in order removes it
    if _lock(folder) and left:
        for path in folder.iterdir():
            if _OURS.fullmatch(path.name):
                _remove(path)
    return folder


def _lock(folder: Path) -> bool:
    """Hold the folder's lock until the app ends; false where another app holds it."""
    held = ExitStack()
    try:
        # a request's thread may let go of it, in `keep_private`
        held.enter_context(FileLock(folder / LOCK, timeout=0, thread_local=False))
    except OSError as error:  # another's, or a file system without locks
        log.info("the temporary folder is not locked: %s", error)
        return False
    held.callback(_remove, folder / LOCK)  # before it is let go of
    _locks[folder] = held
    return True


def _remove_left(parent: Path) -> None:
    """Remove the folders of apps that were killed."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if not folder.is_dir() or folder.is_symlink():
                continue
            if hasattr(os, "getuid") and status.st_uid != os.getuid():
                continue
            young = time.time() - max(status.st_mtime, status.st_ctime) < FORSAKEN_SECONDS
            if young and not (folder / LOCK).exists():  # somebody is just making it
                continue
            with FileLock(folder / LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
            log.info("removed what a killed app had left")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
