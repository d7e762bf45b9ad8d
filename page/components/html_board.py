"""The classroom's two Gradio components: figures that react to the pointer, and a mask painter."""

from typing import Any

import gradio as gr

from page.gradio_internals import Dependency, EventListener
from page.theme import read_static
from viewer.component import NoStub

BOARD = '<div class="cl-board"></div>'


class HtmlBoard(gr.HTML, metaclass=NoStub):
    """HTML of our own making, in which photos react to the pointer.

    The value is HTML. A photo with `data-pick` reports clicks as the event `pick`; elements with
    an equal `data-link` are highlighted together; photos in `.cl-linked` share one pointer.

    Args:
        value: HTML.
        elem_id: the element's id on the page.
        **kwargs: anything `gr.HTML` takes.
    """

    def __init__(self, value: str = "", *, elem_id: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("html_template", BOARD)
        kwargs.setdefault("js_on_load", read_static("board.js"))
        kwargs.setdefault("apply_default_css", False)
        super().__init__(value, elem_id=elem_id, **kwargs)

    def pick(self, *args: Any, **kwargs: Any) -> Dependency:
        """Call a function when a pixel is chosen; its `gr.EventData` has y and x in the photo."""
        kwargs.setdefault("trigger_mode", "always_last")
        return EventListener("pick").listener(self, *args, **kwargs)


class MaskPainter(gr.HTML, metaclass=NoStub):
    """A photo to paint on, with a brush, an eraser, undo and a button that submits the mask.

    The value is `{"id", "photo": data URL, "size": [h, w]}`, or None for no photo.

    Args:
        value: see above.
        elem_id: the element's id on the page.
        **kwargs: anything `gr.HTML` takes.
    """

    def __init__(
        self, value: dict[str, Any] | None = None, *, elem_id: str | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("html_template", read_static("painter.html"))
        kwargs.setdefault("js_on_load", read_static("painter.js"))
        kwargs.setdefault("apply_default_css", False)
        super().__init__(value, elem_id=elem_id, **kwargs)

    def submitted(self, *args: Any, **kwargs: Any) -> Dependency:
        """Call a function on submission; its `gr.EventData` has `paint`, a data URL."""
        kwargs.setdefault("trigger_mode", "once")
        return EventListener("submitted").listener(self, *args, **kwargs)

    def api_info(self) -> dict[str, Any]:
        """Return the value's JSON type."""
        return {"type": "object"}
