"""Labelling on a Ray cluster, with an actor a worker: the same function, so the same files."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from segmentation.batch.tasks import MakeLabel, PhotoOutcome, PhotoTask
from segmentation.batch.work_sharing import share_out
from segmentation.errors import PixelwiseError

KNOCK_SECONDS = 20.0  # for a cluster's door to open


def label_on_ray(
    make: MakeLabel,
    tasks: Sequence[PhotoTask],
    workers: int,
    address: str,
    *,
    threads: int | None = None,
    gpu: bool = False,
) -> Iterator[PhotoOutcome]:
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
        The outcome of each task, in order of completion.

    Raises:
        PixelwiseError: Ray is not installed, no cluster responds, or no worker could be started.
    """
    # Ray reports usage by default; the user has not agreed to that
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors are reported below
    try:
        import ray
    except ImportError as error:
        raise PixelwiseError(
            f"--ray needs Ray, which cannot be imported ({error}): pip install ray"
        ) from error
    _connect(ray, address, workers)
    try:
        nodes = [int(n["Resources"].get("CPU", 0)) for n in ray.nodes() if n["Alive"]]
        workers, threads = share(nodes, workers, threads)
        gone = (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError)
        actor = ray.remote(num_cpus=threads, num_gpus=int(gpu))(_Actor)
        yield from share_out(
            lambda: _Worker(ray, actor, make, threads),
            lambda futures: ray.wait(futures, num_returns=1)[0][0],
            tasks,
            min(workers, len(tasks)),
            gone,
            ray.get,
        )
    except ray.exceptions.RayError as error:
        raise PixelwiseError(f"the Ray cluster failed: {error}") from error
    finally:
        with contextlib.suppress(Exception):  # keep the first error
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
        PixelwiseError: no cluster responds.
    """
    cluster_options = {}
    if address == "local":
        cluster_options = {
            "num_cpus": max(workers, os.cpu_count() or 1),
            "include_dashboard": False,
        }
    try:
        _knock(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **cluster_options)
    except (RuntimeError, ValueError, OverflowError, OSError) as error:
        first = str(error).strip().splitlines()[0][:200]
        raise PixelwiseError(
            f"no Ray cluster responds at {address!r} ({first}): start one with ray start --head or "
            "use --ray local. If the cluster requires a token, set RAY_AUTH_TOKEN"
        ) from error


def _knock(address: str) -> None:
    """Check that a server listens at HOST:PORT; Ray itself would retry for many minutes.

    Raises:
        OSError: nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


class _Actor:
    """A worker on the cluster."""

    def __init__(self, make: MakeLabel, threads: int) -> None:
        self._make, self._threads = make, threads

    def prepare(self) -> PhotoOutcome | None:
        """Load the model; an answer where that cannot be."""
        try:
            self._label = self._make(self._threads)
        except Exception as error:  # anything that Ray would end without a word for a person
            kind = "" if isinstance(error, PixelwiseError) else f"{type(error).__name__}: "
            return PhotoOutcome("", error=f"{kind}{error}", fatal=True)
        return None

    def label(self, task: PhotoTask) -> PhotoOutcome:
        """Label a photo."""
        return self._label(task)


class _Worker:
    """An actor, seen from here."""

    def __init__(self, ray: Any, actor: Any, make: MakeLabel, threads: int) -> None:
        self._ray, self._handle = ray, actor.remote(make, threads)
        self.ready = self._handle.prepare.remote()

    def submit(self, task: PhotoTask) -> Any:
        return self._handle.label.remote(task)

    def end(self, at_once: bool) -> None:
        with contextlib.suppress(Exception):  # it may be gone, and so may be the cluster
            self._ray.kill(self._handle)
