"""NumPy's `.npy`, one array, for series."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from vaeforge.data.arrays import read_npy
from vaeforge.data.file_format import FileFormat, Matrix


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The array, which has no key."""
    return {"": Matrix(partial(read_npy, path))}


FORMAT = FileFormat(
    name="NumPy array", suffixes=(".npy",), kind="arrays", begins=re.compile(rb"\x93NUMPY"), series=read_series
)
