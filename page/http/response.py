"""Write responses: the app's with filtered headers, or an error message in their place."""

import json
import re
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect

from page.requests.request_body import HttpError, Message

Send = Callable[[Message], Awaitable[None]]

# The app's response headers that are passed on.
_ALLOWED_HEADERS = frozenset(
    b"accept-ranges allow cache-control connection content-disposition content-encoding "
    b"content-length content-range content-type etag last-modified location retry-after "
    b"set-cookie transfer-encoding vary x-network-ms".split()
)


class ResponseWriter:
    """Add headers to a response, make its redirects relative, and replace it after an error.

    Args:
        send: the connection.
        headers: the headers of every response.
        cacheable: leave caching to the app's own header; otherwise nothing may be cached.

    Attributes:
        status: HTTP status that was sent; 0 before.
        errors_as_422: pass the app's 5xx responses on with status 422: Gradio's direct calls
            explain a bad request in them.
        replacement: what to send instead of the app's response; set when the app returned 500.
    """

    def __init__(self, send: Send, headers: dict[str, str], *, cacheable: bool = False) -> None:
        self._send = send
        own = headers if cacheable else {**headers, "cache-control": "no-store"}
        self._headers = [(k.encode(), v.encode()) for k, v in own.items()]
        self._ended = False
        self.status = 0
        self.errors_as_422 = False
        self.replacement: HttpError | None = None

    async def send(self, message: Message) -> None:
        """Pass on one message of the app, unless `replacement` is set."""
        if self.replacement:
            return
        if message["type"] == "http.response.start":
            status = message["status"]
            if status >= 500 and self.errors_as_422:
                status = 422
            elif status == 500:
                self.replacement = unexpected_error()
                return
            self.status = status
            allowed = _ALLOWED_HEADERS - {name for name, _ in self._headers}
            passed = [(k, v) for k, v in message.get("headers", []) if k.lower() in allowed]
            headers = [*map(_make_redirect_relative, passed), *self._headers]
            message = {**message, "status": status, "headers": headers}
        elif message["type"] == "http.response.body":
            self._ended = not message.get("more_body", False)
        await self._transmit(message)

    async def _transmit(self, message: Message) -> None:
        """Send a message.

        Raises:
            ClientDisconnect: the connection is broken.
        """
        try:
            await self._send(message)
        except Exception as error:  # h11's, of a client that violates the protocol
            raise ClientDisconnect from error

    async def send_error(self, error: HttpError) -> None:
        """Send an error's status and text and close the connection; no-op after a response."""
        if self.status:
            return
        self.status = error.status
        plain = error.status == 413  # the page shows the body of a refused upload as it is
        both = {"detail": error.text, "error": error.text}
        text = (error.text if plain else json.dumps(both)).encode()
        kind = b"text/plain; charset=utf-8" if plain else b"application/json"
        headers = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(text)),
            (b"connection", b"close"),
        ]
        if error.status in (429, 503):
            headers.append((b"retry-after", b"10"))
        start = {"type": "http.response.start", "status": error.status}
        await self._transmit({**start, "headers": [*headers, *self._headers]})
        await self._transmit({"type": "http.response.body", "body": text})

    async def end(self) -> None:
        """Complete a response that the app has left unfinished."""
        if self.status and not self._ended:
            self._ended = True
            await self._transmit({"type": "http.response.body", "body": b"", "more_body": False})


def unexpected_error() -> HttpError:
    """Return the response to a request on which the app fails."""
    return HttpError(400, "This request could not be processed. Check its values.")


def _make_redirect_relative(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Cut the host out of a `Location`: it may come from the client's Host header."""
    name, value = header
    if name.lower() != b"location" or value == b".":
        return header
    path = re.sub(rb"^[a-z][a-z0-9+.-]*://[^/?#]*", b"", value, flags=re.IGNORECASE)
    return name, b"/" + path.lstrip(b"/\\")
