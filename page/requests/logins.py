"""Login throttling: wrong passwords are answered slowly, right ones at once."""

import asyncio

from page.requests.request_body import HttpError, LimitedBody

MAX_BYTES = 1 << 16
PAUSE_SECONDS = 0.5
MAX_WAITING = 256
"""Wrong passwords awaiting their response; further logins are refused."""
MAX_WAITING_EACH = 128
"""The same, for one client address."""


class Logins:
    """Limit wrong passwords to two a second, by delaying their responses one after the other.

    A password is checked as soon as its body is complete, so neither stalled bodies nor many wrong
    passwords delay a right one. While too many wrong ones wait, further logins are refused.
    """

    def __init__(self) -> None:
        self._pausing = asyncio.Lock()
        self._waiting: dict[str, int] = {}

    async def read(self, body: LimitedBody, client: str) -> bytes:
        """Return a login's body.

        Args:
            body: the request's body.
            client: the client's address.

        Raises:
            HttpError: too many wrong passwords wait, or the body is too large or slow.
        """
        waiting = self._waiting.get(client, 0)
        if waiting >= MAX_WAITING_EACH or sum(self._waiting.values()) >= MAX_WAITING:
            raise HttpError(429, "Too many wrong passwords. Try again in a minute.")
        return await body.read_all()

    async def pause(self, client: str) -> None:
        """Wait before the response to a wrong password."""
        self._waiting[client] = self._waiting.get(client, 0) + 1
        try:
            async with self._pausing:
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]
