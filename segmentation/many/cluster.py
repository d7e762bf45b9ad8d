"""Labelling on a Ray cluster, over Ray Data: the same function, so the same files."""

import contextlib
import dataclasses
import json
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from segmentation.errors import PixelwiseError
from segmentation.many.task import Answer, Label, MakeLabel, Task
from segmentation.outputs import mark_path

KNOCK_SECONDS = 20.0  # for a cluster's door to open
_DIED = "its worker ended: if that was for want of memory, try fewer --workers or a smaller --size"


def label_on_ray(
    make: MakeLabel,
    tasks: Sequence[Task],
    workers: int,
    address: str,
    *,
    threads: int | None = None,
    gpu: bool = False,
) -> Iterator[Answer]:
    """Label the photos on a cluster.

    A worker that dies is a failure of the photo that it had, as in `label_in_processes`.

    Args:
        make: called in each worker.
        tasks: one for each photo; their paths must mean the same files on every node.
        workers: how many actors; fewer where the cluster has fewer processors.
        address: "auto", "HOST:PORT", "ray://HOST:PORT", or "local" for a cluster on this machine
            that ends with this call.
        threads: that each worker computes with; None for as many as fit.
        gpu: each worker needs a GPU of its own.

    Yields:
        An answer for each task, in the order in which they are ready.

    Raises:
        PixelwiseError: Ray is not installed, no cluster answers, or no worker could be made ready.
    """
    # the person at the terminal asked for labels, and to report usage to nobody
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of what goes wrong, we tell
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise PixelwiseError(
            f'--ray needs Ray, which cannot be imported ({error}): pip install "ray[data]"'
        ) from error
    _connect(ray, address, workers)
    try:
        nodes = [int(n["Resources"].get("CPU", 0)) for n in ray.nodes() if n["Alive"]]
        workers, threads = share(nodes, workers, threads)
        workers = min(workers, len(tasks))
        options = (make, tasks, workers, threads, gpu)
        for text in _through_client(ray, options) if "://" in address else _answers(*options):
            answer = Answer(**json.loads(text))
            if answer.fatal:
                raise PixelwiseError(answer.error)
            yield answer
    except ray.exceptions.RayError as error:
        raise PixelwiseError(f"the Ray cluster failed: {error}") from error
    finally:
        with contextlib.suppress(Exception):  # what went wrong before is what matters
            ray.shutdown()


def share(nodes: Sequence[int], workers: int, threads: int | None = None) -> tuple[int, int]:
    """Share the processors of a cluster.

    Args:
        nodes: processors of each node.
        workers: how many are wanted.
        threads: how many each is to have; None to choose.

    Returns:
        workers: as many as wanted, but no more than there is room for.
        threads: for each; if not given, the most with which all of them fit, since none may span
            two nodes.

    Raises:
        PixelwiseError: there is no room for one worker.
    """
    if sum(nodes) < 1:
        raise PixelwiseError("the Ray cluster has no processors: start it with --num-cpus")
    if threads is not None:
        room = sum(node // threads for node in nodes)
        if room < 1:
            raise PixelwiseError(
                f"no node of the Ray cluster has {threads} processors: lower --threads"
            )
        return min(workers, room), threads
    workers = min(workers, sum(nodes))
    threads = max(nodes)
    while sum(node // threads for node in nodes) < workers:
        threads -= 1
    return workers, threads


def _connect(ray: Any, address: str, workers: int) -> None:
    """Join the cluster, or start one.

    Raises:
        PixelwiseError: none answers.
    """
    own = {}
    if address == "local":
        own = {"num_cpus": max(workers, os.cpu_count() or 1), "include_dashboard": False}
    try:
        _knock(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (RuntimeError, ValueError, OverflowError, OSError) as error:
        first = str(error).strip().splitlines()[0][:200]
        raise PixelwiseError(
            f"no Ray cluster answers at {address!r} ({first}): start one with ray start --head, or "
            "say --ray local. One that asks for a token wants it in RAY_AUTH_TOKEN"
        ) from error


def _knock(address: str) -> None:
    """See whether anything listens at HOST:PORT; Ray itself would ask for many minutes.

    Raises:
        OSError: nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


def _answers(
    make: MakeLabel, tasks: Sequence[Task], workers: int, threads: int, gpu: bool
) -> Iterator[str]:
    """Each answer as JSON, computed as they are read."""
    import ray.data as data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # a failed photo is reported by us
    data.DataContext.get_current().enable_progress_bars = False
    # text, since a photo's name may be no Unicode; a block each, to answer photo by photo
    rows = [{"task": json.dumps(dataclasses.asdict(task))} for task in tasks]
    dataset = data.from_items(rows, override_num_blocks=len(rows)).map(
        _Actor,
        fn_constructor_args=(make, threads),
        compute=data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=threads,
        num_gpus=1 if gpu else None,
    )
    for row in dataset.iter_rows():
        yield row["answer"]


def _through_client(ray: Any, options: tuple[Any, ...]) -> Iterator[str]:
    """The same from afar: Ray Data runs on the cluster alone, so its answers are fetched there."""
    reader = ray.remote(num_cpus=0)(_Reader).remote(*options)
    while (text := ray.get(reader.read.remote())) is not None:
        yield text


class _Reader:
    """Reads the answers on the cluster."""

    def __init__(self, *options: Any) -> None:
        self._answers = _answers(*options)

    def read(self) -> str | None:
        """The next answer; None after the last."""
        return next(self._answers, None)


class _Actor:
    """A worker on the cluster; it loads the model with its first photo."""

    def __init__(self, make: MakeLabel, threads: int) -> None:
        self._make, self._threads = make, threads
        self._label: Label | None = None

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        """From {"task": JSON of a `Task`} to {"answer": JSON of an `Answer`}."""
        task = Task(**json.loads(row["task"]))
        return {"answer": json.dumps(dataclasses.asdict(self._answer(task)))}

    def _answer(self, task: Task) -> Answer:
        """Label, unless an earlier attempt has left its mark, and so ended within the photo.

        Ray gives the photo of a dead worker to the next one, for ever; what killed the first would
        kill them all.
        """
        mark = mark_path(Path(task.out), task.image)
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch(exist_ok=False)
        except FileExistsError:
            answer = Answer(task.image, error=_DIED)
        except OSError as error:
            return Answer(task.image, error=f"cannot write to {task.out}: {error.strerror}")
        else:
            answer = self._try(task)
        with contextlib.suppress(OSError):
            mark.unlink()
        return answer

    def _try(self, task: Task) -> Answer:
        if self._label is None:
            try:
                self._label = self._make(self._threads)
            except Exception as error:  # anything that Ray would end without a word for a person
                kind = "" if isinstance(error, PixelwiseError) else f"{type(error).__name__}: "
                return Answer(task.image, error=f"{kind}{error}", fatal=True)
        return self._label(task)
