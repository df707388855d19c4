"""Arrow tables of plain columns, made and read without pandas, which `pyarrow.table` and `read_table` import."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

Column = NDArray[Any] | Sequence[str | None]


def table_of(columns: Mapping[str, Column]) -> Any:
    """The columns by name: arrays [n] of numbers or truth values without missing ones, or texts, missing ones None."""
    arrays = [_numbers(one) if isinstance(one, np.ndarray) else _texts(one) for one in columns.values()]
    return pyarrow.Table.from_arrays(arrays, list(columns))


def read_parquet(path: Path) -> Any:
    """The table in a Parquet file.

    Raises:
        ArrowException, OSError: if it cannot be read.
    """
    with pyarrow.parquet.ParquetFile(path) as file:
        return file.read()


def _numbers(values: NDArray[Any]) -> Any:
    kind = pyarrow.from_numpy_dtype(values.dtype)
    packed = np.packbits(values, bitorder="little") if values.dtype == np.bool_ else np.ascontiguousarray(values)
    return pyarrow.Array.from_buffers(kind, len(values), [None, pyarrow.py_buffer(packed)])


def _texts(values: Sequence[str | None]) -> Any:
    contents = [b"" if value is None else value.encode() for value in values]
    ends = np.cumsum([0, *map(len, contents)], dtype=np.int32)
    there = np.packbits(np.array([value is not None for value in values], dtype=bool), bitorder="little")
    buffers = [pyarrow.py_buffer(part) for part in (there, ends, b"".join(contents))]
    return pyarrow.Array.from_buffers(pyarrow.string(), len(values), buffers)
