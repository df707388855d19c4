"""Axes of series: which one is time, where the arrays themselves tell.

Shapes: an array [timepoints, voxels], or, transposed, [voxels, timepoints].
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.large_arrays import chosen_columns, give_back

LINES = 64  # rows or columns that are looked at
STEPS = 1024  # values of each
RELATED = 0.3  # correlation of neighbours along an axis that is time
WEAK = 0.5  # of that along the other axis: neighbouring voxels resemble each other too


def neighbour_correlation(array: NDArray[np.float32], axis: int) -> float:
    """Mean correlation of a value and the next one along `axis`, over lines that vary; 0 if there are none.

    The mean of all lines is taken off first, which is what they all share.
    """
    count = array.shape[1 - axis]
    chosen = np.linspace(0, count - 1, min(LINES, count)).astype(int)
    some = array[chosen, :STEPS] if axis else chosen_columns(array[:STEPS], chosen).T
    values = some.astype(np.float64, order="C")
    give_back(array)
    if len(values) > 2:
        values = values - _mean(values, 0)
    values = np.nan_to_num(values - _mean(values, 1))
    power = (values**2).mean(axis=1)
    if values.shape[1] < 3 or not power.any():
        return 0.0
    product = (values[:, 1:] * values[:, :-1]).mean(axis=1)
    return float((product[power > 0] / power[power > 0]).mean())


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The mean of what is not missing along an axis that stays, 0 where all is."""
    count = np.maximum(np.isfinite(values).sum(axis=axis, keepdims=True), 1)
    mean: NDArray[np.float64] = np.nansum(values, axis=axis, keepdims=True) / count
    return mean


def looks_transposed(shapes: Sequence[tuple[int, int]], correlations: Sequence[tuple[float, float]]) -> str:
    """Why series look like [voxels, timepoints], or nothing if they do not.

    Args:
        shapes: of the arrays, rows and columns.
        correlations: of neighbours along the first and along the second axis of each.
    """
    rows, columns = ({shape[axis] for shape in shapes} for axis in (0, 1))
    if len(rows) == 1 < len(columns):
        return f"all have {rows.pop()} rows, but {len(columns)} different numbers of columns"
    if not correlations or len(columns) > 1:
        return ""
    first, second = (float(np.median([pair[axis] for pair in correlations])) for axis in (0, 1))
    if second > RELATED and first < WEAK * second:
        return f"neighbours correlate along rows ({second:.2f}), not along columns ({first:.2f})"
    return ""
