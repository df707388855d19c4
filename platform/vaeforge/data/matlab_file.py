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

from vaeforge.data.arrays import VALUES_LIMIT, DamagedFileError
from vaeforge.data.file_format import Matrix
from vaeforge.data.matlab_variables import keyed, usable_variables

PACKED = 8 * 1100  # numbers of 8 bytes may be stored in one, and deflate packs at most 1032 bytes into one
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
    try:
        variables = {name: (tuple(map(int, shape)), kind) for name, shape, kind in whosmat(path)}
    except DAMAGE as error:
        raise _damaged(path, error) from None
    found = usable_variables(path, variables)
    room = min(VALUES_LIMIT, path.stat().st_size * PACKED)
    for name, shape in found.items():
        if math.prod(shape) > room:
            raise DamagedFileError(path, f"{name} announces {shape}, more than the file can hold or {VALUES_LIMIT}")
    return keyed({name: partial(_read, path, name) for name in found})


def _read(path: Path, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.asarray(loadmat(path, variable_names=[name])[name])
    except DAMAGE as error:
        raise _damaged(path, error) from None
    return array


def _damaged(path: Path, error: BaseException) -> DamagedFileError:
    return DamagedFileError(path, f"cannot be read as MATLAB ({error or type(error).__name__})")
