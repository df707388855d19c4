"""Reading of untrusted text tables (CSV and the like): one way for all that reads them, whole or a row at a time.

What a text is, its delimiter, decimal point and names of columns, is told by its first lines (`dialect_of`).
"""

import csv
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from vaeforge.data.damaged_file import DamagedFileError

DELIMITERS = (",", ";", "\t")
MISSING = ("", "na", "n/a", "nan", "null", "none", "#n/a")  # cells that say that there is no number, in any case
# 1.234 and 1,234.5: with marks of thousands, where the other mark is the decimal point; 1,234 alone may be either
THOUSANDS = {
    ".": re.compile(r"\s*[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?\s*"),
    ",": re.compile(r"\s*[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?\s*"),
}
EITHER = re.compile(r"\s*[+-]?[1-9]\d{0,2}[.,]\d{3}\s*")
SEPARATOR = re.compile(r"\s*\"?sep=.\"?\s*", re.IGNORECASE | re.DOTALL)
LOOKED_AT = 50  # rows that tell what a text is
# pandas' ParserError is a ValueError
DAMAGE = (OSError, ValueError, OverflowError, MemoryError, csv.Error)


@dataclass(frozen=True)
class Dialect:
    """What a text table is.

    Attributes:
        delimiter: of cells; a space stands for any white space.
        decimal: the decimal point, `.` or `,`.
        names: of the columns, as many as a row has cells; empty where the first line holds data. A column of names of
            rows, which R's write.table does not name, is called "".
        skipped: lines before the first row.
        width: cells of a row.
        trailing: whether rows end with a delimiter, after which there is no cell.
    """

    delimiter: str
    decimal: str
    names: tuple[str, ...]
    skipped: int
    width: int
    trailing: bool


def dialect_of(path: Path) -> Dialect:
    """What the text at `path` is.

    The delimiter is the one that its first line holds most of, white space where it holds none. The first line names
    columns unless it consists of numbers. Lines before it that begin with `#`, and Excel's `sep=;`, are skipped. With
    another delimiter than commas, numbers such as `1,5` have decimal commas. Marks of thousands are understood:
    `1,234.5`, `1.234,5`.

    Raises:
        DamagedFileError: if it is empty, not UTF-8, or its first row has more cells than there are names.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            comments = 0
            line = file.readline(2**20)
            while line.startswith("#") or SEPARATOR.fullmatch(line):
                comments, line = comments + 1, file.readline(2**20)
        if not line.strip():
            raise DamagedFileError(path, "is empty or begins with an empty line")
        delimiter = _delimiter(line)
        head = list(islice(_lines(path, delimiter, comments), LOOKED_AT + 1))
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as UTF-8 text ({error}); save it as UTF-8") from None
    if not head:
        raise DamagedFileError(path, "holds no cell with anything in it")
    return _dialect(path, delimiter, comments, head)


def _delimiter(line: str) -> str:
    """The delimiter that a line holds most of, decimal commas not counted; white space where it holds none."""
    for mark in (mark for mark in DELIMITERS if mark != "," and mark in line):
        if all(is_number(cell, ",") for cell in line.split(mark)):
            return mark
    return max(DELIMITERS, key=line.count) if any(mark in line for mark in DELIMITERS) else " "


def _dialect(path: Path, delimiter: str, comments: int, head: list[tuple[int, list[str]]]) -> Dialect:
    """From the first lines that hold something, each with the number of lines read by then."""
    decimal = "," if _decimal_commas([cell for _, row in head for cell in row]) else "."
    if delimiter == decimal:
        raise DamagedFileError(
            path,
            "has numbers with commas (1,5) between commas; write a point, or cells with `;` between them",
        )
    first = [cell.strip() for cell in head[0][1]]
    named = not all(is_number(cell, decimal) for cell in first)
    rows = [row for _, row in head[named:]] or [first]
    trailing = all(len(row) > 1 and not row[-1].strip() for row in rows) and (
        not named or len(rows[0]) == len(first) + 1 or not first[-1]
    )
    width = len(rows[0]) - trailing
    names = tuple(first[: len(first) - (trailing and len(first) > width)]) if named else ()
    if named and width == len(names) + 1 and all(not is_number(row[0], decimal) for row in rows):
        names = ("", *names)
    if named and width != len(names):
        raise DamagedFileError(
            path,
            f"its first line names {len(names)} columns, the row below has {width} cells; give each column a name"
            + (", and write numbers with a point, or cells with `;` between them" if width > len(names) else ""),
        )
    return Dialect(delimiter, decimal, names, head[0][0] if named else comments, width, trailing)


def _lines(path: Path, delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Rows of cells that hold something, each with the number of lines read by then."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        for _ in range(skipped):
            file.readline()
        if delimiter == " ":
            split = ((number, line.split()) for number, line in enumerate(file, 1))
        else:
            reader = csv.reader(file, delimiter=delimiter)
            split = ((reader.line_num, row) for row in reader)
        yield from ((skipped + number, row) for number, row in split if len(row) > 1 or (row and row[0].strip()))


def _decimal_commas(cells: list[str]) -> bool:
    """Whether numbers are written `1,5`: more cells are numbers with a decimal comma than with a point.

    `1,234` and `1.234` may have a mark of thousands; they are asked only where no other cell tells.
    """
    told = [cell for cell in cells if not EITHER.fullmatch(cell)]
    for asked in (told, cells):
        commas = sum("," in cell and is_number(cell, ",") for cell in asked)
        points = sum("." in cell and is_number(cell, ".") for cell in asked)
        if commas or points:
            return commas > points
    return False


def rows_of(path: Path, dialect: Dialect) -> Iterator[list[str]]:
    """The rows of cells, without the one that names columns, and without what follows a trailing delimiter."""
    return (row for _, row in numbered_rows(path, dialect))


def numbered_rows(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The same, each with the number of its line in the file, from 1."""
    for line, row in _lines(path, dialect.delimiter, dialect.skipped):
        yield line, row[:-1] if dialect.trailing and len(row) == dialect.width + 1 and not row[-1].strip() else row


