"""What a visitor is told of an error: about their photo everything, about the server nothing.

A message of ours may name a folder (where weights were looked for), and with it an account. Whoever
sits at this machine reads it all; anybody else gets what concerns them, and the log has the rest.
"""

import logging
import re

from segmentation import (
    ImageError,
    ModelError,
    PaletteError,
    PixelwiseError,
    VideoError,
    WeightsError,
)

from . import trouble, words
from .home import asked_at_home
from .ticket import ClosingError, WaitedError

_PATH = re.compile(r"(?<![\w/.:])(?:file:)?(?:/[^\s/'\":,;]+)+/([^\s/'\":,;]+)|\b[A-Za-z]:\\\S+")


class NoSuchModelError(ModelError):
    """A visitor has named a model that they cannot have here."""


def told(log: logging.Logger, error: PixelwiseError, *theirs: type[PixelwiseError]) -> str:
    """An error in a sentence for the one who asks.

    Args:
        log: has the rest, where that is not told.
        error: see there.
        theirs: types of errors, beside the usual ones, that concern the visitor alone.
    """
    return words.error_text(plain(log, error, *theirs))


def plain(log: logging.Logger, error: PixelwiseError, *theirs: type[PixelwiseError]) -> str:
    """As `told`, for within a sentence: the first letter as the error has it."""
    if asked_at_home():
        return str(error)
    usual = (ImageError, VideoError, PaletteError, NoSuchModelError, WaitedError, ClosingError)
    if isinstance(error, (*usual, *theirs)) or type(error) is PixelwiseError:
        return without_folders(str(error))
    if words.is_memory_error(error):
        return words.NO_MEMORY
    trouble.tell(log, "not told to a visitor", error)
    return words.FETCH_FAILED if isinstance(error, WeightsError) else words.MODEL_FAILED


def without_folders(text: str) -> str:
    """A text whose paths are the names of their files alone."""
    return _PATH.sub(lambda match: match[1] or "a file", text)
