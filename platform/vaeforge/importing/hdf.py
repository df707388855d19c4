"""Reading of untrusted HDF5 files: nothing outside of the file, no more than it can hold."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError
from vaeforge.importing.arrays import VALUES_LIMIT, DamagedFileError

DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError, UnicodeDecodeError, MemoryError)


def read_datasets(path: Path) -> dict[str, NDArray[Any]]:
    """The data sets in the root of the HDF5 file at `path`, texts as numpy's Unicode arrays.

    Raises:
        DataError: if it cannot be read, or leads to another file (external links and storage, virtual data sets).
    """
    with _opened(path) as datasets:
        return {name: _values(dataset, slice(None)) for name, dataset in datasets.items()}


def dataset_headers(path: Path) -> dict[str, tuple[tuple[int, ...], "np.dtype[Any]"]]:
    """Shape and type of each data set in the root of the HDF5 file at `path`.

    Raises:
        DataError: as `read_datasets` says.
    """
    with _opened(path) as datasets:
        return {name: (tuple(dataset.shape), dataset.dtype) for name, dataset in datasets.items()}


def read_dataset(path: Path, name: str, rows: slice = slice(None)) -> NDArray[Any]:
    """Rows of one data set, or all of it.

    Raises:
        DataError: as `read_datasets` says.
    """
    with _opened(path) as datasets:
        return _values(datasets[name], rows)


@contextmanager
def _opened(path: Path) -> Iterator[dict[str, Any]]:
    """The data sets in the root of a file, each checked before anything of it is read."""
    try:
        with h5py.File(path, "r") as file:
            items = {name: _checked(path, file, name) for name in file}
            found = {name: item for name, item in items.items() if item is not None}
            if not found:
                raise DataError(
                    f"{path}: has no data sets in its root, only {', '.join(items) or 'nothing'}; write arrays there "
                    "(docs/import.md says which)"
                )
            yield found
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as HDF5 ({error})") from None


def _checked(path: Path, file: Any, name: str) -> Any:
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
    return item


def _values(item: Any, rows: slice) -> NDArray[Any]:
    chosen: Any = rows if item.shape else ()
    if h5py.check_string_dtype(item.dtype):
        return np.array(item.asstr()[chosen], dtype=np.str_)
    array: NDArray[Any] = np.asarray(item[chosen])
    return array
