"""MATLAB's `.mat` up to version 7, for series and tables of points; that of 7.3 is `matlab_hdf5.py`."""

import re
from collections.abc import Mapping
from pathlib import Path

from vaeforge.data.file_format import FileFormat, Matrix, TableRequest
from vaeforge.data.table import Table


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The variables that are matrices of numbers, by their names."""
    from vaeforge.data.matlab_file import matrices

    return matrices(path)


def read_table(path: Path, request: TableRequest) -> Table:
    """The vectors of numbers as columns, or `coordinates` and `values`."""
    from vaeforge.data.matlab_file import points

    return points(path)


FORMAT = FileFormat(
    name="MATLAB",
    suffixes=(".mat",),
    kind="arrays",
    begins=re.compile(rb"MATLAB 5\.0 MAT-file"),
    series=read_series,
    table=read_table,
)
