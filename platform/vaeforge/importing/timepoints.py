"""A 4-D volume some timepoints at a time: which voxels vary, and their values as a matrix, with little in memory.

Shapes: values X x Y x Z x T; voxels bool [X, Y, Z], V of them; a matrix [T, V].
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.large_arrays import AT_ONCE, give_back, room

Voxels = NDArray[np.bool_]


def varying_voxels(values: NDArray[Any]) -> Voxels:
    """The voxels that take two different values; what is NaN is none."""
    low = high = values[..., 0]
    for _, part in _parts(values):
        low = np.fmin(low, np.fmin.reduce(part, axis=-1))
        high = np.fmax(high, np.fmax.reduce(part, axis=-1))
    varying: Voxels = np.asarray(high > low)
    return varying


def matrix_of(values: NDArray[Any], voxels: Voxels) -> NDArray[Any]:
    """The values at some voxels, [T, V], in a mapped file without a name."""
    found = room((values.shape[-1], int(voxels.sum())), values.dtype, large=1)
    for place, part in _parts(values):
        found[place] = part[voxels].T
        give_back(found)
    return found


def _parts(values: NDArray[Any]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Some timepoints at a time; all at once where those of a voxel lie side by side, and each part would read all."""
    step = max(1, AT_ONCE // max(1, values[..., :1].nbytes))
    if abs(values.strides[-1]) == min(map(abs, values.strides)):
        step = values.shape[-1]
    for start in range(0, values.shape[-1], step):
        yield slice(start, start + step), values[..., start : start + step]
        give_back(values)
