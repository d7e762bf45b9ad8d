"""The live camera as a Gradio component: the browser drives it, Gradio only puts it on the page."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from viewer.component import NoStub, join_scripts, read_static

LIVE_SCRIPTS = (
    "shared/png.js",
    "shared/palette.js",
    "shared/statistics.js",
    "shared/elements.js",
    "live/camera_errors.js",
    "live/camera.js",
    "live/label_overlay.js",
    "live/main.js",
)
"""Its scripts, each after the ones it uses."""


class LiveView(gr.HTML, metaclass=NoStub):
    """A camera's picture with its labels laid over it.

    It has no value and no events: frames go to the routes `live/start`, `live/frame` and
    `live/stop` beside the page, one at a time, and come back as label maps.

    Args:
        models: (label, name) of the models that a person may choose.
        elem_id: the element's id on the page.
        **kwargs: anything `gr.HTML` takes.
    """

    def __init__(
        self,
        *,
        models: Sequence[tuple[str, str]] = (),
        elem_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("html_template", read_static("live/live.html"))
        kwargs.setdefault("css_template", read_static("live/live.css"))
        kwargs.setdefault("js_on_load", join_scripts(LIVE_SCRIPTS))
        kwargs.setdefault("apply_default_css", False)
        super().__init__(None, elem_id=elem_id, models=[list(model) for model in models], **kwargs)

    def api_info(self) -> dict[str, Any]:
        """The value's JSON type."""
        return {"type": "object"}
