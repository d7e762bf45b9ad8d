"""Tasks and outcomes of a batch worker; importable without torch."""

from collections.abc import Callable
from dataclasses import dataclass, field

from segmentation.batch.journal import Row


@dataclass(frozen=True)
class PhotoTask:
    """One photo to label; plain values that can be pickled.

    Attributes:
        image: the photo's path in the folder, with slashes.
        folder: the folder's full path.
        out: the output folder's full path.
        name: the photo's name there; see `OutputNames`.
    """

    image: str
    folder: str
    out: str
    name: str


@dataclass(frozen=True)
class PhotoOutcome:
    """The result of a task; plain values that can be pickled.

    Attributes:
        image: the task's.
        row: its journal row; empty if the photo failed.
        error: why it failed.
        fatal: nothing can be labelled with these settings.
    """

    image: str
    row: Row = field(default_factory=dict)
    error: str = ""
    fatal: bool = False


Label = Callable[[PhotoTask], PhotoOutcome]
"""Labels one photo; raises only what ends a process, such as KeyboardInterrupt."""

MakeLabel = Callable[[int], Label]
"""Makes a `Label` that uses this many threads; raises `PixelwiseError` if it cannot."""
