"""HDF5 with data sets in its root, for series and tables of points."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from vaeforge.data.file_format import FileFormat, Matrix, TableRequest
from vaeforge.data.table import Table, assembled


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The data sets by their names."""
    from vaeforge.data.hdf import dataset_headers, read_dataset

    return {name: Matrix(partial(read_dataset, path, name)) for name in dataset_headers(path)}


def read_table(path: Path, request: TableRequest) -> Table:
    """The data sets as columns, or `coordinates` and `values`."""
    from vaeforge.data.hdf import read_datasets

    return Table(assembled(path, read_datasets(path)))


FORMAT = FileFormat(
    name="HDF5",
    suffixes=(".h5", ".hdf5"),
    kind="arrays",
    begins=re.compile(rb"\x89HDF\r\n\x1a\n"),
    series=read_series,
    table=read_table,
)
