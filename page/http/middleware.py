"""What stands before Gradio's routes: who may ask for what, and for how much.

It wraps Gradio's own middleware too. So every answer of the app passes `ResponseWriter`, and
whatever fails within is told in a sentence, and in one line of the log.
"""

import errno
import logging
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any
from urllib.parse import quote

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from page import texts
from page.gradio_internals import asks_for_password, queue_size
from page.http import file_routes, link_preview, routes
from page.http.app_context import AppContext
from page.http.response import ResponseWriter, Send, unexpected
from page.http.routes import API, FILE
from page.http.security_headers import security_headers
from page.requests import locality, logins
from page.requests.call_checks import MAX_BYTES, V2, read_call, read_cancel
from page.requests.forwarding import holding, is_known, replay
from page.requests.origin import Scope, address_of, check_origin, header, inward, root_of
from page.requests.request_body import HttpError, LimitedBody, Message, Receive
from page.requests.uploads import FILES_AT_ONCE, Uploads
from page.service import error_log
from page.tabs.cancel_registry import ARRIVED

SPARE_BYTES = 1 << 20
LOGIN_SECONDS = 10.0
READERS = 2
"""Calls that are read at once."""

log = logging.getLogger(__name__)


class AccessMiddleware:
    """Handles every connection of an app.

    Args:
        app: what it stands before.
        site: see there.
    """

    def __init__(self, app: Any, site: AppContext) -> None:
        self.app = app
        self.site = site
        self._logins = logins.Logins()
        self._uploads = Uploads(site.folder, site.max_upload_bytes)
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
        headers = security_headers(self.site.embed, is_file="/file=" in path)
        answer = ResponseWriter(send, headers, kept=routes.may_be_kept(path))
        try:
            await self._answer(scope, path, receive, answer)
        except Exception as error:
            with suppress(ClientDisconnect):
                await self._failed(path, error, answer)
        finally:
            self._log(scope, path, answer.status, time.perf_counter() - start)

    async def _answer(
        self, scope: Scope, path: str, receive: Receive, answer: ResponseWriter
    ) -> None:
        if scope["method"] not in routes.METHODS:
            raise HttpError(405, "This page knows no such method.")
        routes.check_path(path)
        site = self.site
        check_origin(scope, path, behind_proxy=site.behind_proxy, framed=bool(site.embed))
        if not routes.is_open(path) and not is_known(scope):
            raise HttpError(401, "Not authenticated")
        asked = routes.asked_of(path, scope["query_string"])
        root = root_of(scope, path, site.behind_proxy)
        passed = {**inward(scope, root), "query_string": routes.packed(asked)}
        passed[ARRIVED] = time.monotonic()
        passed[locality.KEY] = locality.is_home(scope, site.alone)
        passed[link_preview.KEY] = address_of(scope, site.behind_proxy)
        if path.startswith(FILE):
            found = file_routes.find(path[len(FILE) :], site.folder)
            await file_routes.serve(found, scope, receive, answer.send)
        elif scope["method"] == "POST":
            await self._pass_on(passed, path.rstrip("/"), receive, answer, asked)
        else:
            await self._show(passed, path, receive, answer, asked)
        if answer.instead:
            await answer.refuse(answer.instead)

    async def _show(
        self,
        scope: Scope,
        path: str,
        receive: Receive,
        answer: ResponseWriter,
        asked: dict[str, str],
    ) -> None:
        if path.rstrip("/") == f"{API}/upload_progress" and "upload_id" in asked:
            self._uploads.remember(asked["upload_id"])
        with self._listening(path, asked), locality.asked_by(scope):
            await self.app(scope, receive, answer.send)
        if path == "/":
            self.site.seen.set()

    async def _pass_on(
        self,
        scope: Scope,
        path: str,
        receive: Receive,
        answer: ResponseWriter,
        asked: dict[str, str],
    ) -> None:
        body = self._body(scope, path, receive)
        try:
            await self._post(scope, path, body, answer, asked)
        except HttpError as refused:
            body.refused = refused
        except Exception:
            if not body.refused or answer.status:
                raise
            # else the app tripped over the body's early end
        if refused := body.refused or answer.instead:
            await body.drain()
            await answer.refuse(refused)

    async def _post(
        self,
        scope: Scope,
        path: str,
        body: LimitedBody,
        answer: ResponseWriter,
        asked: dict[str, str],
    ) -> None:
        if path == "/login":
            await self._log_in(scope, body, answer)
        elif path == f"{API}/upload":
            await self._upload(scope, body, answer, asked.get("upload_id"))
        elif path in (f"{API}/cancel", f"{API}/reset"):
            data = read_cancel(await body.whole())
            await self.app(holding(scope, data), replay(data, body.receive), answer.send)
        elif called := routes.call_of(path):
            await self._call(scope, *called, body, answer)
        else:
            await self.app(scope, body.receive, answer.send)

    def _body(self, scope: Scope, path: str, receive: Receive) -> LimitedBody:
        most, seconds = SPARE_BYTES, self.site.scheduler.time_limit
        subject = "This message"
        if path == f"{API}/upload":
            most += FILES_AT_ONCE * self.site.max_upload_bytes
            subject = "This upload"
        elif path == "/login":
            most, seconds = logins.MAX_BYTES, LOGIN_SECONDS
        elif routes.call_of(path):
            most = MAX_BYTES
        return LimitedBody(receive, most, seconds, header(scope, b"content-length"), subject)

    async def _log_in(self, scope: Scope, body: LimitedBody, answer: ResponseWriter) -> None:
        who = (scope.get("client") or ("",))[0]
        data = await self._logins.read(body, who)
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self.app(holding(scope, data, None), replay(data, body.receive), keep)
        asked_for = asks_for_password(scope.get("app"))
        if asked_for and kept and kept[0].get("status") != 200:
            await self._logins.pause(who)
        for message in kept:
            await answer.send(message)

    async def _upload(
        self, scope: Scope, body: LimitedBody, answer: ResponseWriter, name: str | None
    ) -> None:
        janitor, taken = self.site.janitor, 0

        async def receive() -> Message:
            nonlocal taken
            before = body.size
            message = await body.receive()
            janitor.received(body.size - before)
            taken += body.size - before
            if not janitor.has_room():
                body.refused = HttpError(429, texts.FULL)
                return {"type": "http.disconnect"}
            return message

        if not janitor.has_room():
            raise HttpError(429, texts.FULL)
        try:
            paths, disk = await self._uploads.take(Request(scope, receive), name)
            janitor.received(disk, len(paths))
        except OSError as error:
            log.warning("an upload could not be stored: %s", error.strerror)
            raise HttpError(507, texts.NO_ROOM) from error
        finally:
            janitor.received(-taken)
        await JSONResponse(paths)(scope, body.receive, answer.send)

    async def _call(
        self,
        scope: Scope,
        kind: str | None,
        name: str | None,
        body: LimitedBody,
        answer: ResponseWriter,
    ) -> None:
        site = self.site
        if site.scheduler.closed:
            raise HttpError(503, texts.CLOSING)
        data = await body.whole()
        call = await anyio.to_thread.run_sync(
            read_call, data, site.demo, site.folder, kind, name, limiter=self._readers
        )
        site.sessions.touch(call.session)
        answer.lenient = kind in ("run", "api")
        waiting, full = queue_size(site.demo)
        if full and not answer.lenient:
            # more at once than threads can even refuse; Gradio would say so in words of its own
            raise HttpError(429, texts.busy(waiting, site.scheduler.estimated_wait(waiting)))
        if kind == V2:  # its values are a list by now
            path = f"{scope.get('root_path', '')}{API}/call/{name}"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        packed = call.packed()
        await self.app(holding(scope, packed), replay(packed, body.receive), answer.send)

    def _listening(self, path: str, asked: dict[str, str]) -> AbstractContextManager[None]:
        """Remember that a visitor waits for answers, for as long as they do."""
        if path.rstrip("/") != f"{API}/queue/data":
            return nullcontext()
        return self.site.sessions.connected(asked.get("session_hash", ""))

    async def _failed(self, path: str, error: Exception, answer: ResponseWriter) -> None:
        """Answer where the app could not, or must not; the log has one line of a failure."""
        if isinstance(error, HttpError):
            await answer.refuse(error)
            return
        if isinstance(error, ClientDisconnect):
            log.debug("a visitor hung up at %s", quote(path[:200]))
            return
        if isinstance(error.__cause__, HTTPException) and answer.status:
            log.debug("an answer ended early: %s", error_log.in_short(error))
        else:
            error_log.tell(log, f"{_shown(path)} could not be answered", error)
        if answer.status:
            await answer.end()
        elif isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOSPC:
            await answer.refuse(HttpError(503, texts.NO_ROOM))
        else:
            await answer.refuse(answer.instead or unexpected())

    def _log(self, scope: Scope, path: str, status: int, seconds: float) -> None:
        """What was asked for; who asked, and which file, only where everything is to be told."""
        method = scope["method"][:16]
        if log.isEnabledFor(logging.DEBUG):
            client = (scope.get("client") or ("?",))[0]
            log.debug("%s %s %s %d %.3f s", client, method, quote(path[:200]), status, seconds)
        elif log.isEnabledFor(logging.INFO):
            log.info("%s %s %d %.3f s", method, _shown(path), status, seconds)


def protect(app: Any, site: AppContext) -> None:
    """Put the guard before an app, and before all its middleware.

    Args:
        app: a Starlette application; what it has been given so far stays behind the guard.
        site: see `AccessMiddleware`.
    """
    if not isinstance(app.middleware_stack, AccessMiddleware):
        app.middleware_stack = AccessMiddleware(
            app.middleware_stack or app.build_middleware_stack(), site
        )


def _shown(path: str) -> str:
    """A path for the log: no file's name, and no space or line end."""
    return quote(path.split("=")[0][:60])
