"""Limits of a clip; without torch, so that the page can show them while torch loads."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClipLimits:
    """Largest clip to label.

    Attributes:
        seconds: longest clip.
        megabytes: largest file, in units of 2^20 bytes.
        source_pixels: largest frame, in pixels; a 4K film has 8.8 million at most.
        longest: the longer side of the labelled clip in pixels; larger frames are scaled down.
        fps: most frames a second of the labelled clip; extra frames are dropped.
    """

    seconds: float = 20.0
    megabytes: float = 50.0
    source_pixels: int = 9_000_000
    longest: int = 1280
    fps: float = 15.0
