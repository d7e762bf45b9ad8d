"""A model pool whose networks run on other machines; photos survive the end of one.

Knows nothing of Ray: what sends a question, and which errors mean that a machine has gone, are
handed over. Only labelling is asked for twice, which changes nothing wherever it is done.
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

GONE = "One of the machines has gone, trying another …"
FIRST_PAUSE, MOST_PAUSE = 0.1, 5.0

log = logging.getLogger(__name__)


class UnreachableError(PixelwiseError):
    """No machine has answered within the time limit."""


class Response(Protocol):
    """An answer that is on its way; Ray's `DeploymentResponse` is one."""

    def result(self, *, timeout_s: float | None = None) -> ResultMessage | ErrorMessage:
        """Wait for it.

        Raises:
            TimeoutError: it is not here yet; ask again.
        """

    def cancel(self) -> None:
        """It is no longer wanted."""


class Counts(Protocol):
    """Is told what becomes of photos."""

    def answered(self, seconds: float) -> None:
        """One has been labelled."""

    def failed(self) -> None:
        """One has not."""

    def retried(self) -> None:
        """One was sent again, because a machine had gone."""


class RemoteModelPool:
    """All models of a deployment; see `page.service.models.model_pool.ModelPool`.

    Args:
        send: sends (image, model, size) to a replica; the image is what `put` has returned.
        put: puts an (H, W, 3) uint8 array where all machines can fetch it, once for all tries.
        lost: errors of `Response.result` that mean that the machine has gone, or its answer.
        models: name to card, the first choice first.
        options: the page's settings.
        max_concurrency: how many photos may be at work at once.
        counts: is told what becomes of photos.
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
        counts: Counts,
    ) -> None:
        self.models = models
        self.max_concurrency = max_concurrency
        self.time_limit = options.time_limit
        self._send, self._put, self._lost, self._counts = send, put, lost, counts
        # for the classroom, which hangs hooks on a network: a copy on the page's own processor
        cpu = replace(options, device="cpu", precision="float32", compile=False)
        self._local = LocalModelPool(replace(cpu, model=self.default))

    @property
    def default(self) -> str:
        """The model that a visitor finds chosen."""
        return next(iter(self.models))

    def names(self) -> list[str]:
        """What the replicas have, the default first."""
        return list(self.models)

    def is_ready(self, name: str) -> bool:
        """Whether the replicas have it."""
        return name in self.models

    def is_loaded(self, name: str) -> bool:
        """Always: replicas have loaded everything before they serve."""
        return True

    def segmenter(self, name: str, progress: Progress = NO_PROGRESS) -> "RemotePredictor":
        """What sends photos to the replicas and tells `progress` of the way."""
        return RemotePredictor(self, name, progress)

    def network(self, name: str, progress: Progress = NO_PROGRESS) -> "Segmenter":
        """The model in the page's own process, on its CPU, in float32."""
        return self._local.network(name, progress)

    def ask(self, photo: Photo, model: str, size: int | None, progress: Progress) -> ResultMessage:
        """Have a photo labelled, and asked for again where a machine goes meanwhile.

        Raises:
            UnreachableError: no machine has answered within the time limit.
            PixelwiseError: the network failed on this photo.
            CancelledError: nobody waits for it any more.
        """
        start = time.monotonic()
        end = start + self.time_limit
        image = self._put(photo.image)
        try:
            for pause in _pauses():
                try:
                    answer = self._wait(self._send(image, model, size), end, progress)
                    break
                except Exception as error:
                    if not self._is_lost(error):
                        raise
                    log.warning("a machine has gone: %s", type(error).__name__)
                    if time.monotonic() + pause > end:
                        raise UnreachableError(self._unreachable()) from error
                    self._counts.retried()
                    progress(GONE, None)
                    time.sleep(pause)
            if isinstance(answer, ErrorMessage):
                raise answer.error
        except Exception:
            self._counts.failed()
            raise
        self._counts.answered(time.monotonic() - start)
        return answer

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
        """Whether the machine is to blame; Ray may wrap what it says of that."""
        return isinstance(error, self._lost) or isinstance(
            getattr(error, "cause", None), self._lost
        )

    def _unreachable(self) -> str:
        return (
            f"No machine has answered within {self.time_limit:g} s. Your photo is not lost: try "
            "again in a minute."
        )


class RemotePredictor:
    """What the page takes for a `Segmenter`; see `page.service.models.model_pool.Predictor`.

    Args:
        remote: where to ask.
        name: the model.
        progress: told where a machine has gone, and asked whether anybody still waits.
    """

    def __init__(
        self, remote: RemoteModelPool, name: str, progress: Progress = NO_PROGRESS
    ) -> None:
        self.name = name
        self._remote, self._progress = remote, progress
        self._card: ModelCard | None = None

    @property
    def card(self) -> ModelCard:
        """The card that came with the last answer: an update may have changed it."""
        return self._card or self._remote.models[self.name]

    def predict(self, image: Photo, *, size: int | None = None) -> Segmentation:
        """Label a photo; see `RemoteModelPool.ask` for what is raised."""
        parcel = self._remote.ask(image, self.name, size, self._progress)
        self._card = parcel.card
        return unpack(parcel)


def _pauses() -> Iterator[float]:
    """Seconds to wait before each further try: doubling, up to a limit."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, MOST_PAUSE)
