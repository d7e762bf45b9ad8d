"""What all who answer visitors share: the engine, the limits, and how an error is told."""

import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from segmentation import PixelwiseError
from viewer.files import keep_file

from . import public, trouble, words
from .crowd import Crowd
from .engine import Engine
from .work import TooLongError, free_memory

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger(__name__)


class Service:
    """Base of what answers visitors.

    Args:
        engine: answers the photos.
        cache: Gradio's folder for files that visitors may fetch.
        crowd: who waits, and for how long they may.
    """

    def __init__(self, engine: Engine, cache: str, crowd: Crowd | None = None) -> None:
        self.engine = engine
        self.cache = cache
        self.crowd = crowd or Crowd(engine.line)

    def limits(self, request: "gr.Request | None") -> dict[str, Any]:
        """How long a request may work, and how to know that its visitor has left."""
        session = getattr(request, "session_hash", None)
        return {"seconds": self.crowd.time_limit, "gone": lambda: self.crowd.has_left(session)}

    def told(self, error: Exception) -> str:
        """What the visitor is told of an error; what only we should know goes to the log."""
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            log.warning("out of memory: %s", error)
            free_memory()
            return words.NO_MEMORY
        if isinstance(error, PixelwiseError):
            if words.is_memory_error(error):
                free_memory()
            return public.told(log, error, TooLongError)
        trouble.tell(log, "labelling failed", error)
        return words.BUSY

    def file(self, data: bytes, name: str) -> str:
        """The path of a file that visitors may fetch.

        Args:
            data: what is in it.
            name: what they will see it called.
        """
        return str(keep_file(data, name, self.cache))


def session_of(request: "gr.Request | None") -> str:
    """The visitor who asks, for whom the answer is remembered.

    "" for a call without a session of its own: Gradio makes one up, and nobody comes back with it.
    """
    if request is None or "/call/" in request.request.scope["path"]:
        return ""
    return request.session_hash or ""


def png(image: np.ndarray) -> bytes:
    """A picture as a PNG file: (H, W, 3) uint8 RGB, or (H, W) uint8 grey."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
