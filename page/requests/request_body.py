"""What a request may carry: bounded in bytes and in time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

IDLE_SECONDS = 20.0
"""How long a body may stand still."""
DRAIN_BYTES = 64 << 20
DRAIN_SECONDS = 2.0

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]


class HttpError(Exception):
    """A request that gets an answer and goes no further.

    Args:
        status: HTTP status.
        text: what the visitor is told.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class LimitedBody:
    """Hands a request's body on as it arrives, and no more of it than is allowed.

    Args:
        receive: where it comes from.
        most: bytes.
        seconds: for all of it.
        length: the Content-Length header, or None.
        subject: how a message calls it.
    """

    def __init__(
        self, receive: Receive, most: int, seconds: float, length: str | None, subject: str
    ) -> None:
        self._receive = receive
        self._most = most
        self._end = time.monotonic() + seconds
        self._subject = subject
        self._drains = True
        self.size = 0
        self.finished = False
        self.refused: HttpError | None = None
        if length is not None and not (length.isascii() and length.isdigit()):
            raise HttpError(400, "The Content-Length header is no number.")
        if length is not None and int(length) > most:
            self._drains = int(length) <= DRAIN_BYTES
            self.refused = self._too_large()

    async def receive(self) -> Message:
        """The next message; after a refusal, as if the visitor had gone."""
        if self.refused:
            return {"type": "http.disconnect"}
        try:
            message = await self._next()
        except HttpError as refused:
            self.refused = refused
            return {"type": "http.disconnect"}
        return message

    async def _next(self) -> Message:
        if self.finished:
            return await self._receive()  # waits until the visitor leaves
        left = min(IDLE_SECONDS, self._end - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.0))
        except TimeoutError:
            raise HttpError(408, f"{self._subject} did not arrive in time. Try again.") from None
        self.size += len(message.get("body", b""))
        if self.size > self._most:
            raise self._too_large()
        self.finished = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def whole(self) -> bytes:
        """All of it.

        Raises:
            RefusedError: too large, too slow, or broken off.
        """
        parts = []
        if self.refused:
            raise self.refused
        while not self.finished:
            message = await self._next()
            if message["type"] != "http.request":
                raise HttpError(400, f"{self._subject} was broken off.")
            parts.append(message.get("body", b""))
        return b"".join(parts)

    async def drain(self) -> None:
        """Throw away a little of what is still coming: many programs read no answer before."""
        if not self._drains:
            return
        end, left = time.monotonic() + DRAIN_SECONDS, DRAIN_BYTES
        while not self.finished and left > 0 and time.monotonic() < end:
            try:
                message = await asyncio.wait_for(self._receive(), end - time.monotonic())
            except TimeoutError:
                return
            left -= len(message.get("body", b""))
            self.finished = message["type"] != "http.request" or not message.get("more_body")

    def _too_large(self) -> HttpError:
        return HttpError(413, too_large(self._subject, self._most))


def too_large(subject: str, most: int) -> str:
    """What somebody is told whose file or message is too large."""
    return f"{subject} is larger than {most / 2**20:g} MB, the limit of this page."
