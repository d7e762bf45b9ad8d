"""What all who answer visitors share: the service, the limits, and how an error is told."""

import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from page.service import error_messages
from page.service.labeling_service import LabelingService
from page.service.queue.sessions import Sessions
from viewer.files import keep_file

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger(__name__)


class BaseHandlers:
    """Base of what answers visitors.

    Args:
        service: answers the photos.
        cache: Gradio's folder for files that visitors may fetch.
        sessions: who has left.
    """

    def __init__(
        self, service: LabelingService, cache: str, sessions: Sessions | None = None
    ) -> None:
        self.service = service
        self.cache = cache
        self.sessions = sessions or Sessions()

    def limits(self, request: "gr.Request | None") -> dict[str, Any]:
        """How long a request may work, and how to know that its visitor has left."""
        session = getattr(request, "session_hash", None)
        return {
            "seconds": self.service.time_limit,
            "is_cancelled": lambda: self.sessions.has_disconnected(session),
        }

    def told(self, error: Exception) -> str:
        """What the visitor is told of an error; see `public.user_message`."""
        return error_messages.user_message(log, error)

    def file(self, data: bytes, name: str) -> str:
        """The path of a file that visitors may fetch.

        Args:
            data: what is in it.
            name: what they will see it called.
        """
        return str(keep_file(data, name, self.cache))


def png(image: np.ndarray) -> bytes:
    """A picture as a PNG file: (H, W, 3) uint8 RGB, or (H, W) uint8 grey."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
