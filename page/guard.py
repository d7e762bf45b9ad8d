"""What stands before Gradio's routes: which are open, to whom, and for how much.

A pure ASGI middleware. It goes by a list of what the page and its API need; a route of Gradio that
is not on the list does not exist here, whatever a later release adds.
"""

import asyncio
import json
import logging
import re
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from . import words
from .answer import Answer, Send
from .body import Body, Message, Receive, RefusedError, read_call, too_large
from .crowd import LINE, Crowd, waiting
from .folder import Janitor, is_inside
from .headers import security_headers

if TYPE_CHECKING:
    import gradio as gr

Scope = dict[str, Any]

API = "/gradio_api"
FILES_AT_ONCE = 12
SPARE_BYTES = 1 << 20
LOGIN_PAUSE = 0.5

# What a visitor who has not logged in needs to see the form, and the app itself to start.
_OPEN = re.compile(
    r"/|/login/?|/favicon\.ico|/robots\.txt|/manifest\.json|/theme\.css|/pwa_icon(/\w+)?"
    r"|/(assets|static|svelte)/.*"
    rf"|{API}/(user|login_check|app_id|startup-events|theme\.css)/?"
)
_MEMBERS = re.compile(
    r"/config/?|/logout"
    rf"|{API}/(info|openapi\.json|token|upload|upload_progress|cancel|reset"
    r"|queue/(join|data|status)|heartbeat/\w{1,64}|(run|api|call|call/v2)/\w{1,64}"
    r"|call/\w{1,64}/\w{1,64}|call/v2/\w{1,64}/\w{1,64}|file=.*)/?"
    r"|/live/(start|frame|stop)",
    re.DOTALL,
)
_CALL = re.compile(rf"{API}/(?:queue/join|(?P<kind>run|api|call|call/v2)/(?P<name>\w+))/?")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Site:
    """What the guard must know of the page.

    Attributes:
        demo: the page.
        folder: where uploads and results lie.
        crowd: who waits.
        janitor: how full the folder is.
        max_upload_bytes: of one file.
        embed: origins that may frame the page.
        seen: set once the page was served.
        doors: a function's number -> that of its substitute; see `crowd.add_doors`.
    """

    demo: "gr.Blocks"
    folder: Path
    crowd: Crowd
    janitor: Janitor
    max_upload_bytes: int
    embed: Sequence[str] = ()
    doors: dict[int, int] = field(default_factory=dict)
    seen: threading.Event = field(default_factory=threading.Event)


