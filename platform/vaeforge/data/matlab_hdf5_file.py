"""Reading of untrusted `.mat` files of version 7.3, by h5py: HDF5 whose axes are MATLAB's in reverse order.

Every axis is kept, those of length 1, too. Shapes: a variable has at least two axes, as MATLAB shows it.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.file_format import Matrix
from vaeforge.data.hdf import opened_datasets, read_dataset
from vaeforge.data.matlab_variables import Shape, keyed, point_variables, table_of, usable_variables
from vaeforge.data.table import Table

KIND, EMPTY = "MATLAB_class", "MATLAB_empty"  # attributes of a data set


def matrices(path: Path) -> Mapping[str, Matrix]:
    """The variables that are matrices of numbers, by their names.

    Raises:
        DataError: if the file cannot be read, leads to another one, or holds none.
    """
    found = usable_variables(path, _variables(path))
    return keyed({name: partial(_read, path, name) for name in found})


def points(path: Path) -> Table:
    """The variables as a table of points.

    Raises:
        DataError: as `matrices`, or if they do not fit together.
    """
    found, left = point_variables(_variables(path))
    return table_of(path, {name: partial(_read, path, name) for name in found}, left)


def _variables(path: Path) -> dict[str, tuple[Shape, str]]:
    """Shape and class of each variable."""
    with opened_datasets(path) as datasets:
        return {name: (_shape(item), _kind(item)) for name, item in datasets.items()}


def _shape(item: Any) -> tuple[int, ...]:
    """As MATLAB has it; of an empty variable the data set holds the shape, not the values."""
    return (0, 0) if EMPTY in item.attrs else tuple(item.shape)[::-1]


def _kind(item: Any) -> str:
    """The class that MATLAB names; complex numbers are pairs, which are none."""
    kind = np.asarray(item.attrs.get(KIND, b"")).item()
    named = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    return named if item.dtype.kind in "fiu" else f"{named}, {item.dtype}"


def _read(path: Path, name: str) -> NDArray[Any]:
    return read_dataset(path, name).T
