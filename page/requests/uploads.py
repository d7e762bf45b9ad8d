"""Uploads: Gradio's own parser, a few files a request, and nothing left of a broken one.

Gradio's route takes a thousand files a request, and leaves what it has written where the visitor
hangs up or the disk is full.
"""

import functools
import os
import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request

from page.requests.request_body import HttpError
from page.storage.temp_files import disk_use, keep_private

if TYPE_CHECKING:
    from page.gradio_internals import GradioMultiPartParser, GradioUploadFile

FILES_AT_ONCE = 12
MAX_FIELD_BYTES = 1 << 16
PREFIX = "upload-"
"""Of a folder in which an upload is written; a finished one is moved out of it."""
PROGRESSES = 256
"""Uploads whose progress can be asked for; Gradio would remember each for ever."""


@functools.cache
def _parser() -> "type[GradioMultiPartParser]":
    """Gradio's parser, which keeps what is no file in memory, however much it is; not so here."""
    from page.gradio_internals import GradioMultiPartParser, MultiPartException

    class Parser(GradioMultiPartParser):
        def on_part_data(self, data: bytes, start: int, end: int) -> None:
            part = self._current_part
            if part.file is None and len(part.data) + end - start > MAX_FIELD_BYTES:
                raise MultiPartException("This field is too large.")
            super().on_part_data(data, start, end)

    return Parser


class Uploads:
    """Writes uploads into the page's folder.

    Args:
        folder: see there.
        max_bytes: of one file.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._names: OrderedDict[str, None] = OrderedDict()

    async def take(self, request: Request, name: str | None) -> tuple[list[str], int]:
        """Write an upload's files.

        Args:
            request: a form with files.
            name: under which its progress can be asked for, or None.

        Returns:
            The files' paths, and the bytes of disk that they take.

        Raises:
            RefusedError: it is no form with files, or has too much in it.
            ClientDisconnect: the visitor has hung up.
            OSError: the disk is full.
        """
        if name is not None:
            self.remember(name)
        keep_private(self.folder)
        scratch = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.folder))
        try:
            found = await self._parse(request, name, scratch)
            paths = [self._move(file) for file in found]
        except BaseException:
            self._forget(name)
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return paths, sum(disk_use(Path(path)) + disk_use(Path(path).parent) for path in paths)

    def remember(self, name: str) -> None:
        """Bound what Gradio remembers of uploads: the one named longest ago is forgotten."""
        self._names[name] = None
        self._names.move_to_end(name)
        while len(self._names) > PROGRESSES:
            self._forget(next(iter(self._names)))

    def _forget(self, name: str | None) -> None:
        from page.gradio_internals import stop_tracking_upload

        if name is not None:
            self._names.pop(name, None)
            stop_tracking_upload(name)

    async def _parse(
        self, request: Request, name: str | None, scratch: Path
    ) -> "list[GradioUploadFile]":
        from page.gradio_internals import GradioUploadFile, MultiPartException, file_upload_statuses

        kind = request.headers.get("content-type", "")
        if not kind.lower().startswith("multipart/form-data"):
            raise HttpError(400, "This is no upload of a file.")
        if name is not None:
            file_upload_statuses.track(name)
        parser = _parser()(
            request.headers,
            request.stream(),
            max_files=FILES_AT_ONCE,
            max_fields=FILES_AT_ONCE,
            upload_dir=scratch,
            upload_id=name,
            upload_progress=file_upload_statuses if name is not None else None,
            max_file_size=self.max_bytes,
        )
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise self._refusal(error.message) from None
        except (AttributeError, LookupError, TypeError, ValueError):  # of a form that is none
            raise HttpError(400, "This is no upload of a file.") from None
        found = form.getlist("files")
        if not all(isinstance(one, GradioUploadFile) for one in found):
            raise HttpError(400, "This is no upload of a file.")
        return found

    def _refusal(self, said: str) -> HttpError:
        from page.requests.request_body import too_large

        if "File size exceeded" in said:
            return HttpError(413, too_large("This file", self.max_bytes))
        if "Too many" in said:
            return HttpError(413, f"At most {FILES_AT_ONCE} files can be uploaded at a time.")
        return HttpError(400, "This is no upload of a file.")

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
            raise HttpError(400, "This file's name is none.") from None
        return str(path)
