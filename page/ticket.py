"""One visitor's place in the line, and the reasons to leave it without an answer."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from segmentation import PixelwiseError


class WaitedError(PixelwiseError):
    """The turn did not come within the time that one may wait."""


class ClosingError(PixelwiseError):
    """The page is being closed."""


@dataclass(eq=False)
class Ticket:
    """One place in the line.

    Attributes:
        model, size: see `fair.Waits`.
        item: what is to be done, for those who gather tickets.
        outcome: what the one who gathered this ticket made of its item.
        prepares: what takes its time is the model and not a photo.
        typical: it is a photo, as those are that people wait with; a camera's frame is not.
        called: set when its turn has come, or never will.
        since: when it came.
        began: when its turn began; `counts_from` is later where the model had to be loaded.
        together: how many share its turn.
        leader: whose turn it shares, or None where the turn is its own.
        charged: seconds that its model was charged in advance.
    """

    model: str
    size: int | None = None
    item: Any = None
    outcome: Any = None
    prepares: bool = False
    typical: bool = True
    called: threading.Event = field(default_factory=threading.Event)
    since: float = field(default_factory=time.monotonic)
    began: float = 0.0
    counts_from: float = 0.0
    together: int = 1
    leader: "Ticket | None" = None
    charged: float = 0.0

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """While the block runs, time passes that the next photo of this model will not take."""
        self.prepares = True
        try:
            yield
        finally:
            self.prepares = False
            self.counts_from = time.monotonic()
