"""What the guard sends: the app's answer under our headers, or a sentence in its place."""

import json
import re
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect

from page.requests.request_body import HttpError, Message

Send = Callable[[Message], Awaitable[None]]

# Nothing else that the app puts into an answer's head is handed on.
_KEPT = frozenset(
    b"accept-ranges allow cache-control connection content-disposition content-encoding "
    b"content-length content-range content-type etag last-modified location retry-after "
    b"set-cookie transfer-encoding vary x-network-ms".split()
)


class ResponseWriter:
    """Adds the headers, keeps redirects here, and answers in the app's place where need be.

    Args:
        send: where the answer goes.
        headers: what every answer carries.
        kept: the answer may be kept by browsers and proxies, as the app says; no other may.

    Attributes:
        status: HTTP status that was sent; 0 before.
        lenient: the app's answer is handed on though it failed, as one to a bad request: it says
            in a sentence what is wrong.
        instead: what to send instead, once the app has answered so.
    """

    def __init__(self, send: Send, headers: dict[str, str], *, kept: bool = False) -> None:
        self._send = send
        ours = headers if kept else {**headers, "cache-control": "no-store"}
        self._headers = [(k.encode(), v.encode()) for k, v in ours.items()]
        self._ended = False
        self.status = 0
        self.lenient = False
        self.instead: HttpError | None = None

    async def send(self, message: Message) -> None:
        """Pass one message of the app on, unless its answer is to be replaced by `instead`."""
        if self.instead:
            return
        if message["type"] == "http.response.start":
            status = message["status"]
            if status >= 500 and self.lenient:
                status = 422
            elif status == 500:
                self.instead = unexpected()
                return
            self.status = status
            ours = {name for name, _ in self._headers}
            kept = [(k, v) for k, v in message.get("headers", []) if k.lower() in _KEPT - ours]
            head = [*map(_stay_here, kept), *self._headers]
            message = {**message, "status": status, "headers": head}
        elif message["type"] == "http.response.body":
            self._ended = not message.get("more_body", False)
        await self._out(message)

    async def _out(self, message: Message) -> None:
        """Send it.

        Raises:
            ClientDisconnect: the connection is broken.
        """
        try:
            await self._send(message)
        except Exception as error:  # h11's, of a visitor who keeps to no protocol
            raise ClientDisconnect from error

    async def refuse(self, refused: HttpError) -> None:
        """Answer with a status and a sentence and hang up, unless an answer has begun."""
        if self.status:
            return
        self.status = refused.status
        plain = refused.status == 413  # the page shows an upload's answer as it is
        both = {"detail": refused.text, "error": refused.text}
        text = (refused.text if plain else json.dumps(both)).encode()
        kind = b"text/plain; charset=utf-8" if plain else b"application/json"
        headers = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(text)),
            (b"connection", b"close"),
        ]
        if refused.status in (429, 503):
            headers.append((b"retry-after", b"10"))
        start = {"type": "http.response.start", "status": refused.status}
        await self._out({**start, "headers": [*headers, *self._headers]})
        await self._out({"type": "http.response.body", "body": text})

    async def end(self) -> None:
        """Complete an answer that the app has left unfinished."""
        if self.status and not self._ended:
            self._ended = True
            await self._out({"type": "http.response.body", "body": b"", "more_body": False})


def unexpected() -> HttpError:
    """What is said where the app fails on a request: nobody's fault can be told from here."""
    return HttpError(400, "This request could not be answered as it is.")


def _stay_here(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """A redirect leads to a path of this page, whatever host a visitor claims to have asked."""
    name, value = header
    if name.lower() != b"location" or value == b".":
        return header
    path = re.sub(rb"^[a-z][a-z0-9+.-]*://[^/?#]*", b"", value, flags=re.IGNORECASE)
    return name, b"/" + path.lstrip(b"/\\")
