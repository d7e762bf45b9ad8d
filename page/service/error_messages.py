"""Messages for visitors: everything about their photo, nothing about the server.

An error's own message may name a folder (where weights were searched), and with it an account. A
visitor on this machine sees the full message. Others see what concerns them; the rest is logged.
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
    """Return the message of any error for a visitor, and log what is left out of it.

    Args:
        log: receives the rest.
        error: the error.
        otherwise: the message for an error that is not a `PixelwiseError`.
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
    """Return the message of a typed error as a sentence.

    Args:
        log: receives what the message leaves out.
        error: the error.
    """
    return texts.error_text(plain(log, error))


def plain(log: logging.Logger, error: PixelwiseError) -> str:
    """Return the same for use within a sentence: the first letter is left as it is."""
    if text := _of_values(error):
        return text
    if asked_at_home():
        return str(error)
    usual = (ImageError, VideoError, PaletteError, NoSuchModelError)
    if isinstance(error, usual) or type(error) is PixelwiseError:
        return without_folders(str(error))
    if texts.is_memory_error(error):
        return texts.NO_MEMORY
    error_log.tell(log, "not shown to the visitor", error)
    return texts.FETCH_FAILED if isinstance(error, WeightsError) else texts.MODEL_FAILED


def without_folders(text: str) -> str:
    """Return a text in which each path is reduced to its file name."""
    return _PATH.sub(lambda match: match[1] or "a file", text)


def _of_values(error: PixelwiseError) -> str:
    """Return the message of an error that carries values; "" for any other."""
    if isinstance(error, QueueFullError):
        return texts.busy(error.waiting, error.seconds)
    if isinstance(error, QueueTimeoutError):
        return f"{texts.queue_timeout(error.waited)} {texts.busy(error.waiting, error.seconds)}"
    if isinstance(error, ShuttingDownError):
        return texts.CLOSING
    return texts.too_long(error.seconds) if isinstance(error, DeadlineError) else ""
