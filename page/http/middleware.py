"""ASGI middleware in front of Gradio's routes: allow-list, login check, limits and headers.

It wraps Gradio's own middleware too. So `ResponseWriter` sees every response of the app, and every
failure becomes a short response and one line of the log.
"""

import errno
import logging
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from page import texts
from page.gradio_internals import queue_size, requires_login
from page.http import file_routes, link_preview, routes
from page.http.app_context import AppContext
from page.http.response import ResponseWriter, Send, unexpected_error
from page.http.routes import API, FILE
from page.http.security_headers import security_headers
from page.requests import locality, logins
from page.requests.call_checks import MAX_BYTES, V2, read_call, read_cancel
from page.requests.forwarding import is_authenticated, replay, with_body
from page.requests.origin import (
    Scope,
    check_origin,
    header,
    internal_scope,
    is_local,
    page_address,
    page_root,
)
from page.requests.request_body import HttpError, LimitedBody, Message, Receive
from page.requests.uploads import FILES_AT_ONCE, Uploads
from page.service import error_log
from page.tabs.cancel_registry import ARRIVED

SPARE_BYTES = 1 << 20
"""Limit of a body that is neither a call, a login nor an upload; an upload's form fields."""
LOGIN_SECONDS = 10.0
READERS = 2
"""Threads that parse calls."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Exchange:
    """A checked request, as it is forwarded: `path` without a trailing slash, and its response."""

    scope: Scope
    path: str
    query: dict[str, str]
    response: ResponseWriter


class AccessMiddleware:
    """Check every connection of an app and forward the allowed ones.

    Args:
        app: the wrapped ASGI application.
        context: the page and its limits.
    """

    def __init__(self, app: Any, context: AppContext) -> None:
        self.app = app
        self.context = context
        self._logins = logins.Logins()
        self._uploads = Uploads(context.folder, context.max_upload_bytes)
        self._readers = anyio.CapacityLimiter(READERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        headers = security_headers(self.context.embed, is_file="/file=" in path)
        response = ResponseWriter(send, headers, cacheable=routes.is_cacheable(path))
        try:
            await self._respond(scope, path, receive, response)
        except Exception as error:
            with suppress(ClientDisconnect):
                await self._handle_error(path, error, response)
        finally:
            self._log(scope, path, response.status, time.perf_counter() - start)

    async def _respond(
        self, scope: Scope, path: str, receive: Receive, response: ResponseWriter
    ) -> None:
        if scope["method"] not in routes.METHODS:
            raise HttpError(405, "This method is not supported.")
        routes.check_path(path)
        context = self.context
        behind_proxy = context.behind_proxy
        check_origin(scope, path, behind_proxy=behind_proxy, framed=bool(context.embed))
        if not routes.is_public(path) and not is_authenticated(scope):
            raise HttpError(401, "Not authenticated")
        query = routes.parse_query(path, scope["query_string"])
        forwarded = {
            **internal_scope(scope, page_root(scope, path, behind_proxy)),
            "query_string": routes.encode_query(query),
            ARRIVED: time.monotonic(),
            locality.KEY: context.local_only and is_local(scope),
            link_preview.KEY: page_address(scope, behind_proxy),
        }
        if path.startswith(FILE):
            file = file_routes.find_file(path[len(FILE) :], context.folder)
            await file_routes.serve_file(file, scope, receive, response.send)
        else:
            exchange = _Exchange(forwarded, path.rstrip("/"), query, response)
            await (self._post if scope["method"] == "POST" else self._get)(exchange, receive)
        if response.replacement:
            await response.send_error(response.replacement)

    async def _get(self, exchange: _Exchange, receive: Receive) -> None:
        path, query = exchange.path, exchange.query
        if path == f"{API}/upload_progress" and "upload_id" in query:
            self._uploads.track(query["upload_id"])
        with self._connected(path, query), locality.request_locality(exchange.scope):
            await self.app(exchange.scope, receive, exchange.response.send)
        if not path:
            self.context.first_page_served.set()

    async def _post(self, exchange: _Exchange, receive: Receive) -> None:
        body, response = self._limited_body(exchange, receive), exchange.response
        try:
            await self._dispatch(exchange, body)
        except HttpError as error:
            body.error = error
        except Exception:
            if not body.error or response.status:
                raise
            # else the app failed because the body ended early
        if error := body.error or response.replacement:
            await body.discard_rest()
            await response.send_error(error)

    async def _dispatch(self, exchange: _Exchange, body: LimitedBody) -> None:
        scope, path, response = exchange.scope, exchange.path, exchange.response
        if path == "/login":
            await self._log_in(exchange, body)
        elif path == f"{API}/upload":
            await self._upload(exchange, body)
        elif path in (f"{API}/cancel", f"{API}/reset"):
            data = read_cancel(await body.read_all())
            await self.app(with_body(scope, data), replay(data, body.receive), response.send)
        elif call := routes.parse_call(path):
            await self._call(exchange, body, *call)
        else:
            await self.app(scope, body.receive, response.send)

    def _limited_body(self, exchange: _Exchange, receive: Receive) -> LimitedBody:
        path, length = exchange.path, header(exchange.scope, b"content-length")
        max_bytes, seconds = SPARE_BYTES, self.context.scheduler.time_limit
        subject = "This message"
        if path == f"{API}/upload":
            max_bytes += FILES_AT_ONCE * self.context.max_upload_bytes
            subject = "This upload"
        elif path == "/login":
            max_bytes, seconds = logins.MAX_BYTES, LOGIN_SECONDS
        elif routes.parse_call(path):
            max_bytes = MAX_BYTES
        return LimitedBody(receive, max_bytes, seconds, length, subject)

    async def _log_in(self, exchange: _Exchange, body: LimitedBody) -> None:
        scope = exchange.scope
        client = (scope.get("client") or ("",))[0]
        data = await self._logins.read(body, client)
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app(with_body(scope, data, None), replay(data, body.receive), collect)
        if requires_login(scope.get("app")) and messages and messages[0].get("status") != 200:
            await self._logins.pause(client)
        for message in messages:
            await exchange.response.send(message)

    async def _upload(self, exchange: _Exchange, body: LimitedBody) -> None:
        scope, upload_id = exchange.scope, exchange.query.get("upload_id")
        cleaner, received = self.context.cleaner, 0

        async def receive() -> Message:
            nonlocal received
            before = body.size
            message = await body.receive()
            cleaner.count_upload(body.size - before)
            received += body.size - before
            if not cleaner.has_room():
                body.error = HttpError(429, texts.FULL)
                return {"type": "http.disconnect"}
            return message

        if not cleaner.has_room():
            raise HttpError(429, texts.FULL)
        try:
            paths, size = await self._uploads.save(Request(scope, receive), upload_id)
            cleaner.count_upload(size, len(paths))
        except OSError as error:
            log.warning("an upload could not be stored: %s", error.strerror)
            raise HttpError(507, texts.NO_ROOM) from error
        finally:
            cleaner.count_upload(-received)
        await JSONResponse(paths)(scope, body.receive, exchange.response.send)

    async def _call(
        self, exchange: _Exchange, body: LimitedBody, kind: str | None, name: str | None
    ) -> None:
        context, scope, response = self.context, exchange.scope, exchange.response
        if context.scheduler.closed:
            raise HttpError(503, texts.CLOSING)
        data = await body.read_all()
        call = await anyio.to_thread.run_sync(
            read_call, data, context.demo, context.folder, kind, name, limiter=self._readers
        )
        context.sessions.touch(call.session)
        response.errors_as_422 = kind in ("run", "api")
        waiting, full = queue_size(context.demo)
        if full and not response.errors_as_422:
            # beyond this, too few threads are left to refuse calls; Gradio's own text is technical
            raise HttpError(429, texts.busy(waiting, context.scheduler.estimated_wait(waiting)))
        if kind == V2:  # `read_call` has made a list of its values
            path = f"{scope.get('root_path', '')}{API}/call/{name}"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        encoded = call.to_json()
        await self.app(with_body(scope, encoded), replay(encoded, body.receive), response.send)

    def _connected(self, path: str, query: dict[str, str]) -> AbstractContextManager[None]:
        """Count a session as connected while it listens for results."""
        if path != f"{API}/queue/data":
            return nullcontext()
        return self.context.sessions.connected(query.get("session_hash", ""))

    async def _handle_error(self, path: str, error: Exception, response: ResponseWriter) -> None:
        """Send the response for an error; log a failure of the app in one line."""
        if isinstance(error, HttpError):
            await response.send_error(error)
            return
        if isinstance(error, ClientDisconnect):
            log.debug("a client disconnected at %s", quote(path[:200]))
            return
        if isinstance(error.__cause__, HTTPException) and response.status:
            log.debug("a response ended early: %s", error_log.in_short(error))
        else:
            error_log.tell(log, f"{_loggable(path)} failed", error)
        if response.status:
            await response.end()
        elif isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOSPC:
            await response.send_error(HttpError(503, texts.NO_ROOM))
        else:
            await response.send_error(response.replacement or unexpected_error())

    def _log(self, scope: Scope, path: str, status: int, seconds: float) -> None:
        """Log a request; its client and file name only at the level "debug"."""
        method = scope["method"][:16]
        if log.isEnabledFor(logging.DEBUG):
            client = (scope.get("client") or ("?",))[0]
            log.debug("%s %s %s %d %.3f s", client, method, quote(path[:200]), status, seconds)
        elif log.isEnabledFor(logging.INFO):
            log.info("%s %s %d %.3f s", method, _loggable(path), status, seconds)


def protect(app: Any, context: AppContext) -> None:
    """Wrap a Starlette application and the middleware added so far, unless it is wrapped already.

    Args:
        app: the application.
        context: see `AccessMiddleware`.
    """
    if not isinstance(app.middleware_stack, AccessMiddleware):
        app.middleware_stack = AccessMiddleware(
            app.middleware_stack or app.build_middleware_stack(), context
        )


def _loggable(path: str) -> str:
    """Return a path for the log: without file names, spaces and line ends."""
    return quote(path.split("=")[0][:60])
