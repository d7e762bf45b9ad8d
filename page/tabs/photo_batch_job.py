"""Label several photos one after the other, into a contact sheet and a ZIP."""

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import gradio as gr

from page import texts
from page.gradio_internals import hash_file
from page.handlers import BaseHandlers, png
from page.service.background import Progress, Report, run_with_progress
from page.service.errors import CancelledError
from page.service.labeling_service import LabelingService
from page.service.queue.sessions import Sessions
from page.service.result_cache import SHARPER
from page.tabs.cancel_registry import CancelRegistry

if TYPE_CHECKING:
    from segmentation.export.zip_archive import EncodedResult

MAX_PHOTOS = 12
RUNS_AT_ONCE = 4
"""Runs at the same time; each has an open ZIP of up to this part of the storage."""
TOUCH_SECONDS = 20.0
ZIP_NAME = "pixelwise.zip"

log = logging.getLogger(__name__)

Upload = tuple[str, str]
"""A file's path, and the name that it was uploaded under."""


@dataclass(frozen=True)
class _Done:
    """One labelled photo: its caption, thumbnail, and entry of the ZIP."""

    caption: str
    picture: str
    packed: "EncodedResult"


@dataclass
class _Run:
    """The state of one run.

    Attributes:
        total: number of photos.
        sheet: (picture's path, caption) of each labelled one.
        failed: (name, reason) of each photo that was not labelled.
        stop: set when the visitor presses Stop.
        notes: sentences for the status at the end.
    """

    total: int
    sheet: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    notes: set[str] = field(default_factory=set)


