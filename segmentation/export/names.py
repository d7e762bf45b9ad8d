"""Names for the two files of each photo."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

LABELS, OVERLAY = "_labels.png", "_overlay.png"
MAX_STEM_BYTES = 200  # names may have 255 bytes, and ours are longer than the photo's


class OutputNames:
    """Names for the files of each photo; none stands for two photos, none is itself a photo.

    A name is relative to the output folder, with slashes, and without its ending: "cats/tom" has
    the files "cats/tom_labels.png" and "cats/tom_overlay.png".

    Args:
        out: The output folder.
        photos: The photos' paths, which are never overwritten.
    """

    def __init__(self, out: Path, photos: Iterable[str | os.PathLike[str]]) -> None:
        self._out = out
        self._taken: set[str] = set()
        self._photos = {os.path.abspath(photo) for photo in photos}

    def reserve(self, name: str) -> None:
        """Give a name to nobody else."""
        self._taken.add(name.casefold())  # some disks do not tell capitals apart

    def assign(self, photo: str | os.PathLike[str], below: str = "") -> str:
        """A photo's name: its stem, numbered where that is taken.

        Args:
            photo: Its path, of which the stem counts.
            below: The folder in the output folder, with slashes.
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
    """Label map and overlay of a name in an output folder."""
    return Path(out, name + LABELS), Path(out, name + OVERLAY)
