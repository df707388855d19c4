"""Reading of untrusted parquet files as tables."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from vaeforge.data.announced_size import VALUES_LIMIT, require_memory
from vaeforge.data.large_arrays import LARGE, mapped_columns
from vaeforge.data.table import Table, refuse_repeated
from vaeforge.data.table_columns import index_names
from vaeforge.errors import DataError

DOUBLE = 8  # bytes of a number
# what pyarrow raises on damaged files
DAMAGE = (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError)


def read_parquet(path: Path) -> Table:
    """All columns; what pandas wrote as an index is known as one.

    Raises:
        DataError: if the file cannot be read, or columns share a name.
    """
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            values = file.metadata.num_rows * file.metadata.num_columns
            require_memory(path, values * DOUBLE)
            if values > VALUES_LIMIT:
                raise ValueError(f"{file.metadata.num_rows} rows of {file.metadata.num_columns} columns are too many")
            names = list(file.schema_arrow.names)
            refuse_repeated(path, names)
            # one after the other: arrow's copy and numpy's of all would be in memory at once
            found = ((name, _plain(file.read(columns=[name]).column(name))) for name in names)
            columns = mapped_columns(found) if values * DOUBLE >= LARGE else dict(found)
            return Table(columns, index_names(file.schema_arrow))
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be read as parquet ({error})") from None


def batches_of(file: pyarrow.parquet.ParquetFile, names: list[str], rows: int, groups: Iterable[int]) -> Iterator[Any]:
    """Columns of a parquet file, some rows at a time; one `iter_batches` for all would keep what it gave of each group.

    Args:
        file: which is open.
        names: of the columns.
        rows: at most, of each batch.
        groups: of rows, by number.
    """
    for group in groups:
        yield from file.iter_batches(rows, columns=names, row_groups=[group])


def _plain(column: Any) -> NDArray[Any]:
    """A column of arrow as numpy has it; empty cells are NaN, or none among texts and truth values."""
    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pyarrow.types.is_decimal(column.type):
        column = column.cast(pyarrow.float64())
    if pyarrow.types.is_boolean(column.type):
        return np.array(column.to_pylist(), dtype=object)
    array: NDArray[Any] = column.to_numpy()
    return array
