"""The deployment's web application: the page, `/healthz` and `/metrics`. Independent of Ray."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response

from deploy.metrics import Metrics
from deploy.remote_pool import RemoteModelPool
from deploy.settings import Settings
from page.http.middleware import AppContext
from page.http.mount import mount
from page.http.server import set_up_logging
from page.storage.temp_files import own_folder

PLAIN = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
HEALTH_SECONDS = 1.0
"""Seconds for which the result of a health check is reused."""
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthCheck:
    """Checks whether a replica responds, at most once in `HEALTH_SECONDS`.

    Args:
        ping: calls a replica, and raises if none responds.
    """

    def __init__(self, ping: Callable[[], Awaitable[object]]) -> None:
        self._ping = ping
        self._healthy = False
        self._valid_until = 0.0

    async def healthy(self) -> bool:
        """Return whether a replica responds now, or responded within `HEALTH_SECONDS`."""
        if time.monotonic() > self._valid_until:
            try:
                await self._ping()
                self._healthy = True
            except Exception:  # any failure means that no replica responds
                self._healthy = False
            self._valid_until = time.monotonic() + HEALTH_SECONDS
        return self._healthy


def build_ingress(
    settings: Settings,
    remote: RemoteModelPool,
    metrics: Metrics,
    ping: Callable[[], Awaitable[object]],
    count_replicas: Callable[[], Awaitable[int]],
) -> tuple[FastAPI, AppContext]:
    """Build the application that contains the page.

    `/healthz` and `/metrics` need no password and contain nothing about photos or people. Every
    other path goes through the page's middleware.

    Args:
        settings: the deployment's.
        remote: labels the photos.
        metrics: the numbers of `/metrics`.
        ping: raises if no replica responds.
        count_replicas: returns how many replicas serve.

    Returns:
        The application, and the state of the page's middleware.
    """
    stack = contextlib.ExitStack()
    stack.enter_context(own_folder())
    from page.demo import build_demo  # components read the folder when they are built

    set_up_logging(settings.page.log_level)
    options = replace(settings.page, model=remote.default)
    demo = build_demo(options, remote)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            demo.service.scheduler.close()
            stack.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    health, scheduler = HealthCheck(ping), demo.service.scheduler
    metrics.watch(lambda: len(scheduler), lambda: scheduler.running)
    app.get("/healthz")(_healthz(health))
    app.get("/metrics")(_metrics(metrics, count_replicas))
    return app, mount(app, demo, options)


def _healthz(health: HealthCheck) -> Callable[[], Any]:
    async def respond() -> Response:
        status, text = (200, "ok\n") if await health.healthy() else (503, "no replica responds\n")
        return Response(text, status, headers=PLAIN, media_type="text/plain")

    return respond


def _metrics(metrics: Metrics, count_replicas: Callable[[], Awaitable[int]]) -> Callable[[], Any]:
    async def respond() -> Response:
        metrics.replicas.set(await count_replicas())
        return Response(metrics.text(), headers=PLAIN, media_type=METRICS_TYPE)

    return respond
