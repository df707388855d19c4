"""NumPy's `.npz`, arrays by name, for series and tables of points."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from vaeforge.data.arrays import array_names, read_array
from vaeforge.data.file_format import FileFormat, Matrix, TableRequest
from vaeforge.data.table import Table, assembled


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The arrays by their names."""
    return {name: Matrix(partial(read_array, path, name)) for name in array_names(path)}


def read_table(path: Path, request: TableRequest) -> Table:
    """The arrays as columns, or `coordinates` and `values`."""
    return Table(assembled(path, {name: read_array(path, name) for name in array_names(path)}))


FORMAT = FileFormat(
    name="NumPy archive",
    suffixes=(".npz",),
    kind="arrays",
    begins=re.compile(rb"PK"),
    series=read_series,
    table=read_table,
)
