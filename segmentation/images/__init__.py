"""Decode image files to (H, W, 3) uint8 RGB arrays, and encode class maps as PNG files.

`photo.py` opens a photo; `formats/` has this project's own readers. Imports the colour tables and
errors of `segmentation`, never a network.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """Load `open_photo` on first use, so that the decoder's process does not import it."""
    if name == "open_photo":
        from segmentation.images.photo import open_photo

        return open_photo
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
