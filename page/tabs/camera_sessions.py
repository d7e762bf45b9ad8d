"""Cameras: each sends one frame, gets its labels and sends the next; nothing is ever queued.

A frame takes a turn in the line like a photo, under a name that all cameras share: so photos are
not held up, and as every camera has one frame in the line at most, they take turns. A frame whose
turn does not come within a second is dropped. Frames are decoded in memory and written nowhere.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page import live_texts as words
from page.service.background import Progress
from page.service.errors import CancelledError
from page.service.labeling_service import LabelingService
from page.service.models.model_pool import LIGHTWEIGHT_MODELS
from segmentation import PixelwiseError

if TYPE_CHECKING:
    import numpy as np

    from segmentation import Segmenter, Smoother

LIVE = "live"
"""The name under which the cameras' frames wait in the line."""
LEAST_FPS = 8.0
"""Frames a second that the network itself should reach to be chosen."""
MAX_CAMERAS = 8
PATIENCE_SECONDS = 1.0
IDLE_SECONDS = 20.0
"""A camera that sends nothing for so long is forgotten."""
MAX_MEGAPIXELS = 2.1  # full HD; the page sends what the network sees
MAP_SIDE = 240
"""Shorter side of the label map that goes back, in pixels: the labels' own grid is coarser."""


class CameraExpiredError(PixelwiseError):
    """The camera's time is over, or it is not known here."""


class TooManyCamerasError(PixelwiseError):
    """Too many cameras are on."""


