"""Tables for spreadsheets: UTF-8 whatever a file is called, and no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a spreadsheet compute a cell, as OWASP's page on CSV injection lists it."""


def csv_bytes(table: Iterable[Sequence[object]]) -> bytes:
    r"""A table as CSV.

    Texts are quoted, so that they stay one cell in spreadsheets whose separator is another one. A
    text that a spreadsheet would compute has an apostrophe before it, which makes it a text there.

    Args:
        table: Rows of texts and numbers.

    Returns:
        UTF-8; bytes of a file's name that are none are written as in JSON ("\udcff").
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([_cell(value) for value in row] for row in table)
    return text.getvalue().encode(errors="backslashreplace")


def _cell(value: object) -> object:
    if isinstance(value, str) and (
        value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA)
    ):
        return f"'{value}"
    return value
