"""Several labelled photos in one ZIP: label maps, overlays, a table and the facts."""

import io
import json
import re
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

import numpy as np
from PIL import Image

from segmentation.errors import PixelwiseError
from segmentation.export.csv_table import csv_bytes
from segmentation.export.records import SCHEMA, result_facts
from segmentation.images.indexed_png import write_indexed_png
from segmentation.inference.result import Segmentation
from segmentation.overlay import blend
from segmentation.palette import colorize

OVERLAY_ALPHA = 0.5
OVERLAY_QUALITY = 90
MAX_STEM = 60
COLUMNS = ("photo", "index", "name", "pixels", "fraction", "confidence")
_NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP can tell
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # of Windows


class BundleFullError(PixelwiseError):
    """The ZIP has reached its size."""


@dataclass(frozen=True, eq=False)
class EncodedResult:
    """One photo, ready for the ZIP.

    Attributes:
        labels: an indexed PNG at the photo's size.
        overlay: a JPEG at the photo's size, without metadata.
        facts: `segmentation.export.records.result_facts` and the notes.
    """

    labels: bytes
    overlay: bytes
    facts: dict[str, Any]


def pack(
    image: np.ndarray, result: Segmentation, palette: np.ndarray, notes: Sequence[str] = ()
) -> EncodedResult:
    """Encode a labelled photo.

    Args:
        image: (H, W, 3) uint8 RGB.
        result: its labels.
        palette: (N, 3) uint8 RGB.
        notes: what a person should know of the answer.
    """
    file = io.BytesIO()
    colors = colorize(result.class_map, palette)
    overlay = Image.fromarray(blend(image, colors, OVERLAY_ALPHA))
    overlay.save(file, "JPEG", quality=OVERLAY_QUALITY)
    facts = {**result_facts(result), "notes": list(notes)}
    return EncodedResult(write_indexed_png(result.class_map, palette), file.getvalue(), facts)


class ResultArchive:
    """Writes the ZIP: photo by photo, and `classes.csv` and `facts.json` at the end.

    Names are made of the uploads' names and carry nothing else of them: no folder, no date.

    Use it in a `with` statement.

    Args:
        file: where to, open for writing and seeking.
        max_bytes: how large it may become, but for the table and the facts.
    """

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)  # pictures are packed already
        self._max_bytes = max_bytes
        self._stems: set[str] = set()
        self._photos: list[dict[str, Any]] = []
        self._failed: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        """Let go of the file, whether or not `close` was reached."""
        self._zip.close()

    def __len__(self) -> int:
        """How many photos are in it."""
        return len(self._photos)

    def add(self, name: str, packed: EncodedResult) -> str:
        """Take a photo in.

        Args:
            name: of the upload; anything.
            packed: see `pack`.

        Returns:
            The stem of its files.

        Raises:
            BundleFullError: there is no room for it.
        """
        if self._file.tell() + len(packed.labels) + len(packed.overlay) > self._max_bytes:
            raise BundleFullError(
                f"The ZIP is full at {self._max_bytes / 2**20:.0f} MB: label this photo in "
                "another run."
            )
        stem = self._free_stem(name)
        self._write(f"{stem}_labels.png", packed.labels)
        self._write(f"{stem}_overlay.jpg", packed.overlay)
        self._photos.append({"image": stem, **packed.facts})
        return stem

    def add_failure(self, name: str, error: str) -> None:
        """Note a photo that could not be labelled, and why."""
        self._failed.append({"image": safe_stem(name), "error": error})

    def close(self) -> None:
        """Write the table and the facts, and end the ZIP; the file stays open."""
        table: list[list[object]] = [list(COLUMNS)]
        for photo in self._photos:
            for one in photo["classes"]:
                table.append([photo["image"], *(one[column] for column in COLUMNS[1:])])
        self._write("classes.csv", csv_bytes(table), zipfile.ZIP_DEFLATED)
        facts = {"photos": self._photos, "failed": self._failed, "schema": SCHEMA}
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        self._write("facts.json", text.encode("utf-8"), zipfile.ZIP_DEFLATED)
        self._zip.close()

    def _write(self, name: str, data: bytes, method: int = zipfile.ZIP_STORED) -> None:
        entry = zipfile.ZipInfo(name, _NO_DATE)
        entry.create_system = 3  # Unix, whatever this machine is
        entry.external_attr = 0o644 << 16
        entry.compress_type = method
        self._zip.writestr(entry, data)

    def _free_stem(self, name: str) -> str:
        stem = safe = safe_stem(name)
        number = 1
        while stem.casefold() in self._stems:  # some disks do not tell capitals apart
            number += 1
            stem = f"{safe}_{number}"
        self._stems.add(stem.casefold())
        return stem


def safe_stem(name: str) -> str:
    """A file name without ending that any system takes, made of an upload's name.

    Args:
        name: anything, with or without folders and an ending.

    Returns:
        1 to 60 letters, digits, spaces, dots, `-` and `_`, the first a letter, a digit or `_`: no
        path, no control character, no formula of a spreadsheet, no device of Windows.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    stem = last.rpartition(".")[0] or last
    kept = "".join(c if c.isalnum() or c in " .-_" else "_" for c in stem)
    kept = kept.lstrip(" .-")[:MAX_STEM].rstrip(" .")
    if not kept or _RESERVED.fullmatch(kept):
        return f"photo_{kept}" if kept else "photo"
    return kept