def number(cell: str, decimal: str = ".") -> float:
    """A cell's number; NaN where it says that there is none, or is something else."""
    try:
        return float("nan" if cell.strip().lower() in MISSING else _pointed(cell, decimal))
    except ValueError:
        return float("nan")


def is_number(cell: str, decimal: str) -> bool:
    """Whether a cell is a number, or says that there is none."""
    try:
        float("nan" if cell.strip().lower() in MISSING else _pointed(cell, decimal))
    except ValueError:
        return False
    return True


def _pointed(cell: str, decimal: str) -> str:
    if THOUSANDS[decimal].fullmatch(cell):
        cell = cell.replace("," if decimal == "." else ".", "")
    if decimal == ".":
        return cell
    return "no number" if "." in cell else cell.replace(",", ".")


def read_matrix(path: Path) -> NDArray[Any]:
    """The numbers in a text, a row a line; a first line that holds a word is taken for names of columns.

    Raises:
        DamagedFileError: if it cannot be read.
    """
    matrix: NDArray[Any] = read_frame(path, dialect_of(path)).to_numpy()
    return matrix


def read_frame(path: Path, dialect: Dialect, texts: Collection[int] = ()) -> Any:
    """A text as a pandas.DataFrame whose columns are called by their places, 0 to `dialect.width` - 1.

    Args:
        path: of the text.
        dialect: what it is.
        texts: places of columns whose cells are kept as they are written (`01`, `NA`, `1E1`).

    Raises:
        DamagedFileError: if it cannot be read, or a row has another number of cells.
    """
    columns = dialect.width + dialect.trailing
    missing: dict[int, list[str]] = {place: [] if place in texts else _MISSING_CELLS for place in range(columns)}
    try:
        _require_width(path, dialect)
        frame = pandas.read_csv(
            path,
            sep=r"\s+" if dialect.delimiter == " " else dialect.delimiter,
            header=None,
            names=list(range(columns)),
            skiprows=dialect.skipped,
            index_col=False,
            decimal=dialect.decimal,
            dtype=dict.fromkeys(texts, str),
            keep_default_na=False,
            na_values=missing,
            encoding="utf-8-sig",
            low_memory=False,
        )
    except DAMAGE as error:
        reason = error.reason if isinstance(error, DamagedFileError) else f"cannot be read as a table ({error})"
        raise DamagedFileError(path, reason) from None
    for place in (place for place in frame if place not in texts and not is_numeric_dtype(frame[place])):
        # pandas leaves a whole column as texts where one cell is a word, decimal commas, marks of thousands and all
        if dialect.decimal == "," or frame[place].map(lambda cell: bool(THOUSANDS["."].fullmatch(str(cell)))).any():
            converted = frame[place].map(lambda cell: number(str(cell), dialect.decimal))
            frame[place] = converted if 2 * converted.notna().sum() > len(frame) else frame[place]
    return frame[list(range(dialect.width))]


_MISSING_CELLS = sorted({spelt for word in MISSING for spelt in (word, word.upper(), word.capitalize())} | {"NaN"})


def _require_width(path: Path, dialect: Dialect) -> None:
    """Refuse a row with a number of cells other than the first one's: pandas fills up rows that are too short."""
    content = np.fromfile(path, dtype=np.uint8)
    if dialect.delimiter == " " or (content == ord('"')).any():
        widths: Iterator[tuple[int, int]] = (
            (line, len(row)) for line, row in _lines(path, dialect.delimiter, dialect.skipped)
        )
    else:
        widths = iter(_cells_of_lines(content, dialect))
    allowed = {dialect.width, dialect.width + dialect.trailing}
    for line, width in widths:
        if width not in allowed:
            raise DamagedFileError(path, f"line {line} has {width} cells, must have {dialect.width}; mend or remove it")


def _cells_of_lines(content: NDArray[np.uint8], dialect: Dialect) -> list[tuple[int, int]]:
    """Line number and cells of the first line, if there is one, with a wrong number; a text without quotes."""
    ends = np.flatnonzero(content == ord("\n"))
    if not len(content) or content[-1] != ord("\n"):
        ends = np.append(ends, len(content))
    starts = np.concatenate([[0], ends[:-1] + 1])
    marks = np.concatenate([[0], np.cumsum(content == ord(dialect.delimiter))])
    cells = marks[ends] - marks[starts] + 1
    filled = ends - starts > (np.take(content, ends - 1, mode="clip") == ord("\r"))
    wrong = filled & (cells != dialect.width) & (cells != dialect.width + dialect.trailing)
    wrong[: dialect.skipped] = False
    return [(int(line) + 1, int(cells[line])) for line in np.flatnonzero(wrong)[:1]]
