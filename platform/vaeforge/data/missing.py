"""Missing values: NaN in arrays, the mask of what was observed, and statistics of the observed values.

Shapes: N samples [N, *event].
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.large_arrays import blocks_of, give_back

FILL = "fill"  # of a data set's constants: what a missing value is replaced by before it is encoded
FEW = 2  # columns, fewer of which numpy sums in another order
LARGE = 2**24  # values, more than which are not taken to float64 all at once
BLOCK = 2**20  # values that are then
PART = 256 * 2**13  # values that are in memory then, a multiple of NumPy's buffer
LEAST_OBSERVED = 0.1  # share of the samples at which a channel has a value


def lacks_values(values: NDArray[Any]) -> bool:
    """Whether a value is missing."""
    return any(bool(np.isnan(block).any()) for _, block in blocks_of(values)) if values.ndim else bool(np.isnan(values))


def mean_of(values: NDArray[Any], axis: int | None = 0) -> NDArray[np.float64]:
    """The mean of what is not missing along an axis, or of all, float64."""
    if axis is None and values.size > LARGE and values.flags.c_contiguous:
        return np.asarray(_mean_of_all(values))
    if _is_large(values, axis):
        total, count = _sums_of_rows(values)
        return total / count
    if not lacks_values(values):
        return np.asarray(values.mean(axis=axis, dtype=np.float64))
    return np.asarray(np.nanmean(values, axis=axis, dtype=np.float64))


def spread_of(values: NDArray[Any], axis: int | None = 0) -> NDArray[np.float64]:
    """The standard deviation of what is not missing along an axis, or of all, float64."""
    if axis is None and values.size > LARGE:
        return _spread_of_large(values)
    if _is_large(values, axis):
        total, count = _sums_of_rows(values, mean_of(values))
        return np.asarray(np.sqrt(total / count))
    return _spread(values, axis)


def _is_large(values: NDArray[Any], axis: int | None) -> bool:
    return axis == 0 and values.ndim == 2 and values.size > LARGE and values.shape[1] > FEW


def _sums_of_rows(
    values: NDArray[Any], mean: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each column [C], the sum of what is not missing, or of squares about `mean`, and how many there are.

    Rows are added one after the other, some in memory, as NumPy adds those of an array that is all in memory.
    """
    total, count = np.zeros(values.shape[1]), np.zeros(values.shape[1], dtype=np.int64)
    for _, block in blocks_of(values):
        rows = block.astype(np.float64)
        missing = np.isnan(rows)
        count += len(rows) - missing.sum(axis=0)
        if mean is not None:
            rows = np.square(rows - mean)
        rows[missing] = 0
        total = np.add.reduce(np.concatenate([total[None], rows]), axis=0)
    return total, count


def _mean_of_all(values: NDArray[Any]) -> np.float64:
    """The mean of what is not missing, to the last bit as NumPy has it, which adds a buffer after the other, too."""
    flat, total, count = values.reshape(-1), np.float64(0), 0
    for start in range(0, flat.size, PART):
        part = flat[start : start + PART]
        missing = np.isnan(part)
        count += part.size - int(missing.sum())
        total = np.add.reduce(np.where(missing, part.dtype.type(0), part), dtype=np.float64, initial=total)
        give_back(values)
    return np.float64(total / count)


def _spread(values: NDArray[Any], axis: int | None) -> NDArray[np.float64]:
    if not lacks_values(values):
        return np.asarray(values.std(axis=axis, dtype=np.float64))
    return np.asarray(np.nanstd(values, axis=axis, dtype=np.float64))


def _spread_of_large(values: NDArray[Any]) -> NDArray[np.float64]:
    """The standard deviation of what is not missing, a block of rows at a time in float64."""
    mean, count, total = mean_of(values, None), 0, 0.0
    step = max(1, BLOCK * len(values) // values.size)
    for start in range(0, len(values), step):
        apart = values[start : start + step].astype(np.float64) - mean
        count += int(np.isfinite(apart).sum())
        total += float(np.nansum(np.square(apart)))
        give_back(values)
    return np.asarray(np.sqrt(total / count))


def observed_per_sample(values: NDArray[Any]) -> float:
    """How many values of samples [N, *event] are not missing, mean over the samples."""
    size = int(np.prod(values.shape[1:]))
    return size if values.dtype.kind != "f" else size - float(np.isnan(values).sum()) / len(values)
