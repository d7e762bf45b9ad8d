"""Downloads of model weights, in the background or while a visitor waits."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from page.requests.locality import asked_at_home

RETRY_SECONDS = 60.0

log = logging.getLogger(__name__)


@dataclass
class Download:
    """The state of one model's download; `page.texts.download_text` words it.

    Attributes:
        name: the model.
        done: bytes so far.
        total: bytes in all; None until the server sends it.
        error: why it failed, or None.
        finished: set when it has ended, also when it has failed.
    """

    name: str
    done: int = 0
    total: int | None = None
    error: Exception | None = None
    finished: threading.Event = field(default_factory=threading.Event)
    started_at: float = field(default_factory=time.monotonic)

    @property
    def may_be_retried(self) -> bool:
        """Whether it has ended and may start again: for visitors elsewhere after a minute."""
        late = time.monotonic() - self.started_at > RETRY_SECONDS
        return self.ended and (late or asked_at_home())

    @property
    def fraction(self) -> float | None:
        """The part that is done, 0 to 1, or None where that is not known."""
        return min(self.done / self.total, 1.0) if self.total else None

    @property
    def ended(self) -> bool:
        """Whether it has ended, also when it has failed."""
        return self.finished.is_set()


class Downloads:
    """Downloads the weights of several models in the background, each once at a time."""

    def __init__(self) -> None:
        self._latest: dict[str, Download] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Download | None:
        """Return the latest download of a model's weights, running or ended."""
        with self._lock:
            return self._latest.get(name)

    def start(self, name: str) -> Download:
        """Return the download of a model's weights; start one, if none is running or done."""
        with self._lock:
            download = self._latest.get(name)
            if download and not (download.error and download.may_be_retried):
                return download
            download = self._latest[name] = Download(name)
        threading.Thread(target=_fetch, args=(download,), name=f"fetch-{name}", daemon=True).start()
        return download

    def wait(self, name: str, progress: Callable[[Download, float | None], None]) -> None:
        """Download a model's weights and report four times a second.

        Raises:
            WeightsError: the download has failed.
        """
        download = self.start(name)
        while not download.finished.wait(0.25):
            progress(download, download.fraction)
        if download.error:
            raise download.error


def _fetch(download: Download) -> None:
    from segmentation import MODELS, fetch_weights

    def progress(done: int, total: int | None) -> None:
        download.done, download.total = done, total

    try:
        fetch_weights(MODELS[download.name], progress)
    except Exception as error:  # raised again in `wait`
        download.error = error
        log.warning("the weights of %s could not be fetched: %s", download.name, error)
    finally:
        download.finished.set()
