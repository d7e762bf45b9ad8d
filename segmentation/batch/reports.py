"""The tables of a labelled folder: the share of each class, and what could not be used."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from segmentation.batch.journal import Row
from segmentation.export.csv_table import csv_bytes
from segmentation.export.files import write_atomic

CLASSES, FAILURES = "classes.csv", "failures.csv"


def write_classes(path: Path, categories: Sequence[str], rows: Iterable[Row]) -> None:
    """Write the share of each class in each photo.

    Args:
        path: the file; written whole or not at all.
        categories: C class names by index, a column each.
        rows: of the journal, in the order wanted.

    Raises:
        OSError: it cannot be written.
    """
    table: list[list[object]] = [["image", "height", "width", "model", *categories]]
    for row in rows:
        fractions: list[object] = [0] * len(categories)
        for found in row["classes"]:
            fractions[found["index"]] = found["fraction"]
        table.append([row["image"], row["height"], row["width"], row["model"], *fractions])
    write_atomic(path, csv_bytes(table))


def write_failures(path: Path, failures: Sequence[tuple[str, str]]) -> None:
    """Write each photo that failed with the reason; with none, remove what an earlier run wrote.

    Raises:
        OSError: it cannot be written or removed.
    """
    if failures:
        write_atomic(path, csv_bytes([["image", "reason"], *failures]))
    else:
        path.unlink(missing_ok=True)
