"""A lock between processes and threads, so that the same file is fetched once."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


@contextlib.contextmanager
def file_lock(path: Path, *, poll_seconds: float = 0.1, wait: bool = True) -> Iterator[None]:
    """Hold the lock that belongs to `path`; wait while another process or thread holds it.

    The lock is a hidden file beside `path`. The system lets go of it when its holder ends, however
    it ends, so that a killed process locks nobody out.

    Args:
        path: whose lock.
        poll_seconds: how often to ask for it again.
        wait: false to ask once.

    Raises:
        BlockingIOError: another holds it, and `wait` is false.
        OSError: the folder cannot be written.
    """
    lock_path = path.with_name(f".{path.name}.lock")
    while True:
        handle = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        if _try_lock(handle):
            if _is_still(handle, lock_path):
                break
        elif wait:
            time.sleep(poll_seconds)
        else:
            os.close(handle)
            raise BlockingIOError(errno.EAGAIN, "another process holds the lock", str(lock_path))
        os.close(handle)
    try:
        yield
    finally:
        # removed while held: who waited for this file sees that it is gone, and starts anew
        with contextlib.suppress(OSError):  # Windows removes no open file; then it stays, empty
            lock_path.unlink()
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_still(handle: int, path: Path) -> bool:
    """Whether the locked file is the one that the path names now."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
