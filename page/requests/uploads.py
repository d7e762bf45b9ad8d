"""Save uploads with Gradio's parser: few files a request, and none left of a failed upload.

Gradio's own route takes 1000 files a request, and leaves partial files behind if the visitor
disconnects or the disk is full.
"""

import functools
import os
import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request

from page.requests.request_body import HttpError, too_large
from page.storage.temp_files import disk_use, ensure_folder

if TYPE_CHECKING:
    from page.gradio_internals import GradioMultiPartParser, GradioUploadFile

FILES_AT_ONCE = 12
NOT_AN_UPLOAD = "This request is not a file upload."
MAX_FIELD_BYTES = 1 << 16
PREFIX = "upload-"
"""Prefix of the folder of an upload in progress; finished files are moved out of it."""
MAX_TRACKED = 256
"""Uploads whose progress can be queried; Gradio would keep each for ever."""


@functools.cache
def _parser() -> "type[GradioMultiPartParser]":
    """Return Gradio's parser with a limit on form fields, which it keeps in memory."""
    from page.gradio_internals import GradioMultiPartParser, MultiPartException

    class Parser(GradioMultiPartParser):
        def on_part_data(self, data: bytes, start: int, end: int) -> None:
            part = self._current_part
            if part.file is None and len(part.data) + end - start > MAX_FIELD_BYTES:
                raise MultiPartException("This field is too large.")
            super().on_part_data(data, start, end)

    return Parser


class Uploads:
    """Save uploads in the page's folder.

    Args:
        folder: the page's temporary folder.
        max_bytes: limit of one file.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._tracked: OrderedDict[str, None] = OrderedDict()

    async def save(self, request: Request, upload_id: str | None) -> tuple[list[str], int]:
        """Save an upload's files.

        Args:
            request: a form with files.
            upload_id: the id for queries of its progress, or None.

        Returns:
            The files' paths, and their size on disk in bytes.

        Raises:
            HttpError: the request is not a form with files, or exceeds a limit.
            ClientDisconnect: the visitor has disconnected.
            OSError: the disk is full.
        """
        if upload_id is not None:
            self.track(upload_id)
        ensure_folder(self.folder)
        scratch = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.folder))
        try:
            paths = [self._move(file) for file in await self._parse(request, upload_id, scratch)]
        except BaseException:
            self._untrack(upload_id)
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return paths, sum(disk_use(Path(path)) + disk_use(Path(path).parent) for path in paths)

    def track(self, upload_id: str) -> None:
        """Mark an upload's progress as used; drop the least recently used beyond `MAX_TRACKED`."""
        self._tracked[upload_id] = None
        self._tracked.move_to_end(upload_id)
        while len(self._tracked) > MAX_TRACKED:
            self._untrack(next(iter(self._tracked)))

    def _untrack(self, upload_id: str | None) -> None:
        from page.gradio_internals import stop_tracking_upload

        if upload_id is not None:
            self._tracked.pop(upload_id, None)
            stop_tracking_upload(upload_id)

    async def _parse(
        self, request: Request, upload_id: str | None, scratch: Path
    ) -> "list[GradioUploadFile]":
        from page.gradio_internals import GradioUploadFile, MultiPartException, file_upload_statuses

        kind = request.headers.get("content-type", "")
        if not kind.lower().startswith("multipart/form-data"):
            raise HttpError(400, NOT_AN_UPLOAD)
        if upload_id is not None:
            file_upload_statuses.track(upload_id)
        parser = _parser()(
            request.headers,
            request.stream(),
            max_files=FILES_AT_ONCE,
            max_fields=FILES_AT_ONCE,
            upload_dir=scratch,
            upload_id=upload_id,
            upload_progress=file_upload_statuses if upload_id is not None else None,
            max_file_size=self.max_bytes,
        )
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise self._refusal(error.message) from None
        except (AttributeError, LookupError, TypeError, ValueError):  # of a malformed form
            raise HttpError(400, NOT_AN_UPLOAD) from None
        files = form.getlist("files")
        if not all(isinstance(file, GradioUploadFile) for file in files):
            raise HttpError(400, NOT_AN_UPLOAD)
        return files

    def _refusal(self, message: str) -> HttpError:
        if "File size exceeded" in message:
            return HttpError(413, too_large("This file", self.max_bytes))
        if "Too many" in message:
            return HttpError(413, f"At most {FILES_AT_ONCE} files can be uploaded at a time.")
        return HttpError(400, NOT_AN_UPLOAD)

    def _move(self, file: "GradioUploadFile") -> str:
        from page.gradio_internals import strip_invalid_filename_characters

        name = strip_invalid_filename_characters(Path(file.filename or "").name)
        if name in ("", ".", ".."):
            name = Path(file.file.name).name
        file.file.close()
        folder = self.folder / file.sha.hexdigest()
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / name
        try:
            os.replace(file.file.name, path)
        except ValueError:
            raise HttpError(400, "This file's name is not valid. Rename it.") from None
        return str(path)
