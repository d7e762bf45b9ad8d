"""Download one file atomically."""

import contextlib
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from segmentation.errors import WeightsError
from segmentation.partial_file import partial_file

Progress = Callable[[int, int | None], None]

TIMEOUT_SECONDS = 15.0  # without a byte
CHUNK_BYTES = 1 << 18
STALE_SECONDS = 24 * 3600.0
MAX_BYTES = 4 << 30


def download(
    url: str, target: Path, *, expected: str | None = None, progress: Progress | None = None
) -> None:
    """Download `url` to `target`, which appears only when it is complete and its hash is correct.

    Until then the bytes are in `.<name>.<random>.part` beside it. A later download removes such a
    file of a killed process once it is a day old.

    Args:
        url: http or https.
        target: The file; its folder exists.
        expected: Hexadecimal beginning of the SHA-256, or None.
        progress: Called with (bytes done, total bytes or None), at most ten times a second.

    Raises:
        WeightsError: No response, an error page, too few bytes, or a wrong hash.
        OSError: The file cannot be written.
    """
    _remove_stale(target)
    with partial_file(target.parent, f".{target.name}.") as (file, part):
        digest = _receive(url, file.write, progress or (lambda done, total: None))
        file.flush()
        os.fsync(file.fileno())
        file.close()
        if expected and not digest.startswith(expected):
            raise WeightsError(
                f"what arrived is not the published file (its SHA-256 begins with {digest[:8]}, "
                f"not {expected}): something on the way changed it"
            )
        with contextlib.suppress(OSError):  # CIFS and S3 mounts have no modes
            part.chmod(0o644)
        os.replace(part, target)


def _receive(url: str, write: Callable[[bytes], object], progress: Progress) -> str:
    """Read the response chunk by chunk and return its SHA-256."""
    digest = hashlib.sha256()
    done, shown = 0, 0.0
    request = urllib.request.Request(url, headers={"User-Agent": "pixelwise"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            while chunk := _read(response):
                write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if done > MAX_BYTES:
                    raise WeightsError(f"the answer is longer than {MAX_BYTES >> 30} GB")
                if time.monotonic() - shown > 0.1:
                    progress(done, total)
                    shown = time.monotonic()
    except urllib.error.HTTPError as error:
        raise WeightsError(f"the server answered {error.code} ({error.reason})") from error
    except (urllib.error.URLError, http.client.HTTPException) as error:
        raise WeightsError(f"no connection ({getattr(error, 'reason', error)})") from error
    except (TimeoutError, ConnectionError) as error:
        raise WeightsError(f"the connection broke ({error.strerror or error})") from error
    if total is not None and done != total:
        raise WeightsError(f"the connection ended after {done} of {total} bytes; try again")
    progress(done, total or done)
    return digest.hexdigest()


def _read(response: http.client.HTTPResponse) -> bytes:
    """Read a chunk; its errors are no `OSError`, which means that the file cannot be written."""
    try:
        return response.read(CHUNK_BYTES)
    except TimeoutError as error:
        raise WeightsError(f"nothing arrived for {TIMEOUT_SECONDS:.0f} s; try again") from error
    except http.client.IncompleteRead as error:
        raise WeightsError(f"the connection ended early ({error}); try again") from error
    except OSError as error:
        raise WeightsError(f"the connection broke ({error.strerror or error})") from error


def _remove_stale(target: Path) -> None:
    for old in target.parent.glob(f".{target.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > STALE_SECONDS:
                old.unlink()
