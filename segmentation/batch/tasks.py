"""What a worker is asked and what it answers; without torch, which who employs it can spare."""

from collections.abc import Callable
from dataclasses import dataclass, field

from segmentation.batch.journal import Row


@dataclass(frozen=True)
class PhotoTask:
    """One photo to label; plain values, so that it travels.

    Attributes:
        image: the photo's path in the folder, with slashes.
        folder: the folder's full path.
        out: the output folder's full path.
        name: the photo's name there; see `Names`.
    """

    image: str
    folder: str
    out: str
    name: str


@dataclass(frozen=True)
class PhotoOutcome:
    """What became of a task; plain values, so that it travels.

    Attributes:
        image: the task's.
        row: what the journal is told; empty where the photo failed.
        error: why it failed.
        fatal: nothing can be labelled with these settings.
    """

    image: str
    row: Row = field(default_factory=dict)
    error: str = ""
    fatal: bool = False


Label = Callable[[PhotoTask], PhotoOutcome]
"""Labels one photo; never raises but for what ends a process."""

MakeLabel = Callable[[int], Label]
"""Makes a `Label` that uses so many threads; raises `PixelwiseError` where that cannot be."""
