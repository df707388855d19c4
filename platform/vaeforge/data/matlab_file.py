"""Reading of untrusted `.mat` files up to version 7, by scipy: numbers alone, never more than the file can hold.

Shapes: a variable has at least two axes, as MATLAB shows it.
"""

import math
import struct
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from vaeforge.data.announced_size import DEFLATE_LIMIT, require_memory, require_room
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import Load, Matrix
from vaeforge.data.matlab_elements import require_elements
from vaeforge.data.matlab_variables import Shape, keyed, point_variables, table_of, usable_variables
from vaeforge.data.table import Table

DOUBLE = 8  # bytes of a number in memory, which may be stored in one
# found by cutting files and overwriting bytes of them at random
DAMAGE = (
    *(MatReadError, struct.error, zlib.error, OSError, ValueError, TypeError, KeyError, IndexError, EOFError),
    *(OverflowError, MemoryError, NotImplementedError, RuntimeError, AttributeError),
)


def matrices(path: Path) -> Mapping[str, Matrix]:
    """The variables that are matrices of numbers, by their names.

    Raises:
        DamagedFileError: if the file cannot be read, holds none, or announces more than it can hold.
    """
    return keyed(_loads(path, usable_variables(path, _variables(path))))


def points(path: Path) -> Table:
    """The variables as a table of points.

    Raises:
        DamagedFileError: as `matrices`.
        DataError: if they do not fit together.
    """
    found, left = point_variables(_variables(path))
    return table_of(path, _loads(path, found), left)


def _variables(path: Path) -> dict[str, tuple[Shape, str]]:
    """Shape and class of each variable."""
    try:
        require_elements(path)
        listed = whosmat(path)
    except DAMAGE as error:
        raise _damaged(path, error) from None
    variables = {name: (tuple(map(int, shape)), kind) for name, shape, kind in listed}
    if len(variables) < len(listed):  # of two, scipy lists the last and reads the first
        raise DamagedFileError(path, "holds variables that share a name, must be unique")
    return variables


def _loads(path: Path, found: Mapping[str, Shape]) -> dict[str, Load]:
    """What reads each of these, whose sizes are possible."""
    for name, shape in found.items():
        require_room(path, name, shape, DOUBLE, path.stat().st_size * DOUBLE * DEFLATE_LIMIT)
        require_memory(path, math.prod(shape) * DOUBLE)
    return {name: partial(_read, path, name) for name in found}


def _read(path: Path, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.asarray(loadmat(path, variable_names=[name])[name])
    except DAMAGE as error:
        raise _damaged(path, error) from None
    if array.dtype.kind not in "fiu":  # where scipy cannot read it, it brings its reason as a text
        raise DamagedFileError(path, f"{name} cannot be read as numbers")
    return array


def _damaged(path: Path, error: BaseException) -> DamagedFileError:
    return DamagedFileError(path, f"cannot be read as MATLAB ({error or type(error).__name__})")
