"""Photos shared out among workers, wherever those are: a photo each at a time, as they are free."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from segmentation.batch.tasks import PhotoOutcome, PhotoTask
from segmentation.errors import PixelwiseError

_REMEDY = "if that was for want of memory, try fewer --workers"
DIED = f"its worker ended: {_REMEDY} or a smaller --size"


class Worker(Protocol):
    """Labels one photo at a time, somewhere else.

    Attributes:
        ready: comes to None when it can be given photos, or to a fatal `PhotoOutcome`.
    """

    ready: Any

    def give(self, task: PhotoTask) -> Any:
        """Hand over a photo; what is returned comes to its `PhotoOutcome`."""

    def end(self, at_once: bool) -> None:
        """Let the worker go: when it has done what it has, or now."""


def share_out(
    hire: Callable[[], Worker],
    first: Callable[[list[Any]], Any],
    tasks: Iterable[PhotoTask],
    workers: int,
    died: type[Exception] | tuple[type[Exception], ...],
    result: Callable[[Any], PhotoOutcome | None] = lambda future: future.result(),
) -> Iterator[PhotoOutcome]:
    """Label the photos; a worker that dies fails its photo, and another takes its place.

    Args:
        hire: starts a worker.
        first: of some futures, one that has come or failed.
        tasks: taken one by one, as a worker is free.
        workers: how many.
        died: what `result` raises where the worker is gone.
        result: what a future has come to.

    Yields:
        An answer for each task, in the order in which they are ready.

    Raises:
        PixelwiseError: a worker could not be made ready.
    """
    waiting = iter(tasks)
    crew: list[Worker] = []
    running: dict[Any, tuple[Worker, PhotoTask | None]] = {}  # by what comes of it

    def add() -> None:
        crew.append(hire())
        running[crew[-1].ready] = crew[-1], None

    try:
        for _ in range(workers):
            add()
        while running:
            future = first(list(running))
            worker, task = running.pop(future)
            try:
                answer = result(future)
            except died as error:
                if task is None:
                    raise PixelwiseError(
                        f"a worker ended before its first photo: {_REMEDY}"
                    ) from error
                crew.remove(worker)
                worker.end(at_once=True)
                add()
                yield PhotoOutcome(task.image, error=DIED)
                continue
            if answer is not None and answer.fatal:
                raise PixelwiseError(answer.error)
            following = next(waiting, None)
            if following is not None:
                running[worker.give(following)] = worker, following
            if answer is not None:
                yield answer
    finally:
        for worker in crew:
            worker.end(at_once=bool(running))
