"""What is done, kept in a file that a killed run leaves readable: one JSON object a line."""

import json
import os
from pathlib import Path
from typing import Any

JOURNAL = "pixelwise.jsonl"
"""The journal's name in the output folder."""

Row = dict[str, Any]
_STALE = "stale"


class Journal:
    """The journal of an output folder; the last line of a photo counts.

    In memory there is what tells whether a photo is done, without its classes. A line that is no
    JSON object, such as the last one of a killed process, is passed over.

    Args:
        path: The file, made if there is none.

    Raises:
        OSError: It cannot be read and written.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115
        self._known: dict[str, tuple[int, Row]] = {}
        self._settings: dict[str, Row] = {}  # the same for thousands of photos: kept once
        end = self._read()
        self._rows = open(path, "rb")  # noqa: SIM115
        if end:
            self._rows.seek(end - 1)
            if self._rows.read(1) != b"\n":
                self._write(b"\n")  # what a killed process began stays a line of its own

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()
        self._file.close()

    def names(self) -> dict[str, Row]:
        """Every photo's last row without its classes, stale ones too."""
        return {image: row for image, (_, row) in self._known.items()}

    def done(self, image: str) -> Row | None:
        """A photo's last row without its classes, if it still tells what lies in the folder."""
        _, row = self._known.get(image, (0, None))
        return None if row is None or row.get(_STALE) else row

    def row(self, image: str) -> Row:
        """A photo's last row, with all that was written."""
        offset, _ = self._known[image]
        self._rows.seek(offset)
        return json.loads(self._rows.readline())

    def add(self, row: Row) -> None:
        """Write that a photo is done.

        Args:
            row: Plain values; `image` names the photo.
        """
        line = json.dumps(row).encode() + b"\n"  # ASCII, whatever the photo's name
        self._remember(self._write(line), row)

    def mark_stale(self, image: str) -> None:
        """Write that a photo's files are about to be replaced, so that its row counts no more."""
        row = self.done(image)
        if row is not None:
            self.add({**row, _STALE: True})

    def _write(self, line: bytes) -> int:
        """Append; returns where the line begins."""
        offset = self._file.seek(0, os.SEEK_END)
        written = self._file.write(line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes could be written")
        return offset

    def _read(self) -> int:
        """Read all lines; returns the file's length."""
        offset = 0
        with open(self._file.name, "rb") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if isinstance(row, dict) and isinstance(row.get("image"), str):
                    self._remember(offset, row)
                offset += len(line)
        return offset

    def _remember(self, offset: int, row: Row) -> None:
        settings = row.get("settings")
        small = {key: value for key, value in row.items() if key != "classes"}
        small["settings"] = self._settings.setdefault(json.dumps(settings), settings)
        self._known[row["image"]] = offset, small
