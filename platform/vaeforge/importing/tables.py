"""Tables of points from parquet, CSV, `.npz` or HDF5: columns by name, all of one length."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from vaeforge.data.source_files import listed
from vaeforge.data.table_columns import AXES, index_names
from vaeforge.errors import DataError
from vaeforge.importing.arrays import VALUES_LIMIT, array_names, read_array, texts
from vaeforge.importing.columns import Table, text_columns
from vaeforge.importing.delimited import dialect_of, read_frame
from vaeforge.importing.hdf import dataset_headers, read_datasets
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog, shown
from vaeforge.importing.suffixes import HDF
from vaeforge.importing.walk_source import walk

TEXT = (".csv", ".tsv")
SUFFIXES = (".parquet", *TEXT, ".npz", *HDF)
# what pyarrow raises on damaged files
DAMAGE = (pyarrow.ArrowException, OSError, ValueError, TypeError, MemoryError)

Columns = dict[str, NDArray[Any]]


def find_table(source: Path, log: ImportLog) -> Path:
    """The file `source`, or the one table in the folder `source`.

    Raises:
        DataError: if there is none, or several.
    """
    files = walk(source, log)[0] if source.is_dir() else [source]
    tables = [path for path in files if path.suffix.lower() in SUFFIXES]
    root = source if source.is_dir() else source.parent
    if len(tables) != 1:
        named = listed([shown(path, root) for path in tables or files])
        raise DataError(
            f"{source}: has {len(tables)} tables ({', '.join(SUFFIXES)}), must be one; holds {named or 'nothing'}"
        )
    for path in (path for path in files if path != tables[0]):
        log.quarantine(shown(path, root), f"its suffix is none of {', '.join(SUFFIXES)}")
    return tables[0]


def read_table(path: Path, options: ImportOptions) -> Table:
    """The columns of the table at `path`, by name; labels of a text as they are written.

    Raises:
        DataError: if it cannot be read, holds no rows, or columns that share a name or differ in length.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        table = _parquet(path)
    elif suffix in TEXT:
        table = Table(_text(path, options))
    elif suffix in HDF:
        table = Table(_assembled(path, read_datasets(path)))
    else:
        table = Table(_assembled(path, {name: read_array(path, name) for name in array_names(path)}))
    lengths = {name: column.shape for name, column in table.columns.items()}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
        named = listed([f"{name} {shape}" for name, shape in lengths.items()])
        raise DataError(f"{path}: columns must be [N] of one length, are {named}")
    if not lengths or not table.rows:
        raise DataError(f"{path}: holds no rows")
    return table


def holds_table(path: Path) -> bool:
    """Whether the arrays of an `.npz` or HDF5 are columns of a table, or `coordinates` and `values`.

    False also where nothing can be read; who reads it then says so.
    """
    try:
        names = {name.lower() for name in (dataset_headers(path) if path.suffix.lower() in HDF else array_names(path))}
    except DataError:
        return False
    return {"coordinates", "values"} <= names or {"x", "y"} <= names


def _refuse_names(path: Path, names: list[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"{path}: {len(twice)} column(s) occur twice, must be unique: {listed(twice)}")


def _parquet(path: Path) -> Table:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if file.metadata.num_rows * file.metadata.num_columns > VALUES_LIMIT:
                raise ValueError(f"{file.metadata.num_rows} rows of {file.metadata.num_columns} columns are too many")
            table = file.read()
        _refuse_names(path, list(table.column_names))
        columns = {name: _plain(table.column(name)) for name in table.column_names}
        return Table(columns, index_names(table.schema))
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be read as parquet ({error})") from None


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


def _text(path: Path, options: ImportOptions) -> Columns:
    dialect = dialect_of(path)
    if not dialect.names:
        raise DataError(f"{path}: its first line holds numbers, must name the columns; put x,y,z,… above them")
    named = [(place, name or f"Unnamed: column {place + 1}") for place, name in enumerate(dialect.names)]
    _refuse_names(path, [name for _, name in named])
    labels = text_columns(dialect.names, options)
    frame = read_frame(path, dialect, [place for place, name in named if name in labels])
    return {name: np.asarray(frame[place]) for place, name in named}


def _assembled(path: Path, arrays: Columns) -> Columns:
    """Columns out of `coordinates` [N, 3] and `values` [N, C], named by `channels` [C]; else the arrays themselves."""
    if not {"coordinates", "values"} <= set(arrays):
        return arrays
    coordinates, values = arrays["coordinates"], arrays["values"]
    if (
        coordinates.ndim != 2
        or coordinates.shape[1] != len(AXES)
        or values.ndim != 2
        or len(values) != len(coordinates)
    ):
        raise DataError(
            f"{path}: coordinates is {coordinates.shape} and values {values.shape}, must be [N, 3] and [N, C]"
        )
    names = [f"channel_{number}" for number in range(values.shape[1])]
    if "channels" in arrays:
        names = texts(arrays["channels"].astype(str)) or []
        if len(names) != values.shape[1]:
            raise DataError(f"{path}: channels names {len(names)}, must name {values.shape[1]} as values has columns")
    rest = {name: array for name, array in arrays.items() if name not in ("coordinates", "values", "channels")}
    _refuse_names(path, [*AXES, *names, *rest])
    columns = {axis: coordinates[:, place] for place, axis in enumerate(AXES)} | rest
    return columns | {name: values[:, place] for place, name in enumerate(names)}
