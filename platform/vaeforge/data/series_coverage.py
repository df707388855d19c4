"""Coverage of a series in which values are missing: which timepoints and voxels have enough of them.

Shapes: T timepoints, V voxels. A value is missing where it is NaN, infinite or beyond float32.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.large_arrays import blocks_of

LEAST_SHARE = 0.5  # of the voxels at a timepoint, of the timepoints at a voxel, and of the voxels of a series
LEAST_TIMEPOINTS = 2
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Coverage:
    """What of a series has enough values.

    Attributes:
        timepoints: [T], those with values at half or more of the voxels that have any.
        present: [V], voxels with a value at some timepoint.
        voxels: [V], those with values at half or more of these timepoints.
        missing: [V], how many values of each voxel are missing at these timepoints.
    """

    timepoints: Mask
    present: Mask
    voxels: Mask
    missing: NDArray[np.int64]

    def problem(self) -> str:
        """Why the series cannot be used; nothing if it can."""
        absent, count = int((~self.present).sum()), len(self.present)
        if absent > (1 - LEAST_SHARE) * count:
            return f"{absent} of {count} voxels have no value"
        kept = int(self.timepoints.sum())
        if kept < LEAST_TIMEPOINTS and not self.timepoints.all():
            return f"{kept} of {len(self.timepoints)} timepoints have values at half of the voxels, must be at least 2"
        few = int((~self.voxels).sum())
        if few > (1 - LEAST_SHARE) * count:
            return f"{few} of {count} voxels have values at fewer than half of the timepoints"
        return ""


def coverage_of(values: NDArray[np.float32]) -> Coverage:
    """The coverage of a series [T, V].

    Timepoints are judged first, so that those without any value (scrubbed volumes) count against no voxel.
    """
    length, count = values.shape
    if all(bool(np.isfinite(block).all()) for _, block in blocks_of(values)):
        every = np.ones(count, dtype=np.bool_)
        return Coverage(np.ones(length, dtype=np.bool_), every, every, np.zeros(count, dtype=np.int64))
    observed = np.isfinite(values)
    present: Mask = np.asarray(observed.any(axis=0))
    timepoints: Mask = observed.sum(axis=1) >= LEAST_SHARE * max(present.sum(), 1)
    kept, found = int(timepoints.sum()), observed[timepoints].sum(axis=0)
    voxels: Mask = present & (found >= LEAST_SHARE * max(kept, 1))
    return Coverage(timepoints, present, voxels, kept - found.astype(np.int64))


def without_infinities(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values, infinite ones NaN."""
    if not any(bool(np.isinf(block).any()) for _, block in blocks_of(values)):
        return values
    return np.where(np.isinf(values), np.float32(np.nan), values)
