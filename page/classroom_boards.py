"""The classroom's two Gradio components: a board of pictures, and an easel to paint on."""

from pathlib import Path
from typing import Any

import gradio as gr

from viewer.component import NoStub

from .gradio_internals import Dependency, EventListener

FOLDER = Path(__file__).parent
BOARD = '<div class="cl-board"></div>'


class Board(gr.HTML, metaclass=NoStub):
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
        kwargs.setdefault("js_on_load", _script("classroom_board.js"))
        kwargs.setdefault("apply_default_css", False)
        super().__init__(value, elem_id=elem_id, **kwargs)

    def pick(self, *args: Any, **kwargs: Any) -> Dependency:
        """Listen to a pixel being chosen; a `gr.EventData` argument has y and x of the photo."""
        kwargs.setdefault("trigger_mode", "always_last")
        return EventListener("pick").listener(self, *args, **kwargs)


class Easel(gr.HTML, metaclass=NoStub):
    """A photo to paint on, with a brush, an eraser, undo and a button that asks for a grade.

    The value is `{"id", "photo": data address, "size": [h, w]}`, or None for an empty easel.

    Args:
        value: see above.
        elem_id: the element's id on the page.
        **kwargs: anything `gr.HTML` takes.
    """

    def __init__(
        self, value: dict[str, Any] | None = None, *, elem_id: str | None = None, **kwargs: Any
    ) -> None:
        template = (FOLDER / "classroom_easel.html").read_text(encoding="utf-8")
        kwargs.setdefault("html_template", template)
        kwargs.setdefault("js_on_load", _script("classroom_easel.js"))
        kwargs.setdefault("apply_default_css", False)
        super().__init__(value, elem_id=elem_id, **kwargs)

    def graded(self, *args: Any, **kwargs: Any) -> Dependency:
        """Listen to the button; a `gr.EventData` argument has paint, the mask as a data address."""
        kwargs.setdefault("trigger_mode", "once")
        return EventListener("graded").listener(self, *args, **kwargs)

    def api_info(self) -> dict[str, Any]:
        """The value's JSON type."""
        return {"type": "object"}


def _script(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
