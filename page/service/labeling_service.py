"""Label photos with the model that a visitor chose: cache lookup, queue, network, result."""

import functools
import hashlib
import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page.options import Options
from page.requests.locality import asked_at_home, is_alone
from page.service.background import NO_PROGRESS, Progress, Stage, acquire_with_progress
from page.service.errors import NoSuchModelError
from page.service.models.downloads import Downloads
from page.service.models.model_pool import EMBEDDED, LocalModelPool, ModelPool
from page.service.models.zerogpu_predictor import ZeroGpuPredictor
from page.service.queue.scheduler import QueuedRequest, Scheduler
from page.service.result_cache import SHARPER, LabelRequest, LabelResult, ResultCache

if TYPE_CHECKING:
    from page.service.result_cache import Source
    from segmentation import Segmenter
    from segmentation.models.card_figures import Size

CLASSROOM = "classroom"
"""The name under which the classroom's steps are queued."""
_blake2b = functools.partial(hashlib.blake2b, digest_size=16)
log = logging.getLogger(__name__)


class LabelingService:
    """Labels photos; loads, opens and starts nothing before the first call.

    Args:
        options: the page's settings.
        pool: the models, in this process or on other machines; None for this process.

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
        # Hooks on networks of this process do not affect photos that other machines label.
        self._exclusive = self.scheduler if self.pool.in_process else Scheduler(options.time_limit)
        self._serving_cached = threading.Lock()
        self._limits: dict[str, Any] = {
            "max_bytes": int(options.max_upload_mb * 2**20),
            "max_megapixels": options.max_megapixels,
        }

    @functools.cached_property
    def default(self) -> str:
        """The model that is chosen when the page opens."""
        return self.pool.default

    @functools.cached_property
    def _names_by_alias(self) -> dict[str, str]:
        """Maps each name that `resolve` accepts to the pool's; the first model goes first."""
        aliases = {"": self.default}
        for name in self.pool.names():
            for alias in (name, Path(name).name, Path(name).stem):
                aliases.setdefault(alias, name)
        return aliases

    def model_names(self) -> list[str]:
        """Return the models that this visitor may choose, the default first.

        Unless the owner allows it, only a visitor at this machine may choose a model whose weights
        must be downloaded.
        """
        names = self.pool.names()
        return [name for name in names if name == self.default or self._may_choose(name)]

    def here(self) -> list[str]:
        """Return the default and the models that need no download."""
        return [name for name in self.pool.names() if name == self.default or self.is_ready(name)]

    def _may_choose(self, name: str) -> bool:
        return self.pool.is_ready(name) or self.may_offer_downloads()

    def may_offer_downloads(self) -> bool:
        """Return whether this visitor may have weights downloaded; see `model_names`."""
        return self.options.offer_downloads or (is_alone(self.options) and asked_at_home())

    def hidden(self) -> set[str]:
        """Return the menu values of the models that this visitor may not choose."""
        return {Path(n).name for n in {*self.pool.names()} - {*self.model_names()}}

    def fetch_default(self) -> None:
        """Start to download the default model's weights, if they are missing."""
        if not self.is_ready(self.default):
            self.downloads.start(self.default)

    def resolve(self, name: str | None) -> str:
        """Return the model that a visitor's text names.

        A `.pt2` file has three names: its path, its file name and its stem. No other file can be
        named.

        Raises:
            NoSuchModelError: there is no such model on this page, or this visitor may not use it.
        """
        known = self._names_by_alias.get(str(name or ""))
        if known is not None and (known == self.default or self._may_choose(known)):
            return known
        raise NoSuchModelError(
            f"There is no model {str(name)[:200]!r} on this page. Choose one of: "
            + ", ".join(Path(known).name for known in self.model_names())
            + "."
        )

    def is_ready(self, name: str) -> bool:
        """Return whether a model needs no download."""
        return self.pool.is_ready(name)

    def sharper_size(self, name: str) -> "Size":
        """Return the sizes that a model's card has measured as sharper, or None."""
        from segmentation import has_embedded
        from segmentation.models.registry import embedded_card

        if name != EMBEDDED or not has_embedded():
            return None
        card = embedded_card()
        return None if card.sharper is None else card.sharper.size

    def segmenter(self, name: str, progress: Progress = NO_PROGRESS) -> "Segmenter":
        """Return the model in this process; see `ModelPool.network`."""
        return self.pool.network(name, progress)

    def segment(
        self, source: "Source", name: str | None = None, *args: Any, **kw: Any
    ) -> LabelResult:
        """Return what `label` yields, and release the slot at once."""
        with self.label(source, name, *args, **kw) as result:
            return result

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
        """Label a photo, and hold the slot at the network while the block runs.

        Files made of the full-size result belong into the block: then each slot has one full-size
        photo in memory, however many requests are queued.

        Args:
            source: a file's path, its bytes, or a `Photo`.
            name: the model; None for the page's default.
            size: the shorter side of the network's input, in pixels; None for the model's own;
                `SHARPER` for the sizes that its card has measured as sharper (the model's own
                where it has measured none).
            session: the visitor's session: an equal request has its result from the cache. "" for
                none.
            progress: receives the queue position and the `Stage`.
            allow_fallback: use the built-in model while the requested one is being downloaded.

        Yields:
            The result.

        Raises:
            PixelwiseError: the photo, the model or its weights cannot be used, or the request
                timed out in the queue.
        """
        model = self.resolve(name)
        is_ready = self.pool.is_ready(model)
        request = self._request(source, model, size, session, allow_fallback and not is_ready)
        cached = self.results.get(request.key)
        if cached is not None:
            with acquire_with_progress(self._serving_cached, progress, Stage("waiting")):
                yield replace(cached, request=request)
            return
        if not (is_ready or request.is_fallback):
            self.downloads.wait(model, progress)
        with self.scheduler.slot(
            request.used_model, request.size, progress=progress, request=request
        ) as slot:
            if slot.has_waited:  # an equal request of this visitor may have been labelled meanwhile
                cached = self.results.get(request.key)
            if cached is None:
                cached = self.work(slot, progress)
                if session:
                    self.results.put(request.key, cached, owner=session)
            yield replace(cached, request=request)

    def _request(
        self, source: "Source", model: str, size: "Size", session: str, may_fall_back: bool
    ) -> LabelRequest:
        """Check a photo's header and describe the request."""
        from segmentation import has_embedded
        from segmentation.images.photo import check_photo

        check_photo(source, **self._limits)
        is_fallback = may_fall_back and has_embedded()
        if is_fallback:
            self.downloads.start(model)
        used = EMBEDDED if is_fallback else model
        if size == SHARPER:
            size = self.sharper_size(used)
        # Without a session nothing is cached, and any key will do.
        content = self._content_hash(source, session) if session else secrets.token_hex(16)
        key = _blake2b(repr((session, content, used, size)).encode()).hexdigest()
        return LabelRequest(source, key, content, session, model, used, is_fallback, size)

    def _content_hash(self, source: "Source", session: str) -> str:
        """Return a hash of the photo's file, also for a `Photo` that this visitor's file became.

        Raises:
            OSError: the file cannot be read.
        """
        if isinstance(source, str):
            with open(source, "rb") as file:  # in parts: many visitors may come at once
                return hashlib.file_digest(file, _blake2b).hexdigest()
        if isinstance(source, bytes):
            return _blake2b(source).hexdigest()
        for cached in self.results.values():
            if cached.photo is source and cached.request.session == session:
                return cached.request.content_hash
        return _blake2b(repr(source.image.shape).encode() + source.image.tobytes()).hexdigest()

    def work(self, slot: QueuedRequest, progress: Progress = NO_PROGRESS) -> LabelResult:
        """Decode and label the photo of a request that has a slot.

        Args:
            slot: its request is a `LabelRequest`.
            progress: receives the `Stage`.

        Raises:
            PixelwiseError: the photo, the model or its weights cannot be used.
        """
        from segmentation import open_photo

        request: LabelRequest = slot.request
        with slot.loading_model() if not self.pool.is_loaded(slot.model) else nullcontext():
            predictor = self.pool.segmenter(slot.model, progress)
        progress(Stage("reading"))
        photo = open_photo(request.source, **self._limits)
        progress(Stage("labelling"))
        if self.zerogpu.lends:
            result = self.zerogpu.predict(predictor, slot.model, photo, request.size)
        else:
            result = predictor.predict(photo, size=request.size)
        maps = (result.class_map, result.confidence, result.runner_up, result.set_sizes)
        arrays = (photo.image, *maps, result.logits)
        nbytes = sum(array.nbytes for array in arrays if array is not None)
        return LabelResult(request, photo, result, predictor.card, nbytes)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Run no forward pass in this process while the block runs: hooks may be on a network."""
        with self._exclusive.slot(CLASSROOM):
            yield

    def get_result(self, key: str) -> LabelResult | None:
        """Return a cached result, or None; the key is one visitor's."""
        return self.results.get(key)

    def warm_up(self) -> None:
        """Load the model that is used first, and run it once, before a visitor comes."""
        from segmentation import PixelwiseError

        name = self.default if self.is_ready(self.default) else EMBEDDED
        try:
            with self.scheduler.slot(name, record_duration=False) as slot, slot.loading_model():
                self.segmenter(name).warm_up()
        except PixelwiseError as error:
            log.warning("warm-up: %s", error)
