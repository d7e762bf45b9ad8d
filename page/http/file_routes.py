"""Serve uploaded and produced files, whole or one byte range of them.

Gradio's own route sends the request's headers back with a range, cookies among them, and fails on
several ranges.
"""

import mimetypes
import re
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse

from page.requests.origin import Scope, header
from page.requests.request_body import HttpError, Receive
from page.storage.temp_files import is_inside

NOT_FOUND = "This file does not exist, or it has been deleted."
# Types that a browser may show inline, because it runs nothing in them; others are downloads.
_INLINE_TYPES = frozenset(
    ["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "video/mp4", "video/webm"]
)
_RANGE = re.compile(r"bytes=(\d{1,15}-(\d{1,15})?|-\d{1,15})", re.ASCII)


def find_file(path: str, folder: Path) -> Path:
    """Return the requested file's real path, links followed.

    Raises:
        HttpError: the folder has no such file.
    """
    if not is_inside(path, folder):
        raise HttpError(403, NOT_FOUND)
    return Path(path).resolve()


async def serve_file(path: Path, scope: Scope, receive: Receive, send: Any) -> None:
    """Send a file, or one range of it; a request for several ranges gets the whole file.

    Args:
        path: an existing file.
        scope: the request.
        receive: the connection.
        send: sends the response.
    """
    if scope["method"] not in ("GET", "HEAD"):
        raise HttpError(405, "A file can only be fetched.")
    names = (b"if-range", b"range") if _RANGE.fullmatch(header(scope, b"range") or "") else ()
    headers = [(name, value) for name, value in scope["headers"] if name in names]
    media_type = mimetypes.guess_type(path.name)[0]
    inline = media_type in _INLINE_TYPES
    response = FileResponse(
        path,
        media_type=media_type if inline else "application/octet-stream",
        filename=path.name,
        content_disposition_type="inline" if inline else "attachment",
    )
    try:
        await response({**scope, "headers": headers}, receive, send)
    except RuntimeError:  # deleted since the check
        raise HttpError(403, NOT_FOUND) from None
