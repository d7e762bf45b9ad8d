"""The page's photo inputs: components that return uploaded files unchanged."""

import base64
import binascii
from pathlib import Path
from typing import Any

import gradio as gr

from page.gradio_internals import Dependency, EventListener
from page.storage.temp_files import is_inside
from page.theme import read_static
from segmentation.images.file_types import sniff
from viewer import NoStub, keep_file
from viewer.component import join_scripts

_SHOWN = frozenset(("PNG", "WEBP", "GIF", "BMP", "AVIF"))
_TURNS = (b"eXIf", b"EXIF", b"Exif", b"Orientation", b"irot", b"imir")
"""Bytes that occur in a file with an orientation."""
SCRIPTS = ("decode", "upload", "camera", "input")
"""The photo input's scripts, each after the ones it uses."""


class UploadedPhoto(str):
    """The path of an uploaded photo.

    Attributes:
        is_shown: whether the browser shows the photo from its own copy.
    """

    is_shown = False


def browser_shows(path: str) -> bool:
    """Return whether every browser shows a file in the orientation that `open_photo` gives it.

    Browsers apply the EXIF orientation of JPEG files. Not all apply that of other formats, and most
    cannot show TIFF and HEIC.
    """
    with open(path, "rb") as file:
        data = file.read()
    kind = sniff(data[:4096])
    turned = any(mark in data for mark in _TURNS) if kind in _SHOWN else True
    return kind == "JPEG" or not turned


class PhotoInput(gr.HTML, metaclass=NoStub):
    """Takes one photo: chosen, dropped, pasted, or taken with a camera.

    The browser shows the file at once and sends it as it came. The value is
    `{"photo": an uploaded file, "is_shown": whether the browser can show it}`, or None.

    Args:
        value: the path of a file in Gradio's cache, or None.
        max_mb: megabytes that a photo may have.
        invite: the text beside the buttons before the first photo.
        privacy: where a photo goes, and when it is deleted.
        elem_id: the element's id on the page.
        **kwargs: anything `gr.HTML` takes.
    """

    def __init__(
        self,
        value: str | None = None,
        *,
        max_mb: float = 32.0,
        invite: str = "",
        privacy: str = "",
        elem_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("html_template", read_static("photo/input.html"))
        own = [read_static(f"photo/{name}.js") for name in SCRIPTS]
        kwargs.setdefault("js_on_load", "\n".join([join_scripts(["live/camera_errors.js"]), *own]))
        kwargs.setdefault("apply_default_css", False)
        said = {"invite": invite, "privacy": privacy, "max_mb": max_mb}
        super().__init__(value, elem_id=elem_id, **said, **kwargs)

    def chosen(self, *args: Any, **kwargs: Any) -> Dependency:
        """Listen to an uploaded photo that is to be labelled."""
        return EventListener("chosen").listener(self, *args, **kwargs)

    def cancel(self, *args: Any, **kwargs: Any) -> Dependency:
        """Listen to the visitor cancelling the photo in progress."""
        return EventListener("cancel").listener(self, *args, **kwargs)

    def preprocess(self, payload: Any) -> UploadedPhoto | None:
        """Return the path of the uploaded file.

        Args:
            payload: the browser's value.

        Returns:
            The file's path, or None for no photo.
        """
        payload = payload if isinstance(payload, dict) else {}
        file = payload.get("photo", payload)  # a file alone, as programs send it
        path = file.get("path") if isinstance(file, dict) else None
        if not isinstance(path, str) or not is_inside(path, Path(self.GRADIO_CACHE)):
            return None
        photo = UploadedPhoto(path)
        photo.is_shown = payload.get("is_shown") is True
        return photo

    def postprocess(self, value: Any) -> Any:
        """Return the browser's value for a file in Gradio's cache."""
        if not isinstance(value, str):
            return value
        meta = {"_type": "gradio.FileData"}
        file = {"path": value, "orig_name": Path(value).name, "meta": meta}
        return {"photo": file, "is_shown": True}

    def api_info(self) -> dict[str, Any]:
        """The value's JSON type."""
        return {"type": "object"}


class ImageValue(gr.Image, metaclass=NoStub):
    """The photo of an endpoint for programs: a `gr.Image` that returns the file unchanged.

    Gradio's own preprocessing decodes the picture: it would refuse formats that we read, lose the
    upper half of 16-bit samples and meet decompression bombs before our limits do. Every picture
    goes through `segmentation.open_photo` instead. `type` and `image_mode` have no effect here.
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


class ExampleGallery(gr.HTML, metaclass=NoStub):
    """Labelled thumbnails to choose a photo from.

    The value is `{"examples": [{"name", "title", "told", "tricky", "photo", "thumb"}, ...]}`,
    photo and thumb being files.

    Args:
        value: see above.
        elem_id: the element's id on the page.
        **kwargs: anything `gr.HTML` takes.
    """

    def __init__(
        self, value: dict[str, Any] | None = None, *, elem_id: str | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("html_template", read_static("photo/gallery.html"))
        kwargs.setdefault("js_on_load", read_static("photo/gallery.js"))
        kwargs.setdefault("apply_default_css", False)
        super().__init__(value, elem_id=elem_id, **kwargs)

    def api_info(self) -> dict[str, Any]:
        """The value's JSON type."""
        return {"type": "object"}


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
