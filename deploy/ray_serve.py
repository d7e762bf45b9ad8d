"""Serve the page on many machines: `make serve`, or `serve deploy deploy/serve.yaml` on a cluster.

There are two Serve applications. `networks` holds the replicas of the network, which Serve starts
and stops on demand; `page` is one ingress with the Gradio page. They are separate because
`serve.run` restarts every deployment of its application: a new version of the networks then rolls
out without reloading any visitor's page.

Ray's own Gradio integration is not used: with Gradio 6 its pages return 500.
"""

import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # the default sends reports to another host
if __name__ == "__main__" and "RAY_ADDRESS" not in os.environ:
    # Ray's own processes listen on the loopback address alone; read when `ray` is imported
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

import ray
from ray import serve
from ray.exceptions import ObjectLostError, RayActorError, WorkerCrashedError
from ray.serve.exceptions import ReplicaUnavailableError

from deploy.ingress import build_ingress
from deploy.messages import ErrorMessage, ReplicaInfo, ResultMessage
from deploy.metrics import Metrics
from deploy.remote_pool import RemoteModelPool
from deploy.replica import PhotoRequest, Replica
from deploy.settings import DEFAULT_PORT, Settings, arguments_from, parse_settings
from page.http.server import SHUTDOWN_GRACE_SECONDS, is_busy, set_up_logging, wait_for_signal

NETWORKS, PAGE = "networks", "page"
SEGMENTER_DEPLOYMENT, PAGE_DEPLOYMENT = "SegmenterDeployment", "PageDeployment"
LOST = (RayActorError, ObjectLostError, WorkerCrashedError, ReplicaUnavailableError)
STREAMS = 4000
"""Simultaneous connections: an open page holds one or two."""
HEALTH_TIMEOUT = 5.0
ROOT = Path(__file__).resolve().parent.parent

log = logging.getLogger(__name__)


@serve.deployment(
    name=SEGMENTER_DEPLOYMENT, graceful_shutdown_timeout_s=30, health_check_period_s=5
)
class SegmenterDeployment:
    """A replica of the networks, which forms batches of simultaneous requests.

    Args:
        settings: the deployment's.
    """

    def __init__(self, settings: Settings) -> None:
        import torch

        set_up_logging(settings.page.log_level)
        torch.set_num_threads(max(1, int(settings.cpus)))
        self._replica = Replica(settings)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Change `batch` and `batch_wait` without a restart."""
        self._label.set_max_batch_size(user_config["batch"])
        self._label.set_batch_wait_timeout_s(user_config["batch_wait"])

    async def __call__(
        self, image: Any, model: str, size: int | None
    ) -> ResultMessage | ErrorMessage:
        """Label a photo; see `replica.PhotoRequest`."""
        return await self._label(PhotoRequest(image, model, size))

    @serve.batch(max_batch_size=1, batch_wait_timeout_s=0)
    async def _label(self, requests: list[PhotoRequest]) -> list[ResultMessage | ErrorMessage]:
        return await asyncio.to_thread(self._replica.label, requests)

    async def about(self) -> ReplicaInfo:
        """Return the replica's models; `/healthz` uses it as a health check."""
        return self._replica.about()


@serve.deployment(
    name=PAGE_DEPLOYMENT,
    max_ongoing_requests=STREAMS,
    graceful_shutdown_timeout_s=10,
    health_check_period_s=5,
)
@serve.ingress()
class PageDeployment:
    """The ingress. There is one, because queue, state and uploads belong to a process.

    Args:
        settings: the deployment's.
    """

    async def __init__(self, settings: Settings) -> None:
        handle = serve.get_deployment_handle(SEGMENTER_DEPLOYMENT, NETWORKS)
        about = await asyncio.wait_for(_about(handle), settings.wait_loading)
        metrics = Metrics()
        remote = RemoteModelPool(
            handle.remote,
            ray.put,
            LOST,
            about.models,
            settings.page,
            settings.width,
            metrics,
        )

        async def ping() -> None:
            await asyncio.wait_for(_about(handle), HEALTH_TIMEOUT)

        self._app, self._context = build_ingress(settings, remote, metrics, ping, _count_replicas)

    def __serve_build_asgi_app__(self) -> Any:
        """Return the application; Serve calls this after the constructor."""
        return self._app

    async def drain(self) -> None:
        """Refuse new photos, cancel queued ones, and wait until running ones have finished."""
        self._context.scheduler.close()
        end = time.monotonic() + SHUTDOWN_GRACE_SECONDS
        while time.monotonic() < end and is_busy(self._context):
            await asyncio.sleep(0.05)


