"""The Gradio components: the label-map viewer, and two ways to show a pixel's distribution."""

import re
from abc import ABCMeta
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta, updateable
from gradio.events import Dependency, EventListener

STATIC = Path(__file__).parent / "static"
SCRIPTS = (
    "shared/elements.js",
    "shared/png.js",
    "shared/palette.js",
    "shared/regions.js",
    "label_viewer/viewport.js",
    "label_viewer/sampling.js",
    "label_viewer/renderer.js",
    "shared/statistics.js",
    "label_viewer/canvas.js",
    "label_viewer/input.js",
    "shared/verdict.js",
    "shared/headline.js",
    "shared/legend.js",
    "label_viewer/hidden_classes.js",
    "label_viewer/controls.js",
    "label_viewer/names.js",
    "saving/mask.js",
    "saving/coco.js",
    "saving/cutout.js",
    "saving/handing.js",
    "saving/cut_panel.js",
    "saving/export.js",
    "saving/menu.js",
    "label_viewer/loader.js",
    "pixel_card/pixel.js",
    "pixel_card/place.js",
    "pixel_card/card.js",
    "label_viewer/status_overlay.js",
    "label_viewer/map.js",
    "label_viewer/main.js",
)
"""The viewer's scripts, each after the ones it uses."""
STYLES = tuple(
    f"label_viewer/styles/{name}.css"
    for name in ("top", "stage", "readout", "card", "controls", "layout")
)
"""The viewer's rules, those for narrow screens last."""
ANSWER_SCRIPTS = ("pixel_card/answer.js",)
BARS_SCRIPTS = ("shared/elements.js", "shared/statistics.js", "bars/main.js")


def join_scripts(names: Sequence[str]) -> str:
    """Join modules into the one function body that `gr.HTML` runs.

    Each file is an ES module, so that Node and a browser can load it alone; in the joined text
    they share one scope, and `import` and `export` have nothing left to do.

    Args:
        names: files below `viewer/static`, each after the ones it uses.

    Returns:
        The text without import and export statements.
    """
    parts = []
    for name in names:
        text = read_static(name)
        text = re.sub(r"^import .*?;\n", "", text, flags=re.MULTILINE | re.DOTALL)
        parts.append(re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return "\n".join(parts)


def read_static(name: str) -> str:
    """Read a text file below `viewer/static`."""
    return (STATIC / name).read_text(encoding="utf-8")


class NoStub(ComponentMeta):
    """Gradio's metaclass, without the `.pyi` file that it writes beside each component's source."""

    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> type:
        """Make the class as Gradio does, events and all, but write nothing."""
        if "__init__" in attrs:
            attrs["__init__"] = updateable(attrs["__init__"])
        return ABCMeta.__new__(cls, name, bases, attrs)


class LabelViewer(gr.HTML, metaclass=NoStub):
    """A photo with its label map: hover, ask, fade, toggle, compare, zoom, cut out, save.

    The value is what `build_value` makes, and may have the photo's file name as `name`, which saved
    files are called after; `{"status": "working", "text": ..., "fraction": ...}`
    and `{"status": "error", "text": ...}` cover the last picture, None empties the viewer.

    Events beside Gradio's own: `pin` and `unpin`.

    Args:
        value: see above.
        empty_title: what the empty stage says.
        empty_text: what the empty stage says below.
        elem_id: the element's id on the page.
        **kwargs: anything `gr.HTML` takes.
    """

    def __init__(
        self,
        value: dict[str, Any] | None = None,
        *,
        empty_title: str = "Show it a photo",
        empty_text: str = "It colours everything it knows.",
        elem_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("html_template", read_static("label_viewer/viewer.html"))
        kwargs.setdefault("css_template", "\n".join(map(read_static, STYLES)))
        kwargs.setdefault("js_on_load", join_scripts(SCRIPTS))
        kwargs.setdefault("apply_default_css", False)
        super().__init__(
            value, elem_id=elem_id, empty_title=empty_title, empty_text=empty_text, **kwargs
        )

    def pin(self, *args: Any, **kwargs: Any) -> Dependency:
        """Listen to a pixel being pinned, or its pin being moved.

        A `gr.EventData` argument has y and x (the photo's own pixels) and id (the value's).
        Takes what every Gradio event takes; `trigger_mode` is "multiple" unless given. The pin may
        move on while an answer is under way, and Gradio's "always_last" would now and then ask
        about the first place again instead of the last; answers say which pixel they are about.
        """
        kwargs.setdefault("trigger_mode", "multiple")
        return EventListener("pin").listener(self, *args, **kwargs)

    def unpin(self, *args: Any, **kwargs: Any) -> Dependency:
        """Listen to the pin being removed, by a person or by a result of another size."""
        kwargs.setdefault("trigger_mode", "always_last")
        return EventListener("unpin").listener(self, *args, **kwargs)

    def api_info(self) -> dict[str, Any]:
        """The value's JSON type."""
        return {"type": "object"}


class PixelAnswer(gr.HTML, metaclass=NoStub):
    """Hands the server's answer to a `pin` event to the page's `LabelViewer`; shows nothing.

    The value is what `pixel_value` makes, or `{"error": text}`. It is a component of its own, as
    an answer and a new result may arrive together, and neither may replace the other.

    Args:
        value: see above.
        elem_id: the element's id on the page.
        **kwargs: anything `gr.HTML` takes.
    """

    def __init__(
        self, value: dict[str, Any] | None = None, *, elem_id: str | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("html_template", "<span hidden></span>")
        kwargs.setdefault("js_on_load", join_scripts(ANSWER_SCRIPTS))
        kwargs.setdefault("visible", "hidden")
        super().__init__(value, elem_id=elem_id, **kwargs)

    def api_info(self) -> dict[str, Any]:
        """The value's JSON type."""
        return {"type": "object"}


class PixelBars(gr.HTML, metaclass=NoStub):
    """The probabilities of all classes at one pixel, with margin and entropy in words.

    The value is what `pixel_value` makes; `{"error": text}` shows the text, None the invitation.

    Args:
        value: see above.
        empty_text: what it says while no pixel is pinned.
        elem_id: the element's id on the page.
        **kwargs: anything `gr.HTML` takes.
    """

    def __init__(
        self,
        value: dict[str, Any] | None = None,
        *,
        empty_text: str = "Click a pixel in the picture to see what else it might have been.",
        elem_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("html_template", read_static("bars/bars.html"))
        kwargs.setdefault("css_template", read_static("bars/bars.css"))
        kwargs.setdefault("js_on_load", join_scripts(BARS_SCRIPTS))
        kwargs.setdefault("apply_default_css", False)
        super().__init__(value, elem_id=elem_id, empty_text=empty_text, **kwargs)

    def api_info(self) -> dict[str, Any]:
        """The value's JSON type."""
        return {"type": "object"}
