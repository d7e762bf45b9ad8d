"""Clips: one at a time through the network, a frame a turn, so that photos are not held up."""

import logging
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from page import live_texts as words
from page.service import error_log, error_messages
from page.service.background import Progress, Report, acquire_with_progress, run_with_progress
from page.service.errors import CancelledError
from page.service.labeling_service import LabelingService
from page.service.models.model_pool import EMBEDDED
from page.service.queue.sessions import Sessions
from page.tabs.cancel_registry import CancelRegistry
from page.texts import step_text
from segmentation import PixelwiseError

if TYPE_CHECKING:
    from segmentation.video.labeler import LabelledClip
    from segmentation.video.limits import ClipLimits

CLIP = "clip"
"""The name under which clips' frames wait in the line."""
MAX_CLIPS = 4
TELL_SECONDS = 0.25
WORK_FACTOR = 30.0
"""A clip may take so many times its longest length, or the page's time limit, if that is more."""

log = logging.getLogger(__name__)


class ClipJobs:
    """Labels visitors' clips.

    Args:
        service: has the networks and the queue before them.
        cache: Gradio's folder for files that visitors may fetch.
        sessions: who has left.

    Attributes:
        stops: what the button for it calls.
    """

    def __init__(self, service: LabelingService, cache: str, sessions: Sessions) -> None:
        self.service = service
        self.cache = cache
        self.sessions = sessions
        self.stops = CancelRegistry()
        self._at_work = threading.Lock()
        self._files: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._here = threading.BoundedSemaphore(MAX_CLIPS)

    @property
    def limits(self) -> "ClipLimits":
        """What a clip may be on this page."""
        from segmentation.video.limits import ClipLimits

        options, usual = self.service.options, ClipLimits()
        most = min(usual.megabytes, options.max_upload_mb)
        return ClipLimits(seconds=options.clip_seconds, megabytes=most)

    def rules(self) -> str:
        """The limits in words; HTML."""
        limits = self.limits
        return words.clip_rules(limits.seconds, limits.megabytes, limits.longest, limits.fps)

    def run(
        self, file: str | None, model: str, request: gr.Request | None = None
    ) -> Iterator[tuple[Any, Any]]:
        """Label a clip and say how far it is.

        Yields:
            The status as HTML, and the labelled clip's file.
        """
        if not file:
            yield words.status("Choose a clip first."), gr.skip()
            return
        if not self._here.acquire(blocking=False):
            yield words.status(f"Busy: {MAX_CLIPS} clips are waiting. Try again later."), gr.skip()
            return
        try:
            with self._keeping(file):
                yield from self._until_stopped(file, model, request)
        except PixelwiseError as error:
            yield words.status(error_messages.told(log, error)), gr.skip()
        except Exception as error:
            error_log.tell(log, "a clip could not be labelled", error)
            yield words.status(words.CLIP_FAILED), gr.skip()
        finally:
            self._here.release()

    def files(self) -> set[str]:
        """The clips that wait or are being read, which must not be tidied away."""
        with self._counting:
            return set(self._files)

    @contextmanager
    def _keeping(self, file: str) -> Iterator[None]:
        with self._counting:
            self._files[file] += 1
        try:
            yield
        finally:
            with self._counting:
                self._files[file] -= 1
                self._files += Counter()  # without those that are nobody's any more

    def _until_stopped(
        self, file: str, model: str, request: gr.Request | None
    ) -> Iterator[tuple[Any, Any]]:
        with self.stops.register(request) as stop:
            yield words.status("Looking at the clip …", busy=True), None
            try:
                yield from self._steps(file, model, request, stop)
            except CancelledError:
                if stop.is_set():
                    yield words.status(words.CLIP_CANCELLED), gr.skip()
                else:
                    log.info("a visitor left while their clip was being labelled")

    def _steps(
        self, file: str, model: str, request: gr.Request | None, stop: threading.Event
    ) -> Iterator[tuple[Any, Any]]:
        session = getattr(request, "session_hash", None)
        seconds = max(self.service.time_limit, WORK_FACTOR * self.limits.seconds)
        steps = run_with_progress(
            lambda progress: self._label(file, model, progress),
            seconds=seconds,
            is_cancelled=lambda: stop.is_set() or self.sessions.has_disconnected(session),
        )
        for step in steps:
            if isinstance(step, Report):
                text = step_text(step.step)
                yield words.status(text, step.fraction, busy=True), gr.skip()
            elif step is not None:
                clip, name, instead_of = step
                told = words.clip_done(
                    clip.frames,
                    clip.fps,
                    clip.height,
                    clip.width,
                    clip.sound,
                    name,
                    note=clip.note,
                    instead_of=instead_of,
                )
                yield words.status(told), str(clip.path)

    def _label(self, file: str, model: str, progress: Progress) -> "tuple[LabelledClip, str, str]":
        """Return the clip, the model's name, and the name of a model it replaces, or ""."""
        from segmentation.video.labeler import check_clip, label_clip

        check_clip(file, self.limits)
        asked = self.service.resolve(model)
        name = self._or_built_in(asked, lambda: self._fetch(asked, progress)) or asked
        with ExitStack() as held:
            with progress.paused():
                held.enter_context(acquire_with_progress(self._at_work, progress, words.CLIP_WAITS))
            name = self._or_built_in(name, lambda: self.service.segmenter(name, progress)) or name
            segmenter = self.service.segmenter(name, progress)
            folder = Path(tempfile.mkdtemp(prefix="clip-", dir=self.cache))
            keep = folder / ".keep"  # the janitor removes folders that are empty
            keep.touch()
            try:
                clip = label_clip(
                    file,
                    folder / f"{_stem(file)}_labels.mp4",
                    segmenter,
                    size=self.service.options.size,
                    limits=self.limits,
                    progress=_Counting(progress).frame,
                    slot=lambda: self.service.scheduler.slot(
                        CLIP, progress=_silent(progress), counts_in_position=False
                    ),
                )
                keep.unlink(missing_ok=True)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return clip, segmenter.model.name, "" if name == asked else Path(asked).stem

    def _fetch(self, name: str, progress: Progress) -> None:
        if not self.service.is_ready(name):
            self.service.downloads.wait(name, progress)

    def _or_built_in(self, name: str, prepare: Callable[[], object]) -> str | None:
        """Return the built-in model if the default model's weights are unavailable, else None."""
        from segmentation import WeightsError, has_embedded

        try:
            prepare()
        except WeightsError as error:
            if name != self.service.default or not has_embedded():
                raise
            log.warning("using the built-in model for a clip: %s", error)
            return EMBEDDED
        return None


class _Counting:
    """Tells the frames of a clip, a few times a second, and checks at each whether to go on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._told = 0.0

    def frame(self, done: int, total: int | None) -> None:
        """Called by `label_clip`."""
        self.progress.check()
        if time.monotonic() - self._told > TELL_SECONDS:
            self._told = time.monotonic()
            fraction = min(done / total, 1.0) if total else None
            self.progress(words.frame_of(done, total), fraction)


def _silent(progress: Progress) -> Progress:
    """Stops where the other one does, and says nothing: a frame's place in line is no news."""

    def stopped() -> bool:
        with suppress(CancelledError):
            progress.check()
            return False
        return True

    return Progress(stopped=stopped)


def _stem(file: str) -> str:
    """A name for the download that tells a person which clip it was."""
    kept = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(file).stem)
    return kept[:60] or "clip"
