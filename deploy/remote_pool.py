"""Model pool whose networks run on other machines; it retries a photo if its replica is lost.

Independent of Ray: the function that sends a request and the errors that mean a lost replica are
arguments. Only labelling is retried, which has no side effects.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from deploy.messages import ErrorMessage, ResultMessage, unpack
from page.options import Options
from page.service.background import NO_PROGRESS, TICK_SECONDS, Progress
from page.service.models.model_pool import LocalModelPool
from segmentation import ModelCard, Photo, PixelwiseError, Segmentation

if TYPE_CHECKING:
    from segmentation import Segmenter

RETRYING_TEXT = "A server stopped responding. Trying another one …"
FIRST_PAUSE, MAX_PAUSE = 0.1, 5.0

log = logging.getLogger(__name__)


class UnreachableError(PixelwiseError):
    """No replica responded within the time limit."""


class Response(Protocol):
    """A pending response, such as Ray's `DeploymentResponse`."""

    def result(self, *, timeout_s: float | None = None) -> ResultMessage | ErrorMessage:
        """Wait for the result and return it.

        Raises:
            TimeoutError: it has not arrived within `timeout_s` seconds.
        """

    def cancel(self) -> None:
        """Cancel the request."""


class PhotoCounter(Protocol):
    """Counts the outcomes of photos."""

    def answered(self, seconds: float) -> None:
        """Count a labelled photo and its seconds."""

    def failed(self) -> None:
        """Count a photo that could not be labelled."""

    def retried(self) -> None:
        """Count a photo that is sent again, because a replica was lost."""


class RemoteModelPool:
    """All models of a deployment; see `page.service.models.model_pool.ModelPool`.

    Args:
        send: sends (image, model, size) to a replica; the image is what `put` returned.
        put: stores an (H, W, 3) uint8 array where all machines can fetch it, once for all tries.
        lost: errors of `Response.result` that mean that the replica or its response is lost.
        models: name to card, the default first.
        options: the page's settings.
        max_concurrency: maximum number of photos that are sent at once.
        counter: counts the outcomes.
    """

    in_process = False

    def __init__(
        self,
        send: Callable[[Any, str, int | None], Response],
        put: Callable[[Any], Any],
        lost: tuple[type[Exception], ...],
        models: dict[str, ModelCard],
        options: Options,
        max_concurrency: int,
        counter: PhotoCounter,
    ) -> None:
        self.models = models
        self.max_concurrency = max_concurrency
        self.time_limit = options.time_limit
        self._send, self._put, self._lost, self._counter = send, put, lost, counter
        # the classroom attaches hooks to a network, so it uses a copy on the page's CPU
        cpu = replace(options, device="cpu", precision="float32", compile=False)
        self._local = LocalModelPool(replace(cpu, model=self.default))

    @property
    def default(self) -> str:
        """The model that is selected when the page opens."""
        return next(iter(self.models))

    def names(self) -> list[str]:
        """Return the names of the replicas' models, the default first."""
        return list(self.models)

    def is_ready(self, name: str) -> bool:
        """Return whether the replicas have a model."""
        return name in self.models

    def is_loaded(self, name: str) -> bool:
        """Return True: replicas load all models before they serve."""
        return True

    def segmenter(self, name: str, progress: Progress = NO_PROGRESS) -> "RemotePredictor":
        """Return a predictor that sends photos to the replicas and reports to `progress`."""
        return RemotePredictor(self, name, progress)

    def network(self, name: str, progress: Progress = NO_PROGRESS) -> "Segmenter":
        """Return the model in the page's own process, on its CPU, in float32."""
        return self._local.network(name, progress)

    def label(
        self, photo: Photo, model: str, size: int | None, progress: Progress
    ) -> ResultMessage:
        """Label a photo on a replica, with retries if the replica is lost.

        Raises:
            UnreachableError: no replica responded within the time limit.
            PixelwiseError: the network failed on this photo.
            CancelledError: the visitor has left.
        """
        start = time.monotonic()
        end = start + self.time_limit
        image = self._put(photo.image)
        try:
            for pause in _pauses():
                try:
                    message = self._wait(self._send(image, model, size), end, progress)
                    break
                except Exception as error:
                    if not self._is_lost(error):
                        raise
                    log.warning("a replica was lost: %s", type(error).__name__)
                    if time.monotonic() + pause > end:
                        raise UnreachableError(self._unreachable()) from error
                    self._counter.retried()
                    progress(RETRYING_TEXT, None)
                    time.sleep(pause)
            if isinstance(message, ErrorMessage):
                raise message.error
        except Exception:
            self._counter.failed()
            raise
        self._counter.answered(time.monotonic() - start)
        return message

    def _wait(
        self, response: Response, end: float, progress: Progress
    ) -> ResultMessage | ErrorMessage:
        try:
            while True:
                with suppress(TimeoutError):
                    return response.result(timeout_s=TICK_SECONDS)
                progress.check()
                if time.monotonic() > end:
                    raise UnreachableError(self._unreachable())
        except BaseException:
            response.cancel()
            raise

    def _is_lost(self, error: Exception) -> bool:
        """Return whether the replica was lost; Ray may wrap the error that says so."""
        return isinstance(error, self._lost) or isinstance(
            getattr(error, "cause", None), self._lost
        )

    def _unreachable(self) -> str:
        return (
            f"No server responded within {self.time_limit:g} s; your photo was not labelled. "
            "Please try again in a minute."
        )


class RemotePredictor:
    """Predictor of one remote model; see `page.service.models.model_pool.Predictor`.

    Args:
        remote: the pool that sends the photos.
        name: the model.
        progress: gets a message at each retry, and cancels the request.
    """

    def __init__(
        self, remote: RemoteModelPool, name: str, progress: Progress = NO_PROGRESS
    ) -> None:
        self.name = name
        self._remote, self._progress = remote, progress
        self._card: ModelCard | None = None

    @property
    def card(self) -> ModelCard:
        """The card of the last result, because an update may have changed it."""
        return self._card or self._remote.models[self.name]

    def predict(self, image: Photo, *, size: int | None = None) -> Segmentation:
        """Label a photo; see `RemoteModelPool.label` for the errors."""
        message = self._remote.label(image, self.name, size, self._progress)
        self._card = message.card
        return unpack(message)


def _pauses() -> Iterator[float]:
    """Yield the seconds to wait before each retry: doubling, up to a limit."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, MAX_PAUSE)
