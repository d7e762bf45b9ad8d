"""Weights that are fetched while somebody waits, or while another model answers."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from page.requests.locality import asked_at_home

AGAIN_SECONDS = 60.0

log = logging.getLogger(__name__)


@dataclass
class Download:
    """One model's weights on their way.

    Attributes:
        name: the model.
        done, total: bytes so far and in all; total is None until the server says it.
        error: why it failed, or None.
        finished: set when it has ended, well or not.
    """

    name: str
    done: int = 0
    total: int | None = None
    error: Exception | None = None
    finished: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)

    @property
    def may_be_tried_again(self) -> bool:
        """Whether a failed one may be started anew: a stranger has to let a minute pass."""
        late = time.monotonic() - self.began > AGAIN_SECONDS
        return self.ended and (late or asked_at_home())

    @property
    def fraction(self) -> float | None:
        """How far it is, from 0 to 1, where that is known."""
        return min(self.done / self.total, 1.0) if self.total else None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.finished.is_set()

    def sentence(self) -> str:
        """How far it is, in words."""
        if self.error:
            return str(self.error)
        if self.ended:
            return f"The weights of {self.name} are here."
        total = f" of {self.total / 1e6:.0f}" if self.total else ""
        return f"Downloading the weights of {self.name}: {self.done / 1e6:.0f}{total} MB …"


class Downloads:
    """Fetches each model's weights at most once at a time, in the background."""

    def __init__(self) -> None:
        self._running: dict[str, Download] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Download | None:
        """The latest download of this model, running or ended."""
        with self._lock:
            return self._running.get(name)

    def start(self, name: str) -> Download:
        """Begin to fetch a model's weights, unless that is under way; a failed one starts anew."""
        with self._lock:
            download = self._running.get(name)
            if download and not (download.error and download.may_be_tried_again):
                return download
            download = self._running[name] = Download(name)
        threading.Thread(target=_fetch, args=(download,), name=f"fetch-{name}", daemon=True).start()
        return download

    def wait(self, name: str, progress: Callable[[str, float | None], None]) -> None:
        """Fetch a model's weights and progress on the way.

        Raises:
            WeightsError: they cannot be had.
        """
        download = self.start(name)
        while not download.finished.wait(0.25):
            progress(download.sentence(), download.fraction)
        if download.error:
            raise download.error


def _fetch(download: Download) -> None:
    from segmentation import MODELS, fetch_weights

    def progress(done: int, total: int | None) -> None:
        download.done, download.total = done, total

    try:
        fetch_weights(MODELS[download.name], progress)
    except Exception as error:  # handed to the one who waits; a thread has nobody to raise to
        download.error = error
        log.warning("the weights of %s could not be fetched: %s", download.name, error)
    finally:
        download.finished.set()
