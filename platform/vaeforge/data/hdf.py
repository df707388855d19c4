"""Reading of untrusted HDF5 files: nothing outside of the file, no more than it can hold."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vaeforge.data.announced_size import DEFLATE_LIMIT, require_memory, require_room
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.errors import DataError

UNWRITTEN = 2**24  # bytes that a data set may announce without holding any: it is filled with one value
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError, UnicodeDecodeError, MemoryError)


def read_datasets(path: Path) -> dict[str, NDArray[Any]]:
    """The data sets in the root of the HDF5 file at `path`, texts as numpy's Unicode arrays.

    Raises:
        DataError: if it cannot be read, or leads to another file (external links and storage, virtual data sets).
    """
    with opened_datasets(path) as datasets:
        return {name: _values(path, dataset, slice(None)) for name, dataset in datasets.items()}


def dataset_headers(path: Path) -> dict[str, tuple[tuple[int, ...], "np.dtype[Any]"]]:
    """Shape and type of each data set in the root of the HDF5 file at `path`.

    Raises:
        DataError: as `read_datasets` says.
    """
    with opened_datasets(path) as datasets:
        return {name: (tuple(dataset.shape), dataset.dtype) for name, dataset in datasets.items()}


def read_dataset(path: Path, name: str, rows: slice = slice(None)) -> NDArray[Any]:
    """Rows of one data set, or all of it.

    Raises:
        DataError: as `read_datasets` says.
    """
    with opened_datasets(path) as datasets:
        return _values(path, datasets[name], rows)


@contextmanager
def opened_datasets(path: Path) -> Iterator[dict[str, Any]]:
    """The data sets in the root of a file, each checked before anything of it is read.

    Raises:
        DataError: as `read_datasets` says.
    """
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
    _require_hard(path, file, name)
    item = file[name]
    if not isinstance(item, h5py.Dataset):
        return None
    _require_inside(path, name, item)
    return item


def require_own(path: Path, file: Any, name: str) -> None:
    """Refuse an element, a data set or a group, of which something lies outside of the file, or is too large.

    Raises:
        DataError: naming the link or the data set.
    """
    _require_hard(path, file, name)
    item = file[name]
    if isinstance(item, h5py.Dataset):
        _require_inside(path, name, item)
        return

    def stranger(inner: str, link: Any) -> str | None:
        return None if isinstance(link, h5py.HardLink) else inner  # h5py takes an error here for one of its own

    if (inner := item.visititems_links(stranger)) is not None:
        raise DataError(f"{path}: {name}/{inner} is a link, must be in the file itself; write the values")
    datasets: dict[str, Any] = {}

    def keep(inner: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset):
            datasets[f"{name}/{inner}"] = found

    item.visititems(keep)
    for where, dataset in datasets.items():
        _require_inside(path, where, dataset)


def _require_hard(path: Path, file: Any, name: str) -> None:
    """Refuse a path in a file on which a group or data set is a link."""
    parts = name.split("/")
    for end in range(1, len(parts) + 1):
        if not isinstance(file.get("/".join(parts[:end]), getlink=True), h5py.HardLink):
            raise DataError(f"{path}: {name} is a link, must be in the file itself; write the values")


def _require_inside(path: Path, name: str, item: Any) -> None:
    """Refuse a data set whose values lie elsewhere, or are more than the file can hold."""
    if item.is_virtual or item.external:
        raise DataError(f"{path}: {name} lies in another file; write the values into this one")
    stored = min(item.id.get_storage_size(), path.stat().st_size) * DEFLATE_LIMIT
    require_room(path, name, item.shape or (), item.dtype.itemsize, max(UNWRITTEN, stored))


def _values(path: Path, item: Any, rows: slice) -> NDArray[Any]:
    chosen: Any = rows if item.shape else ()
    if h5py.check_string_dtype(item.dtype):
        return np.array(item.asstr()[chosen], dtype=np.str_)
    if item.shape:
        taken = len(range(item.shape[0])[rows])
        require_memory(path, taken * math.prod(item.shape[1:]) * item.dtype.itemsize)
    array: NDArray[Any] = np.asarray(item[chosen])
    return array
