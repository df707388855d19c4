"""A table of points as `prepare` reads it, of parquet some rows at a time: coordinates, channels and labels.

Shapes: N points, C channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from vaeforge.data.large_arrays import LARGE, blocks_of, give_back, room, taken
from vaeforge.data.missing import LEAST_OBSERVED
from vaeforge.data.parquet_table import batches_of
from vaeforge.data.table_columns import AXES, DONOR, LABELS, SECTION, index_names, is_special, numbers_rows
from vaeforge.errors import DataError

LISTED = 10
ROWS, BUFFER = 2**15, 2**16  # of a parquet file that are read at once; bytes of each column

Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]
Labels = NDArray[np.str_]


def chosen_names(names: list[str], mask: Mask) -> list[str]:
    """Those that a mask chooses."""
    return [name for name, own in zip(names, mask, strict=True) if own]


@dataclass(frozen=True)
class Table:
    """What a file holds: coordinates [N, 3], values [N, C], names of the channels [C], each point's labels.

    A value is NaN where it is missing. `sections` and `donors` [N] are none where no column tells them, a label is
    empty where it is missing.
    """

    coordinates: Matrix
    values: Matrix
    channels: list[str]
    sections: Labels | None
    donors: Labels | None

    def at(self, chosen: Mask) -> "Table":
        """The points that a mask [N] chooses."""
        if chosen.all():
            return self
        sections, donors = (None if names is None else names[chosen] for names in (self.sections, self.donors))
        values = taken(self.values, chosen, np.ones(self.values.shape[1], dtype=np.bool_))
        return Table(self.coordinates[chosen], values, self.channels, sections, donors)

    def observed(self) -> "Table":
        """Without channels that have too few values."""
        if not len(self.values):
            return self
        counts = np.sum([np.isfinite(block).sum(axis=0) for _, block in blocks_of(self.values)], axis=0)
        kept: Mask = np.asarray(counts / len(self.values) >= LEAST_OBSERVED)
        if kept.all() or not kept.any():
            return self
        every = np.ones(len(self.values), dtype=np.bool_)
        return replace(self, values=taken(self.values, every, kept), channels=chosen_names(self.channels, kept))


def opened(path: Path) -> Any:
    """A table of CSV in memory, or a parquet file, of which columns and rows are read when they are needed."""
    try:
        if path.suffix.lower() == ".parquet":
            return pyarrow.parquet.ParquetFile(path, buffer_size=BUFFER)
        return pyarrow.csv.read_csv(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read ({error}); run `vaeforge import` again")


def _batches(path: Path, table: Any, names: list[str]) -> Iterator[Any]:
    """Columns of a table or a parquet file, some rows at a time."""
    try:
        if not isinstance(table, pyarrow.parquet.ParquetFile):
            yield from table.select(names).to_batches(ROWS)
        elif table.metadata.num_rows * len(names) * np.dtype(np.float32).itemsize < LARGE:
            yield from table.read(columns=names).to_batches(ROWS)
        else:  # a page of each column is in memory, which is more than a small table
            yield from batches_of(table, names, ROWS, range(table.num_row_groups))
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def columns_of(path: Path, table: Any, sections: bool) -> Table:
    """The table's columns sorted out; x, y, z and what is no channel are found in whatever case."""
    schema = table.schema_arrow if isinstance(table, pyarrow.parquet.ParquetFile) else table.schema
    names: list[str] = schema.names
    alike = [name.lower() if is_special(name) else name for name in names]
    twice = sorted({name for name in alike if alike.count(name) > 1})
    if twice:
        raise DataError(f"{path}: columns {twice} occur twice; rename or remove them")
    special = {name.lower(): name for name in names if is_special(name)}
    wanted = (*AXES, SECTION) if sections else AXES
    index = index_names(schema)
    channels = [name for name in names if name not in special.values() and name not in index and not numbers_rows(name)]
    missing = [name for name in wanted if name not in special]
    if missing or not channels:
        raise DataError(
            f"{path}: got columns {names[:LISTED]}, must have {', '.join(wanted)} and at least one channel; missing "
            f"{missing or 'a channel'}; rename them, or run `vaeforge import` with names for the columns"
        )
    _require_numbers(path, schema, [*(special[axis] for axis in AXES), *channels])
    coordinates = _numbers(path, table, [special[axis] for axis in AXES])
    values = _numbers(path, table, channels, missing=True)
    labels = {name: _labels(_batches(path, table, [special[name]])) for name in LABELS if name in special}
    return Table(coordinates, values, channels, labels.get(SECTION), labels.get(DONOR))


def _labels(batches: Iterator[Any]) -> Labels:
    """A column as text [N], empty where it is missing."""
    values = (value for batch in batches for value in batch.column(0).to_pylist())
    return np.array(["" if value is None or value != value else str(value) for value in values], dtype=np.str_)


def _require_numbers(path: Path, schema: Any, names: list[str]) -> None:
    for name in names:
        kind = schema.field(name).type
        if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_null(kind)):
            raise DataError(f"{path}: column {name!r} holds {kind}, must be numbers; remove it, or correct its values")


def _numbers(path: Path, table: Any, names: list[str], missing: bool = False) -> Matrix:
    """Columns as float32 [N, len(names)]; what is missing is NaN, what float32 cannot hold infinite, or `missing`."""
    count = table.metadata.num_rows if isinstance(table, pyarrow.parquet.ParquetFile) else table.num_rows
    matrix, start = room((count, len(names)), np.float32), 0
    for batch in _batches(path, table, names):
        block = matrix[start : start + batch.num_rows]
        for place, name in enumerate(names):
            column = batch.column(name).cast(pyarrow.float32(), safe=False)
            block[:, place] = column.to_numpy(zero_copy_only=False)
        if missing:
            block[np.isinf(block)] = np.nan
        start += len(block)
        give_back(matrix)
    return matrix
