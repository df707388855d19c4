"""Cells of CSVs that people open in a spreadsheet: a text from outside never becomes a formula there.

Names of files, classes and subjects come from whoever made the data. A spreadsheet takes a cell that begins with `=`,
`+`, `-`, `@`, a tab or the end of a line for a formula, quoted or not, and a formula may fetch and send. Such a text
gets an apostrophe in front (https://owasp.org/www-community/attacks/CSV_Injection), and so does one that has
apostrophes before that, so that a reader gets what was there by taking one away. Numbers stay as they are. What is read
back as names (`groups.csv`, `parts.csv`) is written as it is.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # and in full width, for spreadsheets in Japanese


def plain_cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet takes for a formula; only texts are changed."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) and not _is_number(value) else value


def csv_text(head: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A CSV with a header line, in which no text is a formula; what is none is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([plain_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
