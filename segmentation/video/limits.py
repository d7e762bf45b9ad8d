"""Limits of a clip; does not import torch, so that the page can show them while torch loads."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClipLimits:
    """Limits of the clips to label.

    Attributes:
        seconds: maximum length.
        megabytes: maximum file size, in units of 2^20 bytes.
        source_pixels: maximum number of pixels of a frame; 4K has up to 8.8 million.
        longest: maximum length of the labelled clip's longer side in pixels; larger frames are
            scaled down.
        fps: maximum frames per second of the labelled clip; extra frames are dropped.
    """

    seconds: float = 20.0
    megabytes: float = 50.0
    source_pixels: int = 9_000_000
    longest: int = 1280
    fps: float = 15.0
