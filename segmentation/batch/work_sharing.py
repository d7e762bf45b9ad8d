"""Distribute photos to workers, one photo at a time to each free worker."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from segmentation.batch.tasks import PhotoOutcome, PhotoTask
from segmentation.errors import PixelwiseError

_REMEDY = "if it ran out of memory, try fewer --workers"
DIED = f"its worker died: {_REMEDY} or a smaller --size"


class Worker(Protocol):
    """Labels one photo at a time, in a process or an actor.

    Attributes:
        ready: future that completes with None when the worker is ready, or with a fatal
            `PhotoOutcome`.
    """

    ready: Any

    def submit(self, task: PhotoTask) -> Any:
        """Start labelling a photo; return the future of its `PhotoOutcome`."""

    def end(self, at_once: bool) -> None:
        """Stop the worker: after its current photo, or at once."""


def share_out(
    start: Callable[[], Worker],
    first: Callable[[list[Any]], Any],
    tasks: Iterable[PhotoTask],
    workers: int,
    died: type[Exception] | tuple[type[Exception], ...],
    result: Callable[[Any], PhotoOutcome | None] = lambda future: future.result(),
) -> Iterator[PhotoOutcome]:
    """Label the photos; if a worker dies, its photo fails and it is replaced.

    Args:
        start: starts a worker.
        first: returns one completed future of several.
        tasks: read one by one, as workers become free.
        workers: number of workers.
        died: exceptions that `result` raises after the worker died.
        result: returns the value of a future.

    Yields:
        The outcome of each task, in order of completion.

    Raises:
        PixelwiseError: a worker could not be started.
    """
    waiting = iter(tasks)
    team: list[Worker] = []
    running: dict[Any, tuple[Worker, PhotoTask | None]] = {}  # by future

    def add() -> None:
        team.append(start())
        running[team[-1].ready] = team[-1], None

    try:
        for _ in range(workers):
            add()
        while running:
            future = first(list(running))
            worker, task = running.pop(future)
            try:
                outcome = result(future)
            except died as error:
                if task is None:
                    raise PixelwiseError(
                        f"a worker died before its first photo: {_REMEDY}"
                    ) from error
                team.remove(worker)
                worker.end(at_once=True)
                add()
                yield PhotoOutcome(task.image, error=DIED)
                continue
            if outcome is not None and outcome.fatal:
                raise PixelwiseError(outcome.error)
            following = next(waiting, None)
            if following is not None:
                running[worker.submit(following)] = worker, following
            if outcome is not None:
                yield outcome
    finally:
        for worker in team:
            worker.end(at_once=bool(running))
