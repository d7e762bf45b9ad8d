"""Write CSV tables that spreadsheets open safely: valid UTF-8, and no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters of a formula, from OWASP's page on CSV injection."""


def csv_bytes(table: Iterable[Sequence[object]]) -> bytes:
    r"""Return a table as CSV.

    Texts are quoted, so that they remain one cell in spreadsheets with another separator. A text
    that a spreadsheet would compute gets a leading apostrophe, which marks it as text.

    Args:
        table: rows of texts and numbers.

    Returns:
        UTF-8; bytes of a file name that are not valid UTF-8 are escaped as in JSON ("\udcff").
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
