"""Write the tables of a labelled folder: the share of each class, and the failures."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from segmentation.batch.journal import Row
from segmentation.export.csv_table import csv_bytes
from segmentation.export.files import write_atomic

CLASSES, FAILURES = "classes.csv", "failures.csv"


def write_classes(path: Path, categories: Sequence[str], rows: Iterable[Row]) -> None:
    """Write the share of each class in each photo.

    Args:
        path: the file, written atomically.
        categories: C class names by index, one column each.
        rows: rows of the journal, in output order.

    Raises:
        OSError: the file cannot be written.
    """
    table: list[list[object]] = [["image", "height", "width", "model", *categories]]
    for row in rows:
        fractions: list[object] = [0] * len(categories)
        for area in row["classes"]:
            fractions[area["index"]] = area["fraction"]
        table.append([row["image"], row["height"], row["width"], row["model"], *fractions])
    write_atomic(path, csv_bytes(table))


def write_failures(path: Path, failures: Sequence[tuple[str, str]]) -> None:
    """Write each failed photo with the reason; without failures, remove an earlier run's file.

    Raises:
        OSError: the file cannot be written or removed.
    """
    if failures:
        write_atomic(path, csv_bytes([["image", "reason"], *failures]))
    else:
        path.unlink(missing_ok=True)
