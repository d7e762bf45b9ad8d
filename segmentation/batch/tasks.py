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
        image: `PhotoTask.image`.
        row: its journal row; empty if the photo failed.
        error: reason of a failure, else empty.
        fatal: whether no photo can be labelled with these settings.
    """

    image: str
    row: Row = field(default_factory=dict)
    error: str = ""
    fatal: bool = False


Label = Callable[[PhotoTask], PhotoOutcome]
"""Labels one photo; raises only exceptions that end a process, such as KeyboardInterrupt."""

MakeLabel = Callable[[int], Label]
"""Makes a `Label` that uses this many threads; raises `PixelwiseError` if it cannot."""
