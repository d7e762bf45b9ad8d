"""Logging in: who has the right word waits for nobody, and wrong ones cost time."""

import asyncio

from page.requests.request_body import HttpError, LimitedBody

MAX_BYTES = 1 << 16
PAUSE_SECONDS = 0.5
MAX_WAITING = 256
"""Wrong tries whose answer is still to come; further ones are not looked at."""
MAX_WAITING_EACH = 128
"""The same, of one address."""


class Logins:
    """Answers wrong words one at a time, so that over time at most two a second can be tried.

    A word is looked at when it has arrived, whoever waits: a body that stands still, and a crowd
    of wrong words, hold nobody up. Tries beyond a number of waiting ones are turned away unseen.
    """

    def __init__(self) -> None:
        self._pausing = asyncio.Lock()
        self._waiting: dict[str, int] = {}

    async def read(self, body: LimitedBody, who: str) -> bytes:
        """A try's body.

        Args:
            body: see there.
            who: its address.

        Raises:
            RefusedError: too many wrong ones wait, or the body is too large or slow.
        """
        each = self._waiting.get(who, 0)
        if each >= MAX_WAITING_EACH or sum(self._waiting.values()) >= MAX_WAITING:
            raise HttpError(429, "Too many wrong passwords. Try again in a minute.")
        return await body.whole()

    async def pause(self, who: str) -> None:
        """To be awaited before a wrong try is answered."""
        self._waiting[who] = self._waiting.get(who, 0) + 1
        try:
            async with self._pausing:
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]
