"""What the guard sends: the app's answer under our headers, or a sentence in its place."""

import json
import re
from collections.abc import Awaitable, Callable

from .body import Message, RefusedError

Send = Callable[[Message], Awaitable[None]]


class Answer:
    """Adds the headers, keeps redirects here, and answers in the app's place where need be.

    Attributes:
        status: HTTP status that was sent; 0 before.
        replace: statuses of the app -> the sentence to send instead.
        instead: what to send instead, once the app has answered so.
    """

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self._headers = [(k.encode(), v.encode()) for k, v in headers.items()]
        self.status = 0
        self.replace: dict[int, str] = {}
        self.instead: RefusedError | None = None

    async def send(self, message: Message) -> None:
        """Pass one message of the app on, unless its answer is to be replaced by `instead`."""
        if self.instead:
            return
        if message["type"] == "http.response.start":
            if message["status"] in self.replace:
                self.instead = RefusedError(message["status"], self.replace[message["status"]])
                return
            self.status = message["status"]
            ours = {name for name, _ in self._headers}
            kept = [(k, v) for k, v in message.get("headers", []) if k.lower() not in ours]
            message = {**message, "headers": [*map(_stay_here, kept), *self._headers]}
        await self._send(message)

    async def refuse(self, refused: RefusedError) -> None:
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
        await self._send({**start, "headers": [*headers, *self._headers]})
        await self._send({"type": "http.response.body", "body": text})


def _stay_here(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """A redirect leads to a path of this page, whatever host a visitor claims to have asked."""
    name, value = header
    if name.lower() != b"location":
        return header
    path = re.sub(rb"^[a-z][a-z0-9+.-]*://[^/?#]*", b"", value, flags=re.IGNORECASE)
    return name, b"/" + path.lstrip(b"/\\")
