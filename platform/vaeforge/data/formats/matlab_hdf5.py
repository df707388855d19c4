"""MATLAB's `.mat` of version 7.3, which is HDF5 with reversed axes, for series and points."""

import re
from collections.abc import Mapping
from pathlib import Path

from vaeforge.data.file_format import FileFormat, Matrix, TableRequest
from vaeforge.data.table import Table


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The variables that are matrices of numbers, by their names."""
    from vaeforge.data.matlab_hdf5_file import matrices

    return matrices(path)


def read_table(path: Path, request: TableRequest) -> Table:
    """The vectors of numbers as columns, or `coordinates` and `values`."""
    from vaeforge.data.matlab_hdf5_file import points

    return points(path)


FORMAT = FileFormat(
    name="MATLAB 7.3",
    suffixes=(".mat",),
    kind="arrays",
    begins=re.compile(rb"MATLAB 7\.\d MAT-file"),  # the first ones say 7.0
    series=read_series,
    table=read_table,
)
