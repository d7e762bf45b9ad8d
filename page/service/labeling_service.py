"""Which model answers: the one place that knows networks, the queue before them and results."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page.options import Options
from page.requests.locality import asked_at_home, is_alone
from page.service.background import NO_PROGRESS, Progress, acquire_with_progress
from page.service.errors import NoSuchModelError
from page.service.models.downloads import Downloads
from page.service.models.model_pool import EMBEDDED, LocalModelPool, ModelPool
from page.service.models.zerogpu_predictor import ZeroGpuPredictor
from page.service.queue.scheduler import QueuedRequest, Scheduler
from page.service.result_cache import SHARPER, LabelRequest, LabelResult, ResultCache, cache_key

if TYPE_CHECKING:
    from page.service.result_cache import Source
    from segmentation import Segmenter
    from segmentation.models.card_figures import Size

IN_TURN = "Another photo is being labelled, yours is next …"
CLASSROOM = "classroom"
"""The name under which the classroom's steps wait for their turn."""
log = logging.getLogger(__name__)


class LabelingService:
    """Answers photos with the model a visitor chose, or says why another one does.

    Nothing is loaded, opened or started before the first call.

    Args:
        options: the page's settings.
        pool: what labels the photos, here or on other machines; None means here.

    Attributes:
        time_limit: seconds that one call may work.
    """

    def __init__(self, options: Options, pool: ModelPool | None = None) -> None:
        self.options = options
        self.zerogpu = ZeroGpuPredictor(options)
        self.pool = LocalModelPool(options, self.zerogpu.device) if pool is None else pool
        self.downloads = Downloads()
        self.results = ResultCache()
        self.time_limit = options.time_limit
        self.scheduler = Scheduler(options.time_limit, self.pool.max_concurrency, options.max_queue)
        # hooks on networks here concern nobody who is labelled elsewhere, but one another
        self._hooking = self.scheduler if self.pool.in_process else Scheduler(options.time_limit)
        self._remembering = threading.Lock()
        self._limits: dict[str, Any] = {
            "max_bytes": int(options.max_upload_mb * 2**20),
            "max_megapixels": options.max_megapixels,
        }

    @property
    def default(self) -> str:
        """The model that a visitor finds chosen."""
        return self.pool.default

    def model_names(self) -> list[str]:
        """The models that the one who asks may choose, the default first.

        Those whose weights must be fetched first are for who sits at this machine alone, unless
        the owner says otherwise: a stranger makes it fetch nothing.
        """
        return [name for name in self.pool.names() if self._may_choose(name)]

    def here(self) -> list[str]:
        """The page's default, and the models that need no download."""
        return [name for name in self.pool.names() if name == self.default or self.is_ready(name)]

    def _may_choose(self, name: str) -> bool:
        pool = self.pool
        return name == pool.default or pool.is_ready(name) or self.may_offer_downloads()

    def may_offer_downloads(self) -> bool:
        """Whether the one who asks may have weights fetched; see `model_names`."""
        return self.options.offer_downloads or (is_alone(self.options) and asked_at_home())

    def hidden(self) -> set[str]:
        """What menus call the models that the one who asks may not choose."""
        return {Path(n).name for n in {*self.pool.names()} - {*self.model_names()}}

    def fetch_default(self) -> None:
        """Begin to fetch the default's weights, where they are not here."""
        if not self.is_ready(self.default):
            self.downloads.start(self.default)

    def resolve(self, name: str | None) -> str:
        """The model meant by what a visitor sent.

        A `.pt2` file answers to its path, its file name and its stem; no other file can be named.

        Raises:
            NoSuchModelError: there is no such model on this page.
        """
        if not name:
            return self.default
        for known in self.pool.names():
            if name in (known, Path(known).name, Path(known).stem) and self._may_choose(known):
                return known
        raise NoSuchModelError(
            f"There is no model {name[:200]!r} on this page. Choose one of: "
            + ", ".join(Path(known).name for known in self.model_names())
            + "."
        )

    def is_ready(self, name: str) -> bool:
        """Whether the model can answer without a download."""
        return self.pool.is_ready(name)

    def sharper_size(self, name: str) -> "Size":
        """The sizes that a model's card has measured as sharper; None where it has not."""
        from segmentation import has_embedded
        from segmentation.models.registry import embedded_card

        if name != EMBEDDED or not has_embedded():
            return None
        card = embedded_card()
        return None if card.sharper is None else card.sharper.size

    def segmenter(self, name: str, progress: Progress = NO_PROGRESS) -> "Segmenter":
        """The model in this process, with a network to look into; see `ModelPool.network`."""
        return self.pool.network(name, progress)

    def segment(
        self, source: "Source", name: str | None = None, *args: Any, **kw: Any
    ) -> LabelResult:
        """As `label`, and the place at the network is free again at once."""
        with self.label(source, name, *args, **kw) as answer:
            return answer

    @contextmanager
    def label(
        self,
        source: "Source",
        name: str | None = None,
        size: int | None = None,
        *,
        session: str = "",
        progress: Progress = NO_PROGRESS,
        allow_fallback: bool = True,
    ) -> Iterator[LabelResult]:
        """Label a photo, and keep the place at the network while the block runs.

        What is made of a result at its full size belongs into the block: so there is one such
        photo in memory at a time for each turn, however many wait.

        Args:
            source: a file's path, its bytes, or a `Photo`.
            name: the model; None means the page's default.
            size: the shorter side that the network sees, in pixels; None means the model's own,
                `SHARPER` the sizes that its card has measured as sharper (its own, where it has
                measured none).
            session: who asks: an equal question of theirs has its result from memory. "" means
                that nobody will ask again.
            progress: told what is happening, and the position in the queue.
            allow_fallback: let the built-in model answer while the asked one is being fetched.

        Yields:
            The result.

        Raises:
            PixelwiseError: the photo, the model or its weights cannot be used, or the turn did
                not come in time.
        """
        model = self.resolve(name)
        is_ready = self.pool.is_ready(model)
        request = self._request(source, model, size, session, allow_fallback and not is_ready)
        known = self.results.get(request.key)
        if known is not None:
            with acquire_with_progress(self._remembering, progress, IN_TURN):
                yield replace(known, request=request)
            return
        if not (is_ready or request.is_fallback):
            self.downloads.wait(model, progress)
        with self.scheduler.slot(
            request.used_model, request.size, progress=progress, request=request
        ) as turn:
            if turn.has_waited:  # the same visitor's equal question may have been answered
                known = self.results.get(request.key)
            if known is None:
                known = self.work(turn, progress)
                self.results.put(request.key, known)
            yield replace(known, request=request)

    def _request(
        self, source: "Source", model: str, size: "Size", session: str, may_fall_back: bool
    ) -> LabelRequest:
        """Look at a photo's header and name what is asked."""
        from segmentation import has_embedded
        from segmentation.images.photo import check_photo

        check_photo(source, **self._limits)
        is_fallback = may_fall_back and has_embedded()
        if is_fallback:
            self.downloads.start(model)
        used_model = EMBEDDED if is_fallback else model
        if size == SHARPER:
            size = self.sharper_size(used_model)
        content_hash = self.results.hash_source(source, session)
        key = cache_key(session, content_hash, used_model, size)
        return LabelRequest(
            source, key, content_hash, session, model, used_model, is_fallback, size
        )

    def work(self, turn: QueuedRequest, progress: Progress = NO_PROGRESS) -> LabelResult:
        """Label the photo whose turn has come.

        Args:
            turn: its request is a `LabelRequest`.
            progress: told what is happening.

        Raises:
            PixelwiseError: the photo, the model or its weights cannot be used.
        """
        from segmentation import open_photo

        request: LabelRequest = turn.request
        with turn.loading_model() if not self.pool.is_loaded(turn.model) else nullcontext():
            predictor = self.pool.segmenter(turn.model, progress)
        progress("Reading the photo …")
        photo = open_photo(request.source, **self._limits)
        progress("Labelling every pixel …")
        if self.zerogpu.lends:
            result = self.zerogpu.predict(predictor, turn.model, photo, request.size)
        else:
            result = predictor.predict(photo, size=request.size)
        return LabelResult(request, photo, result, predictor.card)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """While the block runs, no forward pass does here: hooks may hang on a network."""
        with self._hooking.slot(CLASSROOM):
            yield

    def get_result(self, key: str) -> LabelResult | None:
        """An earlier answer, while it is still kept; the key belongs to one visitor."""
        return self.results.get(key)

    def warm_up(self) -> None:
        """Load the model that will answer first, and run it once, so that nobody waits for it."""
        from segmentation import PixelwiseError

        name = self.default if self.is_ready(self.default) else EMBEDDED
        try:
            with self.scheduler.slot(name, record_duration=False) as turn, turn.loading_model():
                self.segmenter(name).warm_up()
        except PixelwiseError as error:
            log.warning("warm-up: %s", error)
