"""Missing values: NaN in arrays, the mask of what was observed, and statistics of the observed values.

Shapes: N samples [N, *event].
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FILL = "fill"  # of a data set's constants: what a missing value is replaced by before it is encoded
LEAST_OBSERVED = 0.1  # share of the samples at which a channel has a value


def mean_of(values: NDArray[Any], axis: int | None = 0) -> NDArray[np.float64]:
    """The mean of what is not missing along an axis, or of all, float64."""
    if not np.isnan(values).any():
        return np.asarray(values.mean(axis=axis, dtype=np.float64))
    return np.asarray(np.nanmean(values, axis=axis, dtype=np.float64))


def spread_of(values: NDArray[Any], axis: int | None = 0) -> NDArray[np.float64]:
    """The standard deviation of what is not missing along an axis, or of all, float64."""
    if not np.isnan(values).any():
        return np.asarray(values.std(axis=axis, dtype=np.float64))
    return np.asarray(np.nanstd(values, axis=axis, dtype=np.float64))


def observed_per_sample(values: NDArray[Any]) -> float:
    """How many values of samples [N, *event] are not missing, mean over the samples."""
    size = int(np.prod(values.shape[1:]))
    return size if values.dtype.kind != "f" else size - float(np.isnan(values).sum()) / len(values)
