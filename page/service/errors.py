"""Typed errors of the service; they carry values, and `error_messages` words them."""

from segmentation import ModelError, PixelwiseError


class QueueFullError(PixelwiseError):
    """The queue is full, and this call was refused.

    Args:
        waiting: how many calls are queued.
        seconds: estimated time until they are done; None where nothing was measured yet.
    """

    def __init__(self, waiting: int, seconds: int | None) -> None:
        super().__init__(f"the queue is full: {waiting} waiting, {seconds} s")
        self.waiting = waiting
        self.seconds = seconds


class QueueTimeoutError(PixelwiseError):
    """The call timed out in the queue.

    Args:
        waited: seconds that this call was queued.
        waiting: how many calls are queued.
        seconds: estimated time until they are done; None where nothing was measured yet.
    """

    def __init__(self, waited: float, waiting: int, seconds: int | None) -> None:
        super().__init__(
            f"timed out after {waited:.0f} s in the queue: {waiting} waiting, {seconds} s"
        )
        self.waited = waited
        self.waiting = waiting
        self.seconds = seconds


class ShuttingDownError(PixelwiseError):
    """The page is being closed."""

    def __init__(self) -> None:
        super().__init__("the page is being closed")


class DeadlineError(PixelwiseError):
    """The work exceeded its time limit.

    Args:
        seconds: the limit.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the work took more than {seconds:g} s")
        self.seconds = seconds


class CancelledError(Exception):
    """The work was cancelled: its visitor has left or pressed Cancel."""


class NoSuchModelError(ModelError):
    """The visitor chose a model that this page does not offer them."""
