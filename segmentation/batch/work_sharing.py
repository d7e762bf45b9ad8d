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

    def end(self, immediately: bool) -> None:
        """Stop the worker: after its current photo, or immediately."""


def share_out(
    start: Callable[[], Worker],
    first_completed: Callable[[list[Any]], Any],
    tasks: Iterable[PhotoTask],
    workers: int,
    died: type[Exception] | tuple[type[Exception], ...],
    result: Callable[[Any], PhotoOutcome | None] = lambda future: future.result(),
) -> Iterator[PhotoOutcome]:
    """Label the photos; if a worker dies, its photo fails and it is replaced.

    Args:
        start: starts a worker.
        first_completed: returns one completed future of several.
        tasks: read one by one, as workers become free.
        workers: number of workers.
        died: exceptions that `result` raises after the worker died.
        result: returns the value of a future.

    Yields:
        The outcome of each task, in order of completion.

    Raises:
        PixelwiseError: a worker could not be started.
    """
    pending = iter(tasks)
    active: list[Worker] = []
    running: dict[Any, tuple[Worker, PhotoTask | None]] = {}  # by future

    def add() -> None:
        active.append(start())
        running[active[-1].ready] = active[-1], None

    try:
        for _ in range(workers):
            add()
        while running:
            future = first_completed(list(running))
            worker, task = running.pop(future)
            try:
                outcome = result(future)
            except died as error:
                if task is None:
                    raise PixelwiseError(
                        f"a worker died before its first photo: {_REMEDY}"
                    ) from error
                active.remove(worker)
                worker.end(immediately=True)
                add()
                yield PhotoOutcome(task.image, error=DIED)
                continue
            if outcome is not None and outcome.fatal:
                raise PixelwiseError(outcome.error)
            next_task = next(pending, None)
            if next_task is not None:
                running[worker.submit(next_task)] = worker, next_task
            if outcome is not None:
                yield outcome
    finally:
        for worker in active:
            worker.end(immediately=bool(running))
