"""Rows of tables, `.parquet` or a text such as `.csv`, for models of points and of series.

- points: a row is a point. Columns are found by their names, the channels' and the coordinates' (these as `--columns`
  or the import has named them, else in whatever case); others are not looked at. Where the model learned from points in
  the plane z = 0, there may be no z. Where its data were prepared with `log1p`, log(1 + value) is taken here, too. An
  `.npz` or HDF5 as `vaeforge import` takes it is a table, too (`coordinates` and `values`, or an array a column); it is
  read whole.
- series: a row is a time point. Where the model knows the names of its voxels and the table names its columns, they are
  found by their names, in whatever order. Else all columns but those that count rows are voxels, in order, as `vaeforge
  import` has it, and there must be exactly as many as the model takes, or as the imported source had. A text needs no
  names.

Items are called by their row, from 0, or by a column `item` where there is one. Cells that are empty or no numbers make
a row unusable, unless the model learned from data with missing values; so does, in a CSV, a number of cells other than
the header's.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from vaeforge.config.layouts import layout_named
from vaeforge.data.delimited import Dialect, dialect_of, number, rows_of
from vaeforge.data.file_format import is_text
from vaeforge.data.parquet_table import batches_of
from vaeforge.data.series_text import SeriesText, are_places, series_text
from vaeforge.data.source_reading import SourceReading
from vaeforge.data.table import Table
from vaeforge.data.table_columns import AXES
from vaeforge.errors import DataError, nearest
from vaeforge.importing.columns import numbers
from vaeforge.importing.tables import read_table
from vaeforge.package.contract import Contract
from vaeforge.score.arrays import columns_taken
from vaeforge.score.batches import Rows, prepare_setting
from vaeforge.score.source_options import AS_IT_IS, options_of

DAMAGE = (pyarrow.ArrowException, OSError, ValueError, TypeError, UnicodeDecodeError, csv.Error)
ITEM = "item"
PIECE = 1024  # rows of a parquet that are decoded at once
LISTED = 8


@dataclass(frozen=True)
class TableColumns:
    """Where in a table values, conditions and names are: places of columns, -1 for no names, or a z that is 0."""

    values: list[int]
    condition: list[int]
    item: int

    @property
    def given(self) -> list[int]:
        """The places of conditions that the table has."""
        return [place for place in self.condition if place >= 0]


@dataclass(frozen=True)
class SpecialColumns:
    """Which columns are coordinates and labels, by what they are.

    Attributes:
        named: of the source that the model learned from, and those stated.
        stated: for this input, which must have them.
    """

    named: Mapping[str, str] = field(default_factory=dict)
    stated: Mapping[str, str] = field(default_factory=dict)

    def place(self, header: list[str], name: str) -> int:
        """Where the coordinate `name` is: in the column named, else in one that is called so; -1 for nowhere.

        Raises:
            DataError: if the column stated is not there.
        """
        if self.stated.get(name, name) not in (*header, name):
            raise DataError(
                f"has no column {self.stated[name]!r} (given for {name} by --columns), has {_some(header)}"
                f"{nearest(self.stated[name], header)}"
            )
        named = self.named.get(name, name)
        return header.index(named) if named in header else _place(header, name)

    def are_named(self, column: str) -> bool:
        """Whether a column is one of them."""
        return column in self.named.values()


STANDARD = SpecialColumns()


def columns_of(
    header: list[str], contract: Contract, left_out: tuple[int, ...] = (), special: SpecialColumns = STANDARD
) -> TableColumns:
    """Sort a table's columns out.

    Args:
        header: names of the columns.
        contract: of the model.
        left_out: places of columns that are no values.
        special: which ones are the coordinates.

    Raises:
        DataError: naming the columns that are missing or occur twice, or the number of columns that there must be.
    """
    wanted = len(contract.event_shape) == 1 and contract.event_shape[0]
    if not wanted:
        raise DataError(f"is a table, but the model takes {contract.data} of shape {list(contract.event_shape)}")
    item = header.index(ITEM) if ITEM in header and ITEM not in contract.channels else -1
    condition = [special.place(header, name) for name in contract.condition]
    rest = [place for place in range(len(header)) if place not in (item, *condition, *left_out)]
    channels = () if _are_unnamed([header[place] for place in rest], contract) else contract.channels
    values = [_place(header, name) for name in channels] or _taken(rest, contract)
    _require_columns(header, contract, dict(zip((*contract.condition, *channels), (*condition, *values), strict=False)))
    if len(values) != wanted:
        raise DataError(
            f"has {len(values)} columns of values ({_some(header)}), must have {wanted}, as the model takes"
        )
    return TableColumns(values, condition, item)


def _no_voxels(text: SeriesText, contract: Contract) -> tuple[int, ...]:
    """The places of columns that are no voxels; what describes rows was one to models that took it for one."""
    columns = columns_taken(contract)
    known = (*contract.event_shape, *(() if columns is None else (len(columns),)))
    taken = text.dialect.width - len(text.counters) in known and len(text.voxels) not in known
    return text.counters if taken else (*text.counters, *text.described)


def _require_columns(header: list[str], contract: Contract, places: dict[str, int]) -> None:
    """Refuse a table without some of the columns at `places`, or with two of a name."""
    missing = [name for name, place in places.items() if place < 0 and not (contract.plane and name == AXES[-1])]
    if missing:
        remedy = "rename its columns"
        if _takes_matrices(contract):
            remedy = (
                "rename them if they are the same voxels, or take the names away, so that columns are taken in order"
            )
        raise DataError(f"has the columns {_some(header)}, and lacks {_some(missing)}; {remedy}")
    twice = [name for name, place in places.items() if place >= 0 and header.count(header[place]) > 1]
    if twice:
        raise DataError(f"has two columns of the same name: {_some(twice)}; rename or remove one of each")


def _takes_matrices(contract: Contract) -> bool:
    return layout_named(contract.data).unnamed_arrays == "matrices"


def _are_unnamed(names: list[str], contract: Contract) -> bool:
    """Whether columns have no names, so that those of a series are taken in order."""
    return _takes_matrices(contract) and (not any(names) or are_places(names))


def _taken(places: list[int], contract: Contract) -> list[int]:
    """The columns of an imported source that the model takes; others as they are."""
    columns = columns_taken(contract)
    if columns is None or len(places) != len(columns):
        return places
    return [place for place, own in zip(places, columns.tolist(), strict=True) if own]


def _place(header: list[str], name: str) -> int:
    """A column's place: by its name, else by its name in another case where only one has it; -1 for none."""
    if name in header:
        return header.index(name)
    alike = [place for place, other in enumerate(header) if other.strip().lower() == name.lower()]
    return alike[0] if len(alike) == 1 else -1


