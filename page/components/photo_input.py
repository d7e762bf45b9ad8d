"""The page's photo inputs: Gradio's components without Gradio's image decoding."""

import base64
import binascii
from pathlib import Path
from typing import Any

import gradio as gr

from viewer import NoStub, keep_file


class PhotoInput(gr.Image, metaclass=NoStub):
    """A `gr.Image` that returns the uploaded file unchanged.

    Gradio's own preprocessing decodes the image: it would refuse formats that we read, lose the
    upper half of 16-bit samples and meet decompression bombs before our limits apply. Every image
    goes through `segmentation.open_photo` instead. `type` and `image_mode` have no effect.
    """

    is_template = True  # the browser shows Gradio's own image component

    def preprocess(self, payload: Any) -> str | None:
        """Return the path of the uploaded file.

        Args:
            payload: Gradio's image data: a cached file, or a data URL.

        Returns:
            The file's path, or None for no photo.
        """
        if payload is None:
            return None
        if payload.path:
            return payload.path
        head, _, body = (payload.url or "").partition(",")
        try:
            data = base64.b64decode(body, validate=True) if head.endswith(";base64") else b""
        except (binascii.Error, ValueError):
            data = b""
        return str(keep_file(data, "photo", self.GRADIO_CACHE))


class PhotosInput(gr.File, metaclass=NoStub):
    """A `gr.File` that returns each uploaded file unchanged, with its original name.

    Gradio's own preprocessing would create an empty file beside each.
    """

    is_template = True  # the browser shows Gradio's own file component

    def preprocess(self, payload: Any) -> list[tuple[str, str]]:
        """Return the uploaded files.

        Args:
            payload: Gradio's list of files, or None.

        Returns:
            Path and name of each.
        """
        files = [] if payload is None else payload.root
        return [(file.path, file.orig_name or Path(file.path).name) for file in files]
