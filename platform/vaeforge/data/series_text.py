"""Series in text: a row a timepoint, with or without names of voxels, for import and score alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.delimited import (
    LOOKED_AT,
    Dialect,
    dialect_of,
    is_number,
    number,
    numbered_rows,
    read_frame,
    rows_of,
)
from vaeforge.data.series_columns import SUMMARIES, counts_rows, describes_rows, names_owners

WHOLE = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class SeriesText:
    """A text of series.

    Attributes:
        dialect: what it is.
        counters: places of columns that count rows.
        described: places of columns that describe rows: whose they are, or how the head moved.
    """

    dialect: Dialect
    counters: tuple[int, ...]
    described: tuple[int, ...] = ()

    @property
    def voxels(self) -> list[int]:
        """The places of all other columns."""
        return [place for place in range(self.dialect.width) if place not in (*self.counters, *self.described)]


def series_text(path: Path) -> SeriesText:
    """What the text at `path` is.

    A first line of whole numbers over values that are none names voxels (labels of regions: 1001, 1002, …). A column
    that counts rows, of no name or called `time` or the like, is no voxel, nor is one called as what describes rows.

    Raises:
        DamagedFileError: if it cannot be read, or has a second row of names, or one of units.
    """
    dialect = _named_by_numbers(path, dialect_of(path))
    numbered = list(islice(numbered_rows(path, dialect), LOOKED_AT))
    _refuse_second_names(path, dialect, numbered)
    head = [row for _, row in numbered]
    counters = tuple(place for place in range(dialect.width) if _counts(place, dialect, head))
    described = tuple(place for place, name in enumerate(dialect.names) if describes_rows(name))
    return SeriesText(dialect, counters, () if len(described) + len(counters) == dialect.width else described)


def read_series_text(path: Path) -> NDArray[Any]:
    """The values [timepoints, voxels] of a text; see `series_text`.

    Raises:
        DamagedFileError: if it cannot be read, or holds rows of several people or of summaries.
    """
    text = series_text(path)
    voxels, whole = text.voxels, read_frame(path, text.dialect)
    _refuse_owners(path, text, whole)
    for place in (place for place in range(text.dialect.width) if not is_numeric_dtype(whole[place])):
        _refuse_summaries(path, whole[place], _column(text.dialect, place))
    frame = whole[voxels]
    for place in (place for place in voxels if not is_numeric_dtype(frame[place])):
        frame[place] = _numbers(path, frame[place], _column(text.dialect, place), text.dialect.decimal)
    matrix: NDArray[Any] = frame.to_numpy()
    return matrix


def _numbers(path: Path, cells: Any, column: str, decimal: str) -> Any:
    """A column of texts as numbers; a word among them is a missing value.

    Raises:
        DamagedFileError: if they are words for the most part.
    """
    numbers = cells.map(lambda cell: number(str(cell), decimal))
    words = cells[numbers.isna() & cells.notna()]
    if 2 * len(words) > len(cells):
        raise DamagedFileError(path, f"column {column} holds words ({words.iloc[0]!r}), must be numbers; remove it")
    return numbers


def _refuse_owners(path: Path, text: SeriesText, frame: Any) -> None:
    """Refuse rows of several people, sessions or runs, which would be the timepoints of one."""
    for place in text.described:
        name, count = text.dialect.names[place], frame[place].nunique()
        if names_owners(name) and count > 1:
            raise DamagedFileError(
                path,
                f"column {name!r} names {count} different ones, so the rows are not of one series; write a file for "
                "each, called as it is",
            )


def _refuse_summaries(path: Path, cells: Any, column: str) -> None:
    """Refuse rows such as mean and std below the values, which would be timepoints."""
    found = [cell for cell in cells.dropna().astype(str) if cell.strip().lower() in SUMMARIES]
    if found:
        raise DamagedFileError(
            path, f"column {column} holds {found[0]!r}: a row of a summary is no timepoint; remove such rows"
        )


def _column(dialect: Dialect, place: int) -> str:
    return repr(dialect.names[place]) if dialect.names else f"{place} (from 0)"


def voxel_names(path: Path) -> tuple[str, ...]:
    """What a text calls its voxels [V]; empty where it does not name them.

    Raises:
        DamagedFileError: if it cannot be read.
    """
    text = series_text(path)
    return tuple(text.dialect.names[place] for place in text.voxels) if text.dialect.names else ()


def described_columns(path: Path) -> tuple[str, ...]:
    """The names of columns that describe rows; none where the text cannot be read."""
    try:
        text = series_text(path)
    except DamagedFileError:
        return ()
    return tuple(text.dialect.names[place] for place in text.described)


def are_places(names: Sequence[str]) -> bool:
    """Whether names of columns only count them, from 0, as pandas writes them where there are none."""
    return list(names) == [str(place) for place in range(len(names))]


def _named_by_numbers(path: Path, dialect: Dialect) -> Dialect:
    if dialect.names:
        return dialect
    rows = islice(rows_of(path, dialect), LOOKED_AT)
    first = [cell.strip() for cell in next(rows, [])]
    below = [cell.strip() for row in rows for cell in row]
    given = first[first[:1] == [""] :]  # without the empty name of a column that counts rows
    labels = len(given) > 1 and len(set(given)) == len(given) and all(map(WHOLE.fullmatch, given))
    if not labels or not below or sum(map(bool, map(WHOLE.fullmatch, below))) > len(below) / 2:
        return dialect
    lines = _lines_to_first_row(path, dialect)
    return replace(dialect, names=tuple(first), skipped=lines)


def _refuse_second_names(path: Path, dialect: Dialect, rows: list[tuple[int, list[str]]]) -> None:
    """Refuse a row of words or of labels among the first ones, which could be taken for a timepoint."""
    for line, row in rows[:2]:
        words = [cell.strip() for cell in row if not is_number(cell, dialect.decimal)]
        if 2 * len(words) > len(row):
            raise DamagedFileError(
                path,
                f"line {line} holds words ({', '.join(words[:3])}), must hold numbers: remove it if it is a second row "
                "of names or one of units (one line may name the voxels), write NaN where values are missing",
            )
    if dialect.names and _are_labels([[cell.strip() for cell in row] for _, row in rows]):
        first = [cell.strip() for cell in rows[0][1]]
        raise DamagedFileError(
            path,
            f"line {rows[0][0]} holds whole numbers ({', '.join(first[:3])}, …) over values that are none: remove it "
            f"if they are labels, write {first[0]}.0 and so on if they are values",
        )


def _are_labels(rows: list[list[str]]) -> bool:
    """Whether the first row holds different whole numbers, and none below does."""
    if len(rows) < 3 or not _whole(rows[0]) or not len(set(rows[0])) == len(rows[0]) > 2:
        return False
    return not any(map(_whole, rows[1:]))


def _whole(row: list[str]) -> bool:
    return all(map(WHOLE.fullmatch, row))


def _lines_to_first_row(path: Path, dialect: Dialect) -> int:
    """Lines of the file up to and with the first row that holds something."""
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, 1):
            if line > dialect.skipped and text.strip():
                return line
    return dialect.skipped


def _counts(place: int, dialect: Dialect, head: list[list[str]]) -> bool:
    if dialect.width < 2:
        return False
    values = [number(row[place], dialect.decimal) for row in head if place < len(row)]
    return counts_rows(dialect.names[place] if dialect.names else None, values, first=place == 0)
