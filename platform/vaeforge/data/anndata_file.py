"""Elements of AnnData in HDF5, by what they say that they are (`encoding-type`): arrays, sparse matrices, data frames.

As specified in https://anndata.readthedocs.io/en/stable/fileformat-prose.html, with h5py, since no release of anndata
runs on this Python beside this pandas. Files of anndata 0.7 and later; earlier ones hold no data frames.

Shapes: N observations.
"""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

from vaeforge.data.announced_size import require_memory
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.hdf import require_own

ENCODING, INDEX, ORDER, CATEGORIES = "encoding-type", "_index", "column-order", "categories"
SPARSE = {"csr_matrix": csr_matrix, "csc_matrix": csc_matrix}
NULLABLE = ("nullable-integer", "nullable-boolean", "nullable-string-array")
AGAIN = "read it with anndata and write it again (adata.write_h5ad)"


def element(path: Path, file: Any, name: str) -> Any:
    """The group or data set called so, nothing of which lies outside of the file.

    Raises:
        DataError: if it is not there, or leads to another file.
    """
    group, _, last = name.rpartition("/")
    if last not in (members(path, file, group) if group else list(file)):
        raise DamagedFileError(path, f"has no {name}, must have it to be AnnData; {AGAIN}")
    require_own(path, file, name)
    return file[name]


def members(path: Path, file: Any, name: str) -> list[str]:
    """The names in a group; none where it is not there, or is none.

    Raises:
        DataError: if it, or one of its members, is a link.
    """
    if file.get(name, getlink=True) is None:
        return []
    require_own(path, file, name)
    return list(file[name]) if isinstance(file[name], h5py.Group) else []


def read_matrix(path: Path, file: Any, name: str) -> Any:
    """A matrix of real numbers, dense as an array, sparse as SciPy has it.

    Raises:
        DataError: if it is something else, or cannot be read.
    """
    item = element(path, file, name)
    if isinstance(item, h5py.Group):
        made = SPARSE.get(_encoding(item))
        if made is None:
            raise DamagedFileError(path, f"{name} is {_encoding(item) or 'a group'}, must be a matrix; {AGAIN}")
        parts = tuple(np.asarray(item[part]) for part in ("data", "indices", "indptr"))
        found: Any = made(parts, shape=tuple(map(int, item.attrs["shape"])))
        found.check_format(full_check=True)  # indices from outside, which are memory's places afterwards
    else:
        require_memory(path, math.prod(item.shape or ()) * item.dtype.itemsize)
        found = np.asarray(item)
    if found.ndim != 2 or found.dtype.kind not in "fiub":
        raise DamagedFileError(path, f"{name} is {found.dtype} {found.shape}, must be a matrix of real numbers")
    return found


def read_frame(path: Path, file: Any, name: str) -> tuple[list[str], dict[str, NDArray[Any]]]:
    """The names of a data frame's rows, and its columns in order, those that can be read.

    Numbers are numbers, with NaN where one is missing; all else is text or a truth value, or none where it is missing.

    Raises:
        DataError: if it is no data frame, or cannot be read.
    """
    item = element(path, file, name)
    if not isinstance(item, h5py.Group) or _encoding(item) != "dataframe":
        raise DamagedFileError(path, f"{name} is no data frame, as files of anndata before 0.7 have none; {AGAIN}")
    inside = list(item)  # a name that begins with / would lead out of the group, past what was checked
    names = [_text(item.attrs[INDEX]), *map(_text, item.attrs[ORDER])]
    lacking = [column for column in names if column not in inside]
    if lacking:
        raise DamagedFileError(path, f"{name} has no {lacking[0]}, which it names; {AGAIN}")
    index, *columns = (_column(path, item[column], file) for column in names)
    wrong = [column for column, values in zip(names, (index, *columns), strict=True) if values.ndim != 1]
    if wrong:
        raise DamagedFileError(path, f"{name}/{wrong[0]} is no list of values; {AGAIN}")
    return list(map(str, index.tolist())), dict(zip(names[1:], columns, strict=True))


def _encoding(item: Any) -> str:
    return _text(item.attrs.get(ENCODING, ""))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _column(path: Path, item: Any, file: Any) -> NDArray[Any]:
    kind = _encoding(item)
    if kind == "categorical":
        return _categories(np.asarray(item["codes"]), _plain(item[CATEGORIES]))
    if kind in NULLABLE:
        values, missing = _plain(item["values"]), np.asarray(item["mask"], dtype=np.bool_)
        return _with_gaps(values, missing)
    if CATEGORIES in item.attrs:  # of anndata 0.7
        named = file[item.attrs[CATEGORIES]].name
        require_own(path, file, named.strip("/"))
        return _categories(np.asarray(item), _plain(file[named]))
    values = _plain(item)
    return _with_gaps(values, np.zeros(values.shape, dtype=np.bool_))


def _plain(item: Any) -> NDArray[Any]:
    """A data set as numpy has it, texts as objects."""
    if h5py.check_string_dtype(item.dtype):
        return np.asarray(item.asstr()[()], dtype=object)
    return np.asarray(item)


def _with_gaps(values: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any]:
    if values.dtype.kind in "fiu":
        return np.where(missing, np.nan, values) if missing.any() else values
    return np.array(
        [None if gap else cell for cell, gap in zip(values.tolist(), missing.tolist(), strict=True)], object
    )


def _categories(codes: NDArray[Any], names: NDArray[Any]) -> NDArray[Any]:
    """The category of each row, as text; none where its code is -1."""
    texts = [cell if isinstance(cell, bool) else str(cell) for cell in names.tolist()]
    return np.array([None if code < 0 else texts[code] for code in codes.tolist()], dtype=object)
