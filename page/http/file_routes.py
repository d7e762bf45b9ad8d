"""Serves uploaded and produced files: with headers of ours alone, in parts where asked.

Gradio's route answers a range with the request's own headers, cookies among them, and fails on
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

NOT_HERE = "There is no such file here, or it is no longer kept."
# What a browser may show in place; it runs nothing of these. Anything else is a download.
_SHOWN = frozenset(
    ["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "video/mp4", "video/webm"]
)
_RANGE = re.compile(r"bytes=(\d{1,15}-(\d{1,15})?|-\d{1,15})", re.ASCII)


def find(path: str, folder: Path) -> Path:
    """The file that a visitor names, links followed.

    Raises:
        RefusedError: there is none in the folder.
    """
    if not is_inside(path, folder):
        raise HttpError(403, NOT_HERE)
    return Path(path).resolve()


async def serve(path: Path, scope: Scope, receive: Receive, send: Any) -> None:
    """Answer with a file, or with one part of it; several parts at once are not served.

    Args:
        path: an existing file.
        scope: the request.
        receive: the connection.
        send: where the answer goes.
    """
    if scope["method"] not in ("GET", "HEAD"):
        raise HttpError(405, "A file can only be fetched.")
    kept = (b"if-range", b"range") if _RANGE.fullmatch(header(scope, b"range") or "") else ()
    headers = [(name, value) for name, value in scope["headers"] if name in kept]
    kind = mimetypes.guess_type(path.name)[0]
    shown = kind in _SHOWN
    answer = FileResponse(
        path,
        media_type=kind if shown else "application/octet-stream",
        filename=path.name,
        content_disposition_type="inline" if shown else "attachment",
    )
    try:
        await answer({**scope, "headers": headers}, receive, send)
    except RuntimeError:  # removed since it was looked for
        raise HttpError(403, NOT_HERE) from None
