"""The label-map viewer for Gradio: what a network saw, explored without asking the server again.

`LabelViewer` shows a result and, with `PixelAnswer`, the distribution at the pixel pinned in it;
`PixelBars` shows such a distribution by itself; `build_value` and `pixel_value` make their values
from a `segmentation.Segmentation`.
"""

from viewer.component import LabelViewer, NoStub, PixelAnswer, PixelBars
from viewer.live import LiveView
from viewer.payload import build_value, keep_file, pixel_value

__all__ = [
    "LabelViewer",
    "LiveView",
    "NoStub",
    "PixelAnswer",
    "PixelBars",
    "build_value",
    "keep_file",
    "pixel_value",
]
