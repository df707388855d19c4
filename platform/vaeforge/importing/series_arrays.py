"""Arrays of series in files other than NIfTI: how each of a file's is read, for import and score alike."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vaeforge.importing.arrays import array_names, read_array, read_npy
from vaeforge.importing.hdf import dataset_headers, read_dataset
from vaeforge.importing.series_text import read_series_text
from vaeforge.importing.suffixes import HDF

ARRAYS, TEXT = (".npz", ".npy", *HDF), (".csv", ".tsv", ".txt", ".1d")
Load = Callable[[], NDArray[Any]]


def arrays_in(path: Path) -> dict[str, Load]:
    """How to read each array of a file by its key; empty is the key of what a `.npy` or a text holds.

    Raises:
        DamagedFileError: if it cannot be read.
        DataError: if it holds pickled objects.
    """
    suffix = path.suffix.lower()
    if suffix in TEXT:
        return {"": partial(read_series_text, path)}
    if suffix == ".npy":
        return {"": partial(read_npy, path)}
    if suffix == ".npz":
        return {name: partial(read_array, path, name) for name in array_names(path)}
    return {name: partial(read_dataset, path, name) for name in dataset_headers(path)}
