"""The app's temporary folder: private, locked while the app runs, and removed at the end.

A killed app cannot remove its folder, but the system releases its lock. The next app removes
unlocked folders.
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
"""The umask: no rights for group and others."""
ABANDONED_SECONDS = 3600.0
"""A folder without a lock file counts as abandoned after this time."""
# Names that Gradio and this app create; nothing else in a given folder is removed.
_OURS = re.compile(r"[0-9a-f]{64}|tmp\w{8}|(upload|clip)-\w{8}|deep_links", re.ASCII)

log = logging.getLogger(__name__)
_locks: dict[Path, ExitStack] = {}


@contextmanager
def own_folder() -> Iterator[Path]:
    """Create a folder for uploads and results that only this user can read.

    Folders of killed apps are removed first, and this one at the end. If GRADIO_TEMP_DIR is set,
    that folder is used and stays; only what a killed app has left in it is removed. Enter this
    before building the page, as components store the folder's path.

    Yields:
        The folder.
    """
    before = os.umask(PRIVATE)
    given = os.environ.get(VARIABLE)
    folder = _use_given(Path(given)) if given else _create()
    os.environ[VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        _locks.pop(folder, ExitStack()).close()
        if not given:
            os.environ.pop(VARIABLE, None)
            shutil.rmtree(folder, ignore_errors=True)
        os.umask(before)


def ensure_folder(folder: Path) -> None:
    """Recreate the folder, with mode 700, if it was deleted while the app runs."""
    if not folder.is_dir():
        with contextlib.suppress(FileExistsError):  # created by another request
            folder.mkdir(mode=0o700, parents=True)
            if folder in _locks:
                _locks.pop(folder).close()
                _lock(folder)
            log.warning("the temporary folder was deleted while the app runs; it was created again")


def _create() -> Path:
    _remove_abandoned(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # mode 700
    _lock(folder)
    return folder


def _use_given(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    was_killed = (folder / LOCK).exists()  # an app that exits normally removes it
    if _lock(folder) and was_killed:
        for path in folder.iterdir():
            if _OURS.fullmatch(path.name):
                _remove(path)
    return folder


def _lock(folder: Path) -> bool:
    """Lock the folder until the app exits; return False if another app holds the lock."""
    stack = ExitStack()
    try:
        # another thread may release it, in `ensure_folder`
        stack.enter_context(FileLock(folder / LOCK, timeout=0, thread_local=False))
    except OSError as error:  # held by another app, or no locks on this file system
        log.info("the temporary folder is not locked: %s", error)
        return False
    stack.callback(_remove, folder / LOCK)  # before it is released
    _locks[folder] = stack
    return True


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of apps that were killed."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if not folder.is_dir() or folder.is_symlink():
                continue
            if hasattr(os, "getuid") and status.st_uid != os.getuid():
                continue
            young = time.time() - max(status.st_mtime, status.st_ctime) < ABANDONED_SECONDS
            if young and not (folder / LOCK).exists():  # another app is creating it
                continue
            with FileLock(folder / LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
            log.info("removed the temporary folder of a killed app")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
