"""Base of the classes that handle visitors' events and programs' calls."""

import io
import logging

import numpy as np
from PIL import Image

from page.service import error_messages
from page.service.labeling_service import LabelingService
from page.service.queue.sessions import Sessions
from viewer import keep_file

log = logging.getLogger(__name__)


class BaseHandlers:
    """What handlers share: the service, the file cache and the connected sessions.

    Args:
        service: labels the photos.
        cache: Gradio's folder for files that visitors may download.
        sessions: which visitors have left.
    """

    def __init__(
        self, service: LabelingService, cache: str, sessions: Sessions | None = None
    ) -> None:
        self.service = service
        self.cache = cache
        self.sessions = sessions or Sessions()

    def error_text(self, error: Exception) -> str:
        """Return the text for an error; see `error_messages.user_message`."""
        return error_messages.user_message(log, error)

    def file(self, data: bytes, name: str) -> str:
        """Write a file that visitors may download, and return its path.

        Args:
            data: its content.
            name: the name that the download gets.
        """
        return str(keep_file(data, name, self.cache))


def png(image: np.ndarray) -> bytes:
    """Encode an (H, W, 3) uint8 RGB or (H, W) uint8 grey image as PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
