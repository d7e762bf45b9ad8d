"""Why a call comes to no result: errors carry values, and `public` makes sentences of them."""

from segmentation import ModelError, PixelwiseError


class QueueFullError(PixelwiseError):
    """As many calls wait as may: this one is not let in.

    Args:
        waiting: how many wait.
        seconds: until they are done, where that can be told.
    """

    def __init__(self, waiting: int, seconds: int | None) -> None:
        super().__init__(f"the queue is full: {waiting} waiting, {seconds} s")
        self.waiting = waiting
        self.seconds = seconds


class QueueTimeoutError(PixelwiseError):
    """The turn did not come within the time that one may wait.

    Args:
        waited: seconds that this one has waited.
        waiting: how many others wait.
        seconds: until they are done, where that can be told.
    """

    def __init__(self, waited: float, waiting: int, seconds: int | None) -> None:
        super().__init__(f"no turn within {waited:.0f} s: {waiting} waiting, {seconds} s")
        self.waited = waited
        self.waiting = waiting
        self.seconds = seconds


class ShuttingDownError(PixelwiseError):
    """The page is being closed."""

    def __init__(self) -> None:
        super().__init__("the page is being closed")


class DeadlineError(PixelwiseError):
    """The work did not end within its time.

    Args:
        seconds: that it might have taken.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the work took more than {seconds:g} s")
        self.seconds = seconds


class CancelledError(Exception):
    """Nobody waits for this work any more."""


class NoSuchModelError(ModelError):
    """A visitor has named a model that they cannot have here."""
