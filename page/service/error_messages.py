"""What a visitor is told of an error: about their photo everything, about the server nothing.

A message of ours may name a folder (where weights were looked for), and with it an account. Whoever
sits at this machine reads it all; anybody else gets what concerns them, and the log has the rest.
"""

import logging
import re

from page import texts
from page.requests.locality import asked_at_home
from page.service import error_log
from page.service.background import free_memory
from page.service.errors import (
    DeadlineError,
    NoSuchModelError,
    QueueFullError,
    QueueTimeoutError,
    ShuttingDownError,
)
from segmentation import (
    ImageError,
    PaletteError,
    PixelwiseError,
    VideoError,
    WeightsError,
)

_PATH = re.compile(r"(?<![\w/.:])(?:file:)?(?:/[^\s/'\":,;]+)+/([^\s/'\":,;]+)|\b[A-Za-z]:\\\S+")


def user_message(
    log: logging.Logger, error: Exception, otherwise: str = texts.INTERNAL_ERROR
) -> str:
    """What the visitor is told of any error; what only we should know goes to the log.

    Args:
        log: has the rest.
        error: see there.
        otherwise: what to say of an error that is not ours.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        log.warning("out of memory: %s", error)
        free_memory()
        return texts.NO_MEMORY
    if isinstance(error, PixelwiseError):
        if texts.is_memory_error(error):
            free_memory()
        return told(log, error)
    error_log.tell(log, "labelling failed", error)
    return otherwise


def told(log: logging.Logger, error: PixelwiseError) -> str:
    """An error of ours in a sentence for the one who asks.

    Args:
        log: has the rest, where that is not told.
        error: see there.
    """
    return texts.error_text(plain(log, error))


def plain(log: logging.Logger, error: PixelwiseError) -> str:
    """As `told`, for within a sentence: the first letter as the error has it."""
    if text := _of_values(error):
        return text
    if asked_at_home():
        return str(error)
    usual = (ImageError, VideoError, PaletteError, NoSuchModelError)
    if isinstance(error, usual) or type(error) is PixelwiseError:
        return without_folders(str(error))
    if texts.is_memory_error(error):
        return texts.NO_MEMORY
    error_log.tell(log, "not told to a visitor", error)
    return texts.FETCH_FAILED if isinstance(error, WeightsError) else texts.MODEL_FAILED


def without_folders(text: str) -> str:
    """A text whose paths are the names of their files alone."""
    return _PATH.sub(lambda match: match[1] or "a file", text)


def _of_values(error: PixelwiseError) -> str:
    """The sentence for an error that carries values; "" for another one."""
    if isinstance(error, QueueFullError):
        return texts.busy(error.waiting, error.seconds)
    if isinstance(error, QueueTimeoutError):
        return f"{texts.queue_timeout(error.waited)} {texts.busy(error.waiting, error.seconds)}"
    if isinstance(error, ShuttingDownError):
        return texts.CLOSING
    return texts.too_long(error.seconds) if isinstance(error, DeadlineError) else ""