class PhotoBatch(BaseHandlers):
    """Labels a handful of photos; see `BaseHandlers`.

    Attributes:
        max_zip_bytes: of one ZIP.
    """

    def __init__(
        self, service: LabelingService, cache: str, sessions: Sessions | None = None
    ) -> None:
        super().__init__(service, cache, sessions)
        self.max_zip_bytes = int(service.options.cache_mb * 2**20) // RUNS_AT_ONCE
        self._places = threading.Semaphore(RUNS_AT_ONCE)
        self._stops = CancelRegistry()
        self.stop = self._stops.stop  # what was labelled so far stays, and comes in a ZIP

    def run(
        self,
        photos: Sequence[Upload] | None,
        model: str,
        size: int,
        request: gr.Request | None = None,
    ) -> Iterator[tuple[Any, ...]]:
        """Label the photos, one after the other.

        Yields:
            Values for the status, the contact sheet, the ZIP's button, the button that starts and
            the one that stops.
        """
        if not photos:
            yield _step(texts.SEVERAL_NONE)
            return
        if not self._places.acquire(blocking=False):
            yield _step(texts.several_busy(RUNS_AT_ONCE))
            return
        run = _Run(min(len(photos), MAX_PHOTOS))
        why = texts.several_too_many(MAX_PHOTOS)
        run.failed += [(name, why) for _, name in photos[MAX_PHOTOS:]]
        try:
            with (
                self.service.scheduler.join(),
                tempfile.TemporaryFile(dir=self.cache) as file,  # gone, whatever happens
                self._stops.register(request) as run.stop,
            ):
                yield from self._label(run, photos[:MAX_PHOTOS], model, size or None, request, file)
        except CancelledError:
            log.info("a visitor left while their photos were being labelled")
        except Exception as error:
            yield _step(texts.several_status(self.error_text(error), run.failed))
        finally:
            self._places.release()

    def _label(
        self,
        run: _Run,
        photos: Sequence[Upload],
        model: str,
        size: int | None,
        request: gr.Request | None,
        file: BinaryIO,
    ) -> Iterator[tuple[Any, ...]]:
        from segmentation.export.zip_archive import (
            ResultArchive,  # torch is there by the time that somebody asks
        )

        with ResultArchive(file, self.max_zip_bytes) as bundle:
            yield _working(texts.several_progress(1, run.total, "", run.failed), [])
            for number, (path, name) in enumerate(photos, 1):
                try:
                    for step in self._one(run, path, model, size, request, photos[number:]):
                        if isinstance(step, _Done):
                            bundle.add(name, step.packed)
                            shown = texts.short_name(name)
                            run.sheet.append((step.picture, f"{shown}: {step.caption}"))
                        else:
                            yield _working(
                                texts.several_progress(number, run.total, step, run.failed)
                            )
                except CancelledError:
                    if not run.stop.is_set():
                        raise
                    break
                except Exception as error:
                    run.failed.append((name, self.error_text(error)))
                if number < run.total:
                    text = texts.several_progress(number + 1, run.total, "", run.failed)
                    yield _working(text, list(run.sheet))
            for name, why in run.failed:
                bundle.add_failure(name, why)
            bundle.close()
        done = texts.several_done(run.total, len(run.sheet), stopped=run.stop.is_set())
        text = " ".join([done, *sorted(run.notes)])
        zipped = self._kept(file) if run.sheet else None
        yield _step(texts.several_status(text, run.failed), list(run.sheet), zipped)

    def _one(
        self,
        run: _Run,
        path: str,
        model: str,
        size: int | None,
        request: gr.Request | None,
        waiting: Sequence[Upload],
    ) -> Iterator[str | _Done]:
        """Label one photo; says what is happening meanwhile.

        Args:
            run: whose.
            path: the photo's file.
            model: see `run`.
            size: the same, or None.
            request: the same.
            waiting: the photos after this one, whose files must not grow old.

        Yields:
            Sentences, and what became of it at the end.

        Raises:
            CancelledError: the visitor has left, or has had enough.
        """
        session = getattr(request, "session_hash", None)

        def is_cancelled() -> bool:
            return run.stop.is_set() or self.sessions.has_disconnected(session)

        def work(progress: Progress) -> _Done:
            from segmentation.export.contact_sheet import caption, thumbnail
            from segmentation.export.zip_archive import pack

            with self.service.label(path, model, size, progress=progress) as answer:
                if size == SHARPER and answer.request.size is None:
                    run.notes.add(texts.NOT_SHARPER)
                image, result = answer.photo.image, answer.result
                palette = answer.card.palette_array
                small = png(thumbnail(image, result.class_map, palette))
                packed = pack(image, result, palette, texts.notes(answer))
                return _Done(caption(result), self.file(small, "overlay.png"), packed)

        touched = 0.0
        for step in run_with_progress(
            work, seconds=self.service.time_limit, is_cancelled=is_cancelled
        ):
            if time.monotonic() - touched > TOUCH_SECONDS:
                _keep_young([path, *(other for other, _ in waiting)])
                touched = time.monotonic()
            if step is not None:
                yield texts.step_text(step.step) if isinstance(step, Report) else step

    def _kept(self, file: BinaryIO) -> str:
        """A finished ZIP's path, where visitors may fetch it and Gradio makes no copy of it."""
        file.seek(0)
        folder = Path(tempfile.mkdtemp(dir=self.cache))
        path = folder / ZIP_NAME
        try:
            with path.open("wb") as out:
                while block := file.read(1 << 20):
                    out.write(block)
            named = folder.with_name(hash_file(path))
            named.mkdir(mode=0o700, exist_ok=True)
            return str(path.replace(named / ZIP_NAME))
        finally:  # nothing is left where the disk is full
            shutil.rmtree(folder, ignore_errors=True)


def _keep_young(paths: Sequence[str]) -> None:
    """Tell the janitor that somebody waits for these files."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.utime(path)


def _working(status: str, sheet: Any = None) -> tuple[Any, ...]:
    """A step on the way: the sheet as it is so far, no ZIP yet, and a way to stop."""
    shown = gr.skip() if sheet is None else gr.update(value=sheet, visible=bool(sheet))
    no_zip = gr.update(value=None, visible=False)
    return status, shown, no_zip, gr.update(interactive=False), gr.update(visible=True)


def _step(status: str, sheet: Any = None, zipped: str | None = None) -> tuple[Any, ...]:
    """The end."""
    shown = gr.skip() if sheet is None else gr.update(value=sheet, visible=bool(sheet))
    button = gr.update(value=zipped, visible=zipped is not None)
    return status, shown, button, gr.update(interactive=True), gr.update(visible=False)
