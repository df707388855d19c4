"""Reading of untrusted HDF5 files: nothing outside of the file, no more than it can hold."""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError
from vaeforge.importing.arrays import VALUES_LIMIT

DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError, UnicodeDecodeError, MemoryError)


def read_datasets(path: Path) -> dict[str, NDArray[Any]]:
    """The data sets in the root of the HDF5 file at `path`, texts as numpy's Unicode arrays.

    Raises:
        DataError: if it cannot be read, or leads to another file (external links and storage, virtual data sets).
    """
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: _read(path, file, name) for name in file}
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be read as HDF5 ({error})") from None
    found = {name: array for name, array in arrays.items() if array is not None}
    if not found:
        raise DataError(
            f"{path}: has no data sets in its root, only {', '.join(arrays) or 'nothing'}; must have coordinates, "
            "values and channels, or one data set a column"
        )
    return found


def _read(path: Path, file: Any, name: str) -> NDArray[Any] | None:
    """A data set, or none for a group."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise DataError(f"{path}: {name} is a link, must be in the file itself; write the values")
    item = file[name]
    if not isinstance(item, h5py.Dataset):
        return None
    if item.is_virtual or item.external:
        raise DataError(f"{path}: {name} lies in another file; write the values into this one")
    if math.prod(item.shape or ()) > VALUES_LIMIT:
        raise DataError(f"{path}: {name} is {item.shape}, at most {VALUES_LIMIT} values are read")
    if h5py.check_string_dtype(item.dtype):
        return np.array(item.asstr()[()], dtype=np.str_)
    array: NDArray[Any] = np.asarray(item[()])
    return array