class Guard:
    """The middleware.

    Args:
        app: what it stands before.
        site: see there.
    """

    def __init__(self, app: Any, site: Site) -> None:
        self.app = app
        self.site = site
        self._logins = asyncio.Lock()

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
        answer = Answer(send, security_headers(self.site.embed, is_file="/file=" in path))
        try:
            self._check_route(scope, path)
            await self._pass_on(scope, path, receive, answer)
        except RefusedError as refused:
            await answer.refuse(refused)
        finally:
            self._log(scope, path, answer.status, time.perf_counter() - start)

    def _check_route(self, scope: Scope, path: str) -> None:
        if scope["method"] not in ("GET", "HEAD", "POST", "OPTIONS"):
            raise RefusedError(405, "This page knows no such method.")
        if _OPEN.fullmatch(path):
            return
        if not _MEMBERS.fullmatch(path):
            raise RefusedError(404, "There is no such page here.")
        if not _is_known(scope):
            raise RefusedError(401, "Not authenticated")
        at = f"{API}/file="
        if path.startswith(at) and not is_inside(path[len(at) :], self.site.folder):
            raise RefusedError(403, "There is no such file here, or it is no longer kept.")

    async def _pass_on(self, scope: Scope, path: str, receive: Receive, answer: "Answer") -> None:
        if scope["method"] != "POST":
            with self._listening(scope, path):
                await self.app(scope, receive, answer.send)
            if path == "/":
                self.site.seen.set()
            return
        body = self._body(scope, path, receive)
        try:
            await self._post(scope, path.rstrip("/"), body, answer)
        except RefusedError as refused:
            body.refused = refused
        except Exception:
            if not body.refused or answer.status:
                raise
            # else the app tripped over the body's early end
        if refused := body.refused or answer.instead:
            await body.drain()
            await answer.refuse(refused)

    async def _post(self, scope: Scope, path: str, body: Body, answer: "Answer") -> None:
        if path == "/login":
            await self._log_in(scope, body, answer)
        elif path == f"{API}/upload":
            await self._upload(scope, body, answer)
        elif match := _CALL.fullmatch(path):
            await self._call(scope, match, body, answer)
        else:
            await self.app(scope, body.receive, answer.send)

    def _body(self, scope: Scope, path: str, receive: Receive) -> Body:
        most, seconds = SPARE_BYTES, self.site.crowd.time_limit
        subject = "This message"
        if path.rstrip("/") == f"{API}/upload":
            most += FILES_AT_ONCE * self.site.max_upload_bytes
            subject = "This upload"
        elif _CALL.fullmatch(path):  # a photo may come as base64
            most += self.site.max_upload_bytes * 4 // 3
        return Body(receive, most, seconds, _header(scope, b"content-length"), subject)

    async def _log_in(self, scope: Scope, body: Body, answer: "Answer") -> None:
        """One at a time, and after a wrong word a pause: so that nobody tries many."""
        async with self._logins:
            await self.app(scope, body.receive, answer.send)
            if answer.status != 200:
                await asyncio.sleep(LOGIN_PAUSE)

    async def _upload(self, scope: Scope, body: Body, answer: "Answer") -> None:
        if not self.site.janitor.has_room():
            raise RefusedError(429, words.FULL)
        answer.replace = {413: too_large("This file", self.site.max_upload_bytes)}
        try:
            await self.app(scope, body.receive, answer.send)
        except OSError as error:
            log.warning("an upload could not be stored: %s", error.strerror)
            raise RefusedError(507, words.NO_ROOM) from error
        except (TypeError, ValueError, KeyError) as error:  # Gradio's, of a form that is none
            raise RefusedError(400, "This is no upload of a file.") from error
        finally:
            self.site.janitor.received(body.size)

    async def _call(self, scope: Scope, match: re.Match[str], body: Body, answer: "Answer") -> None:
        site, crowd = self.site, self.site.crowd
        if crowd.closing:
            raise RefusedError(503, words.CLOSING)
        call = read_call(await body.whole(), site.folder)
        number = _function(site.demo, match["name"], call)
        in_line = number is not None and site.demo.fns[number].concurrency_id == LINE
        crowd.asks(call.get("session_hash"))
        if not in_line:
            await self.app(_resized(scope, call), _replay(call, body.receive), answer.send)
            return
        line = waiting(site.demo, crowd.line.width) + crowd.entering
        if line >= crowd.max_queue:
            scope = self._to_the_door(scope, match, call, number, line)
            await self.app(_resized(scope, call), _replay(call, body.receive), answer.send)
            return
        crowd.entering += 1
        try:
            await self.app(_resized(scope, call), _replay(call, body.receive), answer.send)
        finally:
            crowd.entering -= 1

    def _to_the_door(
        self, scope: Scope, match: re.Match[str], call: dict[str, Any], number: int, line: int
    ) -> Scope:
        """Send a call to the function that says "busy"."""
        door = self.site.doors.get(number)
        if door is None:
            raise RefusedError(429, self.site.crowd.line.busy_text(line))
        scope["pixelwise.waiting"] = line
        if match["name"]:
            later = self.site.demo.fns[door].api_name
            path = scope["path"].rstrip("/").removesuffix(match["name"]) + str(later)
            return {**scope, "path": path, "raw_path": path.encode()}
        call["fn_index"] = door
        return scope

    def _listening(self, scope: Scope, path: str) -> Any:
        """Remember that a visitor waits for answers, for as long as they do."""
        if path.rstrip("/") != f"{API}/queue/data":
            return nullcontext()
        session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        return self.site.crowd.listening(session[:100])

    def _log(self, scope: Scope, path: str, status: int, seconds: float) -> None:
        """What was asked for; who asked, and which file, only where everything is to be told."""
        if log.isEnabledFor(logging.DEBUG):
            client = (scope.get("client") or ("?",))[0]
            log.debug("%s %s %s %d %.3f s", client, scope["method"], path[:200], status, seconds)
        elif log.isEnabledFor(logging.INFO):
            shown = path.split("=")[0][:60]
            log.info("%s %s %d %.3f s", scope["method"], shown, status, seconds)


def _header(scope: Scope, name: bytes) -> str | None:
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == name), None)


def _is_known(scope: Scope) -> bool:
    """Whether the visitor has logged in, where that is asked for."""
    app = scope.get("app")
    if app is None or getattr(app, "auth", None) is None:
        return True
    cookies = SimpleCookie()
    try:
        cookies.load(_header(scope, b"cookie") or "")
    except CookieError:
        return False
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(name in cookies and cookies[name].value in app.tokens for name in names)


def _function(demo: "gr.Blocks", name: str | None, call: dict[str, Any]) -> int | None:
    """The number of the function that a call means."""
    if name is not None:
        return next((n for n, fn in demo.fns.items() if fn.api_name == name), None)
    number = call.get("fn_index")
    return number if isinstance(number, int) and number in demo.fns else None


def _resized(scope: Scope, call: dict[str, Any]) -> Scope:
    size = b"%d" % len(_packed(call))
    headers = [(k, v) for k, v in scope["headers"] if k not in (b"content-length",)]
    headers = [(k, v) for k, v in headers if k != b"transfer-encoding"]
    return {**scope, "headers": [*headers, (b"content-length", size)]}


def _packed(call: dict[str, Any]) -> bytes:
    return json.dumps(call).encode()


def _replay(call: dict[str, Any], then: Receive) -> Receive:
    """A body that has been read already, and after it the connection as it is."""
    data: list[bytes] = [_packed(call)]

    async def receive() -> Message:
        if data:
            return {"type": "http.request", "body": data.pop(), "more_body": False}
        return await then()

    return receive
