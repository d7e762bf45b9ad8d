"""The classroom's two Gradio components: pictures to point at, and a photo to paint on."""

from typing import Any

import gradio as gr

from page.gradio_internals import Dependency, EventListener
from page.theme import read_static
from viewer.component import NoStub

BOARD = '<div class="cl-board"></div>'


class HtmlBoard(gr.HTML, metaclass=NoStub):
    """HTML of our own making, in which photos answer to the pointer.

    The value is HTML. A photo with `data-pick` reports clicks as the event `pick`; elements with
    an equal `data-link` light up together; photos in `.cl-linked` share one pointer.

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
        """Listen to a pixel being chosen; a `gr.EventData` argument has y and x of the photo."""
        kwargs.setdefault("trigger_mode", "always_last")
        return EventListener("pick").listener(self, *args, **kwargs)


class MaskPainter(gr.HTML, metaclass=NoStub):
    """A photo to paint on, with a brush, an eraser, undo and a button that asks for a grade.

    The value is `{"id", "photo": data address, "size": [h, w]}`, or None for nothing.

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
        """Listen to the button; a `gr.EventData` argument has paint, the mask as a data address."""
        kwargs.setdefault("trigger_mode", "once")
        return EventListener("submitted").listener(self, *args, **kwargs)

    def api_info(self) -> dict[str, Any]:
        """The value's JSON type."""
        return {"type": "object"}
