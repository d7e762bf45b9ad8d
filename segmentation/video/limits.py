"""What a clip may be; known without torch, so that the page can say it at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClipLimits:
    """What a clip may be.

    Attributes:
        seconds: longest clip.
        megabytes: largest file, in units of 2^20 bytes.
        source_pixels: largest frame, in pixels; a 4K film has 8.8 million at most.
        longest: the longer side of the labelled clip in pixels; larger frames are made smaller.
        fps: frames a second of the labelled clip at most; more are thinned out.
    """

    seconds: float = 20.0
    megabytes: float = 50.0
    source_pixels: int = 9_000_000
    longest: int = 1280
    fps: float = 15.0