async def _about(handle: Any) -> ReplicaInfo:
    return await handle.about.remote()


async def _count_replicas() -> int:
    status = await asyncio.to_thread(serve.status)
    networks = status.applications.get(NETWORKS)
    states = networks.deployments[SEGMENTER_DEPLOYMENT].replica_states if networks else {}
    return int(states.get("RUNNING", 0))


def bind_networks(settings: Settings) -> serve.Application:
    """Return the application of the replicas."""
    actor = {"num_cpus": settings.cpus, "num_gpus": settings.gpus}
    scale = {
        "min_replicas": settings.replicas,
        "max_replicas": settings.max_replicas,
        "initial_replicas": settings.replicas,
        "target_ongoing_requests": settings.batch,
    }
    return SegmenterDeployment.options(
        ray_actor_options=actor,
        autoscaling_config=scale,
        max_ongoing_requests=settings.per_replica,
        max_surge_percent=settings.surge,
        user_config={"batch": settings.batch, "batch_wait": settings.batch_wait},
    ).bind(settings)


def bind_page(settings: Settings) -> serve.Application:
    """Return the application of the page."""
    actor = {"num_cpus": settings.page_cpus}
    return PageDeployment.options(ray_actor_options=actor).bind(settings)


def networks(args: dict[str, Any]) -> serve.Application:
    """Return the application for `import_path: deploy.ray_serve:networks`.

    Args:
        args: the command line's options.
    """
    return bind_networks(parse_settings(arguments_from(args)))


def page(args: dict[str, Any]) -> serve.Application:
    """Return the application for `import_path: deploy.ray_serve:page`.

    Args:
        args: the same as for `networks`.
    """
    return bind_page(parse_settings(arguments_from(args)))


def start(settings: Settings, **ray_options: Any) -> str:
    """Start serving on this machine, or on the cluster that RAY_ADDRESS names.

    Args:
        settings: the deployment's.
        ray_options: for `ray.init`.

    Returns:
        The page's address.
    """
    host, port = settings.page.host or "127.0.0.1", settings.page.port or DEFAULT_PORT
    if "RAY_ADDRESS" not in os.environ:
        ray_options = {"include_dashboard": False, **ray_options}
    # workers must find `page` and `segmentation`, whatever the folder of this process
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    ray.init(runtime_env={"env_vars": {"PYTHONPATH": paths}}, log_to_driver=False, **ray_options)
    serve.start(http_options={"host": host, "port": port})
    serve.run(bind_networks(settings), name=NETWORKS, route_prefix=None)
    serve.run(bind_page(settings), name=PAGE, route_prefix="/")
    return f"http://{host}:{port}"


def update_networks(settings: Settings) -> None:
    """Replace the replicas one at a time; the page keeps serving, and photos may wait."""
    serve.run(bind_networks(settings), name=NETWORKS, route_prefix=None)


def stop() -> None:
    """Wait for running photos, then stop everything that `start` started."""
    try:
        handle = serve.get_deployment_handle(PAGE_DEPLOYMENT, PAGE)
        handle.drain.remote().result(timeout_s=2 * SHUTDOWN_GRACE_SECONDS)
    except Exception as error:  # the shutdown continues
        log.warning("the page could not be drained: %s", error)
    serve.shutdown()
    ray.shutdown()


def main() -> None:
    """Run the command line: serve until SIGINT or SIGTERM."""
    settings = parse_settings()
    set_up_logging(settings.page.log_level)
    url = start(settings)
    print(f"The page is at {url} (health: {url}/healthz, metrics: {url}/metrics)", flush=True)
    wait_for_signal()
    stop()


if __name__ == "__main__":
    # as `deploy.ray_serve`, so that workers can unpickle its classes by that name
    from deploy import ray_serve

    sys.exit(ray_serve.main())
