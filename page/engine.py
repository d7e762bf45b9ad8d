"""Which model answers: the one place that knows networks, the line before them and results."""

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .downloads import Downloads
from .home import asked_at_home, is_alone
from .job import SHARPER, Job
from .kept import Answer, Kept, key_of
from .lent import Lent
from .line import Line
from .options import Options
from .predictors import EMBEDDED, Local, Predictors
from .public import NoSuchModelError
from .ticket import Ticket
from .work import Report, quiet, taking

if TYPE_CHECKING:
    from segmentation import Photo, Segmenter
    from segmentation.card_figures import Size

    from .kept import Source

IN_TURN = "Another photo is being labelled, yours is next …"
CLASSROOM = "classroom"
"""The name under which the classroom's steps wait in the line."""
log = logging.getLogger(__name__)


class Engine:
    """Answers photos with the model a visitor chose, or says why another one does.

    Nothing is loaded, opened or started before the first call.

    Args:
        options: the page's settings.
        predictors: what labels the photos, here or on other machines; None means here.
    """

    def __init__(self, options: Options, predictors: Predictors | None = None) -> None:
        self.options = options
        self.lent = Lent(options)
        self.predictors = Local(options, self.lent.device) if predictors is None else predictors
        self.downloads = Downloads()
        self.kept = Kept()
        self.line = Line(options.time_limit, self.predictors.width)
        # hooks on networks here concern nobody who is labelled elsewhere, but one another
        self._hooking = self.line if self.predictors.here else Line(options.time_limit)
        self._remembering = threading.Lock()

    @property
    def default(self) -> str:
        """The model that a visitor finds chosen."""
        return self.predictors.default

    def names(self) -> list[str]:
        """The models that the one who asks may choose, the default first.

        Those whose weights must be fetched first are for who sits at this machine alone, unless
        the owner says otherwise: a stranger makes it fetch nothing.
        """
        names = self.predictors.names()
        if self.options.offer_downloads or (is_alone(self.options) and asked_at_home()):
            return names
        return self.here(names)

    def here(self, names: Iterable[str] | None = None) -> list[str]:
        """Of these models, or of all: the page's default, and those that need no download."""
        names = self.predictors.names() if names is None else names
        return [name for name in names if name == self.default or self.is_ready(name)]

    def hidden(self) -> set[str]:
        """What menus call the models that the one who asks may not choose."""
        return {Path(n).name for n in {*self.predictors.names()} - {*self.names()}}

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
        for known in self.names():
            if name in (known, Path(known).name, Path(known).stem):
                return known
        raise NoSuchModelError(
            f"There is no model {name[:200]!r} on this page. Choose one of: "
            + ", ".join(Path(known).name for known in self.names())
            + "."
        )

    def is_ready(self, name: str) -> bool:
        """Whether the model can answer without a download."""
        return self.predictors.is_ready(name)

    def sharper_size(self, name: str) -> "Size":
        """The sizes that a model's card has measured as sharper; None where it has not."""
        from segmentation import has_embedded
        from segmentation.catalog import embedded_card

        if name != EMBEDDED or not has_embedded():
            return None
        card = embedded_card()
        return None if card.sharper is None else card.sharper.size

    def segmenter(self, name: str, report: Report = quiet) -> "Segmenter":
        """The model in this process, with a network to look into; see `Predictors.network`."""
        return self.predictors.network(name, report)

    def segment(self, source: "Source", name: str | None = None, *args: Any, **kw: Any) -> Answer:
        """As `answering`, and at once out of the line again."""
        with self.answering(source, name, *args, **kw) as answer:
            return answer

    @contextmanager
    def answering(
        self,
        source: "Source",
        name: str | None = None,
        size: int | None = None,
        *,
        session: str = "",
        report: Report = quiet,
        stand_in: bool = True,
    ) -> Iterator[Answer]:
        """Label a photo, and keep the place at the network while the block runs.

        What is made of an answer at its full size belongs into the block: so there is one such
        photo in memory at a time for each turn of the line, however many wait.

        Args:
            source: a file's path, its bytes, or a `Photo`.
            name: the model; None means the page's default.
            size: the shorter side that the network sees, in pixels; None means the model's own,
                `SHARPER` the sizes that its card has measured as sharper (its own, where it has
                measured none).
            session: who asks: an equal question of theirs has its answer from memory. "" means
                that nobody will ask again.
            report: told what is happening, and the place in the line.
            stand_in: let the built-in model answer while the asked one is being fetched.

        Yields:
            The answer.

        Raises:
            PixelwiseError: the photo, the model or its weights cannot be used, or the turn did
                not come in time.
        """
        from segmentation.images import check_photo

        data = check_photo(source, **self._limits)
        content = self.kept.content_of(source if data is None else data, session)
        del data  # a photo that waits is a file name
        job = self._job(source, content, self.resolve(name), size, session, stand_in)
        known = self.kept.get(job.key)
        if known is not None:
            with taking(self._remembering, report, IN_TURN):
                yield replace(known, asked=job.asked, waiting=job.waiting)
            return
        if not self.is_ready(job.answering):
            self.downloads.wait(job.answering, report)
        with self.line.turn(job.answering, job.size, report=report, item=job) as ticket:
            if ticket.outcome is None:
                self.work(ticket, report)
            if isinstance(ticket.outcome, Exception):
                raise ticket.outcome
            yield replace(ticket.outcome, asked=job.asked, waiting=job.waiting)

    def _job(
        self,
        source: "Source",
        content: str,
        asked: str,
        size: "Size",
        session: str,
        stand_in: bool,
    ) -> Job:
        from segmentation import has_embedded

        waiting = stand_in and has_embedded() and not self.is_ready(asked)
        if waiting:
            self.downloads.start(asked)
        answering = EMBEDDED if waiting else asked
        if size == SHARPER:
            size = self.sharper_size(answering)
        key = key_of(session, content, answering, size)
        return Job(source, key, content, session, asked, answering, waiting, size)

    @property
    def _limits(self) -> dict[str, Any]:
        return {
            "max_bytes": int(self.options.max_upload_mb * 2**20),
            "max_megapixels": self.options.max_megapixels,
        }

    def work(self, ticket: Ticket, report: Report = quiet) -> None:
        """Give a ticket whose turn has come its outcome, and others with it where that helps.

        Args:
            ticket: its item is a `Job`; its outcome will be an `Answer` or an error.
            report: told what is happening.
        """
        if self.predictors.is_loaded(ticket.model):
            segmenter = self.predictors.segmenter(ticket.model, report)
        else:
            with ticket.preparing():
                segmenter = self.predictors.segmenter(ticket.model, report)
        alone = contextlib.nullcontext([ticket])
        with self.line.gather(ticket) if segmenter.batches else alone as group:
            report("Reading the photo …", None)
            read = [(one, photo) for one in group if (photo := self._read(one))]
            report("Labelling every pixel …", None)
            photos = [photo for _, photo in read]
            results = self.lent.predict(segmenter, ticket.model, photos, ticket.size)
            for (one, photo), result in zip(read, results, strict=True):
                if isinstance(result, Exception):
                    one.outcome = result
                    continue
                one.outcome = one.item.answer(photo, result, segmenter)
                self.kept.put(one.outcome)

    def _read(self, ticket: Ticket) -> "Photo | None":
        """Decode a ticket's photo, unless that fails or its visitor has just had the answer."""
        from segmentation import PixelwiseError, open_photo

        job: Job = ticket.item
        ticket.outcome = self.kept.get(job.key)
        if ticket.outcome is not None:
            return None
        try:
            return open_photo(job.source, **self._limits)
        except PixelwiseError as error:
            ticket.outcome = error
            return None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While the block runs, no forward pass does here: hooks may hang on a network."""
        with self._hooking.turn(CLASSROOM):
            yield

    def recall(self, key: str) -> Answer | None:
        """An earlier answer, while it is still kept; the key belongs to one visitor."""
        return self.kept.get(key)

    def warm_up(self) -> None:
        """Load the model that will answer first, and run it once, so that nobody waits for it."""
        from segmentation import PixelwiseError

        name = self.default if self.is_ready(self.default) else EMBEDDED
        try:
            with self.line.turn(name, learns=False) as ticket, ticket.preparing():
                self.segmenter(name).warm_up()
        except PixelwiseError as error:
            log.warning("warm-up: %s", error)
