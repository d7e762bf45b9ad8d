"""Label photos on a Ray cluster, one actor per worker, with the function for local processes."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from segmentation.batch.tasks import MakeLabel, PhotoOutcome, PhotoTask
from segmentation.batch.work_sharing import share_out
from segmentation.errors import PixelwiseError

CONNECT_SECONDS = 20.0  # timeout of the connection test


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

    If a worker dies, its current photo fails and it is replaced, as in `label_in_processes`.

    Args:
        make: called in each worker.
        tasks: one for each photo; their paths must lead to the same files on every node.
        workers: number of actors; fewer if the cluster has fewer processors.
        address: "auto", "HOST:PORT", "ray://HOST:PORT", or "local" for a cluster on this machine
            that ends with this call.
        threads: threads per worker; None for as many as fit.
        gpu: whether each worker needs its own GPU.

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
        workers, threads = divide_processors(nodes, workers, threads)
        died = (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError)
        actor = ray.remote(num_cpus=threads, num_gpus=int(gpu))(_Actor)
        yield from share_out(
            lambda: _Worker(ray, actor, make, threads),
            lambda futures: ray.wait(futures, num_returns=1)[0][0],
            tasks,
            min(workers, len(tasks)),
            died,
            ray.get,
        )
    except ray.exceptions.RayError as error:
        raise PixelwiseError(f"the Ray cluster failed: {error}") from error
    finally:
        with contextlib.suppress(Exception):  # the first error is the one to raise
            ray.shutdown()


def divide_processors(
    nodes: Sequence[int], workers: int, threads: int | None = None
) -> tuple[int, int]:
    """Divide the processors of a cluster among workers.

    Args:
        nodes: number of processors of each node.
        workers: requested number of workers.
        threads: threads per worker; None to choose.

    Returns:
        workers: the requested number, or as many as fit.
        threads: threads per worker; by default the most with which all workers fit, as no worker
            can span two nodes.

    Raises:
        PixelwiseError: not even one worker fits.
    """
    if sum(nodes) < 1:
        raise PixelwiseError("the Ray cluster has no processors: start it with --num-cpus")
    if threads is not None:
        capacity = sum(node // threads for node in nodes)
        if capacity < 1:
            raise PixelwiseError(
                f"no node of the Ray cluster has {threads} processors: lower --threads"
            )
        return min(workers, capacity), threads
    workers = min(workers, sum(nodes))
    threads = max(nodes)
    while sum(node // threads for node in nodes) < workers:
        threads -= 1
    return workers, threads


def _connect(ray: Any, address: str, workers: int) -> None:
    """Connect to the cluster, or start a local one.

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
        _check_reachable(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **cluster_options)
    except (RuntimeError, ValueError, OverflowError, OSError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise PixelwiseError(
            f"no Ray cluster responds at {address!r} ({reason}): start one with ray start --head "
            "or use --ray local. If the cluster requires a token, set RAY_AUTH_TOKEN"
        ) from error


def _check_reachable(address: str) -> None:
    """Check that a server listens at HOST:PORT; Ray itself would retry for many minutes.

    Raises:
        OSError: the connection failed.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


class _Actor:
    """A worker on the cluster."""

    def __init__(self, make: MakeLabel, threads: int) -> None:
        self._make, self._threads = make, threads

    def prepare(self) -> PhotoOutcome | None:
        """Load the model; return a fatal outcome if that fails."""
        try:
            self._label = self._make(self._threads)
        except Exception as error:  # Ray would end the actor without a message for the user
            kind = "" if isinstance(error, PixelwiseError) else f"{type(error).__name__}: "
            return PhotoOutcome("", error=f"{kind}{error}", fatal=True)
        return None

    def label(self, task: PhotoTask) -> PhotoOutcome:
        """Label a photo."""
        return self._label(task)


class _Worker:
    """The local handle of an actor."""

    def __init__(self, ray: Any, actor: Any, make: MakeLabel, threads: int) -> None:
        self._ray, self._handle = ray, actor.remote(make, threads)
        self.ready = self._handle.prepare.remote()

    def submit(self, task: PhotoTask) -> Any:
        return self._handle.label.remote(task)

    def end(self, immediately: bool) -> None:
        with contextlib.suppress(Exception):  # the actor or the cluster may have ended
            self._ray.kill(self._handle)
