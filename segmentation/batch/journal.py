"""The record of finished photos: a file of JSON lines that remains readable if a run is killed."""

import json
import os
from pathlib import Path
from typing import Any

JOURNAL = "pixelwise.jsonl"
"""The journal's name in the output folder."""

Row = dict[str, Any]
_STALE = "stale"


class Journal:
    """The journal of an output folder; of several rows for a photo, the last is valid.

    The rows are in memory without their classes. Lines that are not JSON objects, such as the last
    line of a killed process, are ignored.

    Args:
        path: the file; created if missing.

    Raises:
        OSError: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115
        self._index: dict[str, tuple[int, Row]] = {}
        self._settings: dict[str, Row] = {}  # shared by the rows, which mostly have the same
        end = self._read()
        self._reader = open(path, "rb")  # noqa: SIM115
        if end:
            self._reader.seek(end - 1)
            if self._reader.read(1) != b"\n":
                self._write(b"\n")  # end the incomplete line of a killed process

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._file.close()

    def names(self) -> dict[str, Row]:
        """Return every photo's last row without its classes, including stale rows."""
        return {image: row for image, (_, row) in self._index.items()}

    def done(self, image: str) -> Row | None:
        """Return a photo's last row without its classes; None if there is none or it is stale."""
        _, row = self._index.get(image, (0, None))
        return None if row is None or row.get(_STALE) else row

    def row(self, image: str) -> Row:
        """Return a photo's last row, with its classes."""
        offset, _ = self._index[image]
        self._reader.seek(offset)
        return json.loads(self._reader.readline())

    def add(self, row: Row) -> None:
        """Record a finished photo.

        Args:
            row: plain values; `image` is the photo's path.
        """
        line = json.dumps(row).encode() + b"\n"  # ASCII for any file name
        self._add_to_index(self._write(line), row)

    def mark_stale(self, image: str) -> None:
        """Mark a photo's row as stale, because its files are about to be replaced."""
        row = self.done(image)
        if row is not None:
            self.add({**row, _STALE: True})

    def _write(self, line: bytes) -> int:
        """Append a line and return its offset."""
        offset = self._file.seek(0, os.SEEK_END)
        written = self._file.write(line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes could be written")
        return offset

    def _read(self) -> int:
        """Read all lines and return the file's length."""
        offset = 0
        with open(self._file.name, "rb") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if isinstance(row, dict) and isinstance(row.get("image"), str):
                    self._add_to_index(offset, row)
                offset += len(line)
        return offset

    def _add_to_index(self, offset: int, row: Row) -> None:
        settings = row.get("settings")
        entry = {key: value for key, value in row.items() if key != "classes"}
        entry["settings"] = self._settings.setdefault(json.dumps(settings), settings)
        self._index[row["image"]] = offset, entry
