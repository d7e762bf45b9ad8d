"""Write several labelled photos to one ZIP: label maps, overlays, a table and JSON."""

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
_NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date in a ZIP
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Device names of Windows, which cannot be file names."""


class BundleFullError(PixelwiseError):
    """The photo would exceed the ZIP's size limit."""


@dataclass(frozen=True, eq=False)
class EncodedResult:
    """The encoded files of one photo.

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
        notes: messages for the user about the result.
    """
    file = io.BytesIO()
    colors = colorize(result.class_map, palette)
    overlay = Image.fromarray(blend(image, colors, OVERLAY_ALPHA))
    overlay.save(file, "JPEG", quality=OVERLAY_QUALITY)
    facts = {**result_facts(result), "notes": list(notes)}
    return EncodedResult(write_indexed_png(result.class_map, palette), file.getvalue(), facts)


class ResultArchive:
    """Writes a ZIP: the files of each photo, then `classes.csv` and `facts.json`.

    File names are derived from the uploads' names, without folders; no entry has a date. Use it in
    a `with` statement.

    Args:
        file: output file, open for writing and seeking.
        max_bytes: size limit in bytes, for the photos' files only.
    """

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)  # images are compressed already
        self._max_bytes = max_bytes
        self._stems: set[str] = set()
        self._photos: list[dict[str, Any]] = []
        self._failed: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the ZIP but not the file, also if `close` was not called."""
        self._zip.close()

    def __len__(self) -> int:
        """Return the number of photos in the ZIP."""
        return len(self._photos)

    def add(self, name: str, packed: EncodedResult) -> str:
        """Add a photo.

        Args:
            name: name of the upload; not trusted.
            packed: from `pack`.

        Returns:
            The stem of its file names.

        Raises:
            BundleFullError: the photo would exceed `max_bytes`.
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
        """Record a photo that could not be labelled, with its error message."""
        self._failed.append({"image": safe_stem(name), "error": error})

    def close(self) -> None:
        """Write `classes.csv` and `facts.json`, and finish the ZIP; the file remains open."""
        table: list[list[object]] = [list(COLUMNS)]
        for photo in self._photos:
            for area in photo["classes"]:
                table.append([photo["image"], *(area[column] for column in COLUMNS[1:])])
        self._write("classes.csv", csv_bytes(table), zipfile.ZIP_DEFLATED)
        facts = {"photos": self._photos, "failed": self._failed, "schema": SCHEMA}
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        self._write("facts.json", text.encode("utf-8"), zipfile.ZIP_DEFLATED)
        self._zip.close()

    def _write(self, name: str, data: bytes, method: int = zipfile.ZIP_STORED) -> None:
        entry = zipfile.ZipInfo(name, _NO_DATE)
        entry.create_system = 3  # Unix on every platform, for equal bytes
        entry.external_attr = 0o644 << 16
        entry.compress_type = method
        self._zip.writestr(entry, data)

    def _free_stem(self, name: str) -> str:
        stem = safe = safe_stem(name)
        number = 1
        while stem.casefold() in self._stems:  # some file systems ignore case
            number += 1
            stem = f"{safe}_{number}"
        self._stems.add(stem.casefold())
        return stem


def safe_stem(name: str) -> str:
    """Return a file name without suffix that is valid on every system, from an upload's name.

    Args:
        name: any text, with or without folders and a suffix.

    Returns:
        1 to 60 letters, digits, spaces, dots, `-` and `_`, beginning with a letter, a digit or `_`:
        no path, control character or spreadsheet formula, and no Windows device name.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    stem = last.rpartition(".")[0] or last
    safe = "".join(c if c.isalnum() or c in " .-_" else "_" for c in stem)
    safe = safe.lstrip(" .-")[:MAX_STEM].rstrip(" .")
    if not safe:
        return "photo"
    return f"photo_{safe}" if _RESERVED.fullmatch(safe) else safe