@dataclass(eq=False)
class CameraSession:
    """One camera that is on.

    Attributes:
        segmenter: answers it.
        smoother: joins its frames' answers.
        end: when it has to stop, by `time.monotonic`.
        last: when its last frame was labelled.
        seen: when it last sent one.
        lock: held while a frame of its own is at work.
    """

    segmenter: "Segmenter"
    smoother: "Smoother"
    end: float
    last: float
    seen: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class CameraSessions:
    """The cameras of all visitors.

    Args:
        service: answers the frames.
        seconds: how long a camera may be on.
        clock: seconds that never go back; for tests.
    """

    def __init__(
        self, service: LabelingService, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.service = service
        self.seconds = seconds
        self._clock = clock
        self._cameras: dict[str, CameraSession] = {}
        self._pace: dict[str, float] = {}  # model -> seconds a frame, as tried
        self._trying = threading.RLock()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many cameras are on."""
        with self._lock:
            self._forget()
            return len(self._cameras)

    def start(self, model: str, data: bytes) -> dict[str, Any]:
        """Let a camera in.

        Args:
            model: the model's name, or "" for the best one that is quick enough here.
            data: its first frame, a picture file; the models are tried on it.

        Returns:
            JSON-able: id, model, why (a sentence), side (shorter side in pixels that a frame
            should have), seconds, ended (what to say
            after them), categories (as for the viewer), background (index or -1).

        Raises:
            CrowdedError: too many cameras.
            PixelwiseError: the frame or the model cannot be used.
        """
        from segmentation import Smoother

        if len(self) >= MAX_CAMERAS:
            raise TooManyCamerasError(words.crowded(MAX_CAMERAS))
        image = self._read(data)
        name = self.service.resolve(model) if model else self._choose(image)
        if not self.service.is_ready(name):
            raise PixelwiseError(words.not_here(Path(name).stem))
        segmenter = self.service.segmenter(name)
        self._try(name, image)
        now = self._clock()
        camera = CameraSession(segmenter, Smoother(), now + self.seconds, now, now)
        ident = secrets.token_urlsafe(16)
        with self._lock:
            self._cameras[ident] = camera
        return {"id": ident, **self._facts(name, segmenter, chosen=bool(model))}

    def frame(self, ident: str, data: bytes) -> tuple[bytes, float] | None:
        """Label a frame.

        Args:
            ident: the camera's id.
            data: a picture file.

        Returns:
            The label map as `segmentation.encode_label_map` packs it, and the seconds that the
            network had; None where the frame was dropped.

        Raises:
            EndedError: the camera's time is over.
            PixelwiseError: the frame cannot be read, or the network fails.
        """
        camera = self._camera(ident)
        if not camera.lock.acquire(blocking=False):
            return None
        try:
            image = self._read(data)
            late = self._clock() + PATIENCE_SECONDS
            patience = Progress(stopped=lambda: self._clock() > late)
            with self.service.scheduler.slot(LIVE, progress=patience, counts_in_position=False):
                start = time.perf_counter()
                packed = self._label(camera, image)
                return packed, time.perf_counter() - start
        except CancelledError:
            return None
        finally:
            camera.lock.release()

    def stop(self, ident: str) -> None:
        """Forget a camera."""
        with self._lock:
            self._cameras.pop(ident, None)

    def _camera(self, ident: str) -> CameraSession:
        with self._lock:
            self._forget()
            camera = self._cameras.get(ident)
            if camera is None:
                raise CameraExpiredError(words.ended(self.seconds))
            camera.seen = self._clock()
            return camera

    def _forget(self) -> None:
        now = self._clock()
        for ident, camera in list(self._cameras.items()):
            if now > camera.end or now - camera.seen > IDLE_SECONDS:
                del self._cameras[ident]

    def _read(self, data: bytes) -> "np.ndarray":
        from segmentation import open_photo

        return open_photo(data, max_megapixels=MAX_MEGAPIXELS).image

    def _label(self, camera: CameraSession, image: "np.ndarray") -> bytes:
        from segmentation import encode_label_map
        from segmentation.inference.postprocessing import decide

        logits = camera.segmenter.logits(image, size=self.service.options.size)
        now = self._clock()
        scores = camera.smoother(logits, image, now - camera.last)
        camera.last = now
        return encode_label_map(*decide(scores, map_size(*image.shape[:2])))

    def _choose(self, image: "np.ndarray") -> str:
        """The best model that is ready here and quick enough; else the quickest."""
        with self._trying:
            tried = {name: self._try(name, image) for name in self._candidates()}
        own = self.service.options.model
        quick = [name for name, seconds in tried.items() if seconds <= 1 / LEAST_FPS]
        if own in quick:
            return own
        if quick:
            return max(quick, key=_published_accuracy)
        return min(tried, key=tried.__getitem__)

    def _candidates(self) -> list[str]:
        """The models that are tried: light ones, and the one that this page was started with."""
        ready = [name for name in self.service.model_names() if self.service.is_ready(name)]
        own = self.service.options.model
        light = [name for name in ready if name in LIGHTWEIGHT_MODELS or name == own]
        return light or ready[:1] or [self.service.default]

    def _try(self, name: str, image: "np.ndarray") -> float:
        """Seconds that a model needs for a frame: the second of two, as the first one warms up."""
        from segmentation import Smoother

        with self._trying:  # one camera tries a model, and the others wait for what it finds
            if name in self._pace:
                return self._pace[name]
            segmenter = self.service.segmenter(name)
            seconds = 0.0
            for _ in range(2):
                with self.service.scheduler.slot(
                    LIVE, counts_in_position=False, record_duration=False
                ):
                    now = self._clock()
                    camera = CameraSession(segmenter, Smoother(), now, now, now)
                    start = time.perf_counter()
                    self._label(camera, image)
                    seconds = time.perf_counter() - start
            with self._lock:
                self._pace[name] = seconds
            return seconds

    def _facts(self, name: str, segmenter: "Segmenter", chosen: bool) -> dict[str, Any]:
        from segmentation.inference.result import BACKGROUND_NAMES
        from viewer.payload import describe_categories

        card = segmenter.model.card
        categories = card.categories
        clear = [i for i, raw in enumerate(categories) if raw in BACKGROUND_NAMES]
        with self._lock:
            rates = {Path(one).stem: 1 / seconds for one, seconds in self._pace.items()}
        return {
            "model": segmenter.model.name,
            "why": words.why(Path(name).stem, rates, chosen, LEAST_FPS),
            "side": self.service.options.size or card.resize,
            "seconds": self.seconds,
            "ended": words.ended(self.seconds),
            "categories": describe_categories(categories, card.palette_array),
            "background": clear[0] if clear else -1,
        }


def map_size(height: int, width: int) -> tuple[int, int]:
    """The label map's (height, width) for a frame's, in pixels."""
    scale = min(1.0, MAP_SIDE / min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _published_accuracy(name: str) -> float:
    """Published mean IoU in percent; 0 where nobody has published any."""
    from segmentation import MODELS

    return (MODELS[name].miou if name in MODELS else None) or 0.0
