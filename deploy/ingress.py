"""The one process that people talk to: the page, its health and its numbers. No Ray in here."""

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
"""How long an answer on the health stands: who asks often gets it from memory."""
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """Whether a replica answers.

    Args:
        ask: asks one, and raises where none answers.
    """

    def __init__(self, ask: Callable[[], Awaitable[object]]) -> None:
        self._ask = ask
        self._good = False
        self._until = 0.0

    async def good(self) -> bool:
        """Ask, or remember the last answer."""
        if time.monotonic() > self._until:
            try:
                await self._ask()
                self._good = True
            except Exception:  # whatever it was: no answer
                self._good = False
            self._until = time.monotonic() + HEALTH_SECONDS
        return self._good


def build_ingress(
    settings: Settings,
    remote: RemoteModelPool,
    metrics: Metrics,
    ask: Callable[[], Awaitable[object]],
    count_replicas: Callable[[], Awaitable[int]],
) -> tuple[FastAPI, AppContext]:
    """The application with the page in it.

    `/healthz` and `/metrics` need no password and tell nothing of anybody; every other path goes to
    the page, behind its guard.

    Args:
        settings: the deployment's.
        remote: labels the photos.
        metrics: what `/metrics` tells.
        ask: raises where no replica answers.
        count_replicas: how many serve.

    Returns:
        The application, and what the page's guard knows.
    """
    stack = contextlib.ExitStack()
    stack.enter_context(own_folder())
    from page.demo import build_demo  # after the folder is there: components remember it

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
    health, scheduler = Health(ask), demo.service.scheduler
    metrics.watch(lambda: len(scheduler), lambda: scheduler.running)
    app.get("/healthz")(_healthz(health))
    app.get("/metrics")(_metrics(metrics, count_replicas))
    return app, mount(app, demo, options)


def _healthz(health: Health) -> Callable[[], Any]:
    async def answer() -> Response:
        good = await health.good()
        status = 200 if good else 503
        text = "ok\n" if good else "no replica answers\n"
        return Response(text, status, headers=PLAIN, media_type="text/plain")

    return answer


def _metrics(metrics: Metrics, count_replicas: Callable[[], Awaitable[int]]) -> Callable[[], Any]:
    async def answer() -> Response:
        metrics.replicas.set(await count_replicas())
        return Response(metrics.text(), headers=PLAIN, media_type=METRICS_TYPE)

    return answer
