"""Read a request's body with limits on its size and time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

IDLE_SECONDS = 20.0
"""Seconds without data after which a body is refused."""
DRAIN_BYTES = 64 << 20
DRAIN_SECONDS = 2.0

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]


class HttpError(Exception):
    """A request that is refused with a status and a message.

    Args:
        status: HTTP status.
        text: the message that the visitor sees.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class LimitedBody:
    """Pass on a request's body as it arrives, up to a size and a deadline.

    Args:
        receive: the connection.
        max_bytes: limit of the body.
        seconds: limit for receiving the whole body.
        length: the Content-Length header, or None.
        subject: the body's name in error messages, such as "This upload".

    Attributes:
        size: bytes received.
        finished: the body has ended, or the client has disconnected.
        error: why the body was refused, or None.
    """

    def __init__(
        self, receive: Receive, max_bytes: int, seconds: float, length: str | None, subject: str
    ) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._end = time.monotonic() + seconds
        self._subject = subject
        self._may_discard = True
        self.size = 0
        self.finished = False
        self.error: HttpError | None = None
        if length is not None and not (length.isascii() and length.isdigit()):
            raise HttpError(400, "The Content-Length header is not a number.")
        if length is not None and int(length) > max_bytes:
            self._may_discard = int(length) <= DRAIN_BYTES
            self.error = self._too_large()

    async def receive(self) -> Message:
        """Return the next message; a disconnect once the body is refused."""
        if not self.error:
            try:
                return await self._next()
            except HttpError as error:
                self.error = error
        return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        if self.finished:
            return await self._receive()  # waits for the disconnect
        timeout = min(IDLE_SECONDS, self._end - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(timeout, 0.0))
        except TimeoutError:
            raise HttpError(408, f"{self._subject} did not arrive in time. Try again.") from None
        self.size += len(message.get("body", b""))
        if self.size > self._max_bytes:
            raise self._too_large()
        self.finished = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def read_all(self) -> bytes:
        """Return the whole body.

        Raises:
            HttpError: it is too large, too slow, or incomplete.
        """
        parts = []
        if self.error:
            raise self.error
        while not self.finished:
            message = await self._next()
            if message["type"] != "http.request":
                raise HttpError(400, f"{self._subject} is incomplete. Send it again.")
            parts.append(message.get("body", b""))
        return b"".join(parts)

    async def discard_rest(self) -> None:
        """Discard the rest up to a limit: many clients read no response before they sent all."""
        if not self._may_discard:
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
        return HttpError(413, too_large(self._subject, self._max_bytes))


def too_large(subject: str, max_bytes: int) -> str:
    """Return the message for a file or body that is too large."""
    return f"{subject} is larger than {max_bytes / 2**20:g} MB, the limit of this page."
