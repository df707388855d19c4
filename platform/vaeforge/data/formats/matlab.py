"""MATLAB's `.mat` up to version 7, for series; that of 7.3 is `matlab_hdf5.py`."""

import re
from collections.abc import Mapping
from pathlib import Path

from vaeforge.data.file_format import FileFormat, Matrix


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The variables that are matrices of numbers, by their names."""
    from vaeforge.data.matlab_file import matrices

    return matrices(path)


FORMAT = FileFormat(
    name="MATLAB",
    suffixes=(".mat",),
    kind="arrays",
    begins=re.compile(rb"MATLAB 5\.0 MAT-file"),
    series=read_series,
)
