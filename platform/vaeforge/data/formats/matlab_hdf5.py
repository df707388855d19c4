"""MATLAB's `.mat` of version 7.3, which is HDF5 with reversed axes, for series."""

import re
from collections.abc import Mapping
from pathlib import Path

from vaeforge.data.file_format import FileFormat, Matrix


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The variables that are matrices of numbers, by their names."""
    from vaeforge.data.matlab_hdf5_file import matrices

    return matrices(path)


FORMAT = FileFormat(
    name="MATLAB 7.3",
    suffixes=(".mat",),
    kind="arrays",
    begins=re.compile(rb"MATLAB 7\.\d MAT-file"),  # the first ones say 7.0
    series=read_series,
)