def _some(names: list[str]) -> str:
    told = [name or f"column {place}" for place, name in enumerate(names[:LISTED], 1)]
    return ", ".join(told) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


class TableFile:
    """The rows of one table.

    Raises:
        DataError: if it cannot be read, or does not have the columns that the model takes.
    """

    def __init__(
        self, path: Path, contract: Contract, special: SpecialColumns = STANDARD, reading: SourceReading = AS_IT_IS
    ):
        self.path, self.contract = path, contract
        self.length: int | None = None
        self.text: Dialect | None = None
        self.whole: Table | None = None
        left_out: tuple[int, ...] = ()
        try:
            if path.suffix.lower() == ".parquet":
                self.header, self.length = _parquet_header(path)
            elif not is_text(path):
                self.whole = read_table(path, options_of(path, reading))
                self.header, self.length = list(self.whole.columns), self.whole.rows
            else:
                series = series_text(path) if _takes_matrices(contract) else None
                self.text = series.dialect if series else dialect_of(path)
                self.header = list(self.text.names or [""] * self.text.width)
                left_out = _no_voxels(series, contract) if series else ()
        except DAMAGE as error:
            raise DataError(f"cannot be read as {path.suffix} ({error})") from None
        self.columns = columns_of(self.header, contract, left_out, special)
        self.logarithm = layout_named(contract.data).raw_tables and bool(prepare_setting(contract, "log1p"))

    def count(self) -> int | None:
        return self.length

    def rows(self, start: int, size: int) -> Iterator[Rows]:
        """Rows from `start` on, at most `size` at a time.

        Raises:
            DataError: if the file is damaged further on; what comes after that cannot be told apart into rows.
        """
        try:
            if self.whole:
                yield from self._column_rows(self.whole, start, size)
            else:
                yield from self._text_rows(self.text, start, size) if self.text else self._parquet_rows(start, size)
        except DAMAGE as error:
            raise DataError(f"cannot be read further ({error})") from None

    def _column_rows(self, table: Table, start: int, size: int) -> Iterator[Rows]:
        columns = list(table.columns.values())
        chosen = [numbers(columns[place]) for place in (*self.columns.values, *self.columns.given)]
        names = columns[self.columns.item].tolist() if self.columns.item >= 0 else [None] * table.rows
        for first in range(start, table.rows, size):
            matrix = np.stack([column[first : first + size].astype(np.float64) for column in chosen], axis=1)
            yield self._made(matrix, names[first : first + size], first, {})

    def _parquet_rows(self, start: int, size: int) -> Iterator[Rows]:
        with pyarrow.parquet.ParquetFile(self.path, memory_map=True, pre_buffer=False) as file:
            groups, skip = _groups_from(file, start)
            chosen = [self.header[place] for place in (*self.columns.values, *self.columns.given)]
            names = [self.header[self.columns.item]] if self.columns.item >= 0 else []
            first, held = start, pyarrow.table({})
            for batch in batches_of(file, [*chosen, *names], max(PIECE, size), groups):
                piece = pyarrow.Table.from_batches([batch]).slice(skip)
                skip = max(0, skip - batch.num_rows)
                held = pyarrow.concat_tables([held, piece]) if held.num_columns else piece
                while held.num_rows >= size:
                    yield self._of_table(held.slice(0, size), chosen, names, first)
                    first, held = first + size, held.slice(size)
            if held.num_rows:
                yield self._of_table(held, chosen, names, first)

    def _of_table(self, table: Any, chosen: list[str], names: list[str], first: int) -> Rows:
        matrix = np.stack([_numbers(table.column(name)) for name in chosen], axis=1)
        given = table.column(names[0]).to_pylist() if names else [None] * len(matrix)
        return self._made(matrix, given, first, {})

    def _text_rows(self, text: Dialect, start: int, size: int) -> Iterator[Rows]:
        rows = islice(rows_of(self.path, text), start, None)
        while held := list(islice(rows, size)):
            yield self._of_cells(held, text, start)
            start += len(held)

    def _of_cells(self, rows: list[list[str]], text: Dialect, first: int) -> Rows:
        chosen = (*self.columns.values, *self.columns.given)
        matrix = np.full((len(rows), len(chosen)), np.nan)
        names: list[str | None] = [None] * len(rows)
        rejected = {}
        for position, cells in enumerate(rows):
            if len(cells) != len(self.header):
                rejected[position] = f"has {len(cells)} cells, must have {len(self.header)}"
                continue
            names[position] = cells[self.columns.item] if self.columns.item >= 0 else None
            matrix[position] = [number(cells[place], text.decimal) for place in chosen]
        return self._made(matrix, names, first, rejected)

    def _made(self, matrix: NDArray[Any], given: list[Any], first: int, rejected: dict[int, str]) -> Rows:
        """Rows of a matrix [n, values and conditions]; `given` are their names, none for the row's number."""
        names = [str(first + place) if name is None else str(name) for place, name in enumerate(given)]
        values, given_condition = np.split(matrix, [len(self.columns.values)], axis=1)
        condition = np.zeros((len(matrix), len(self.columns.condition)))
        condition[:, [place >= 0 for place in self.columns.condition]] = given_condition
        if self.logarithm:
            for position in np.flatnonzero((values <= -1).any(axis=1)).tolist():
                rejected.setdefault(position, "has a value <= -1, but `prepare.log1p` needs larger ones")
            with np.errstate(divide="ignore", invalid="ignore"):  # those rows are rejected
                values = np.log1p(values)
        return Rows(names, values, condition, rejected)


def _parquet_header(path: Path) -> tuple[list[str], int]:
    with pyarrow.parquet.ParquetFile(path) as file:
        return list(file.schema_arrow.names), int(file.metadata.num_rows)


def _groups_from(file: Any, start: int) -> tuple[list[int], int]:
    """The groups of rows from the one on that holds row `start`, and how many of its rows come before that."""
    first = 0
    for group in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if start < first + count:
            return list(range(group, file.metadata.num_row_groups)), start - first
        first += count
    return [], 0


def _numbers(column: Any) -> NDArray[Any]:
    """A column as float64; empty cells, and texts that are no numbers, are NaN."""
    kind = column.type
    if pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_null(kind):
        numbers: NDArray[Any] = column.cast(pyarrow.float64(), safe=False).to_numpy()
        return numbers
    return np.array([number(str(cell)) for cell in column.to_pylist()])
