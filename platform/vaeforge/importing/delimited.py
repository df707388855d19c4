"""Reading of untrusted text tables (CSV and the like)."""

from pathlib import Path
from typing import Any

import pandas
from numpy.typing import NDArray

from vaeforge.importing.arrays import DamagedFileError

DELIMITERS = (",", ";", "\t")
DAMAGE = (OSError, ValueError, OverflowError, MemoryError)  # pandas' ParserError is a ValueError


def delimiter_of(path: Path) -> str:
    """The delimiter that the first line holds most of."""
    line = first_line(path)
    return max(DELIMITERS, key=line.count)


def first_line(path: Path) -> str:
    """The first line of a text, without a byte-order mark.

    Raises:
        DamagedFileError: if there is none, or it is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            line = file.readline(2**20)
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as UTF-8 text ({error})") from None
    if not line.strip():
        raise DamagedFileError(path, "is empty or begins with an empty line")
    return line.rstrip("\r\n")


def read_matrix(path: Path) -> NDArray[Any]:
    """The numbers in a text, a row a line; a first line that holds a word is taken for names of columns.

    Raises:
        DamagedFileError: if it cannot be read.
    """
    delimiter = delimiter_of(path)
    header = None if all(map(_number, first_line(path).split(delimiter))) else 0
    matrix: NDArray[Any] = read_frame(path, delimiter, header).to_numpy()
    return matrix


def _number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"') or "nan")
    except ValueError:
        return False
    return True


def read_frame(path: Path, delimiter: str, header: int | None = 0) -> Any:
    """A text as a pandas.DataFrame; `header` none: the first line holds data.

    Raises:
        DamagedFileError: if it cannot be read.
    """
    try:
        return pandas.read_csv(path, sep=delimiter, header=header, encoding="utf-8-sig", low_memory=False)
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as a table ({error})") from None
