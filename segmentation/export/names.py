"""Choose names for the two files of each photo."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

LABELS, OVERLAY = "_labels.png", "_overlay.png"
MAX_STEM_BYTES = 200  # file names have at most 255 bytes, and the output's name is longer


class OutputNames:
    """Assigns the names of output files: unique, and never the name of an input photo.

    A name is a path relative to the output folder, with slashes and without suffix: "cats/tom" has
    the files "cats/tom_labels.png" and "cats/tom_overlay.png".

    Args:
        out: the output folder.
        photos: paths of the input photos, which are never overwritten.
    """

    def __init__(self, out: Path, photos: Iterable[str | os.PathLike[str]]) -> None:
        self._out = out
        self._taken: set[str] = set()
        self._photos = {os.path.abspath(photo) for photo in photos}

    def reserve(self, name: str) -> None:
        """Exclude a name from later assignments."""
        self._taken.add(name.casefold())  # some file systems ignore case

    def assign(self, photo: str | os.PathLike[str], below: str = "") -> str:
        """Return a new name for a photo: its stem, with a number if that is taken.

        Args:
            photo: path of the photo; only its stem is used.
            below: subfolder of the output folder, with slashes.
        """
        stem = os.fsdecode(os.fsencode(Path(photo).stem)[:MAX_STEM_BYTES])
        base = str(PurePosixPath(below, stem))
        name, number = base, 1
        while not self._is_free(name):
            number += 1
            name = f"{base}_{number}"
        self.reserve(name)
        return name

    def _is_free(self, name: str) -> bool:
        if name.casefold() in self._taken:
            return False
        return not any(os.path.abspath(path) in self._photos for path in paths_of(self._out, name))


def paths_of(out: str | os.PathLike[str], name: str) -> tuple[Path, Path]:
    """Return the paths of a name's label map and overlay in an output folder."""
    return Path(out, name + LABELS), Path(out, name + OVERLAY)
