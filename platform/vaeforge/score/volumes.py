"""Rows of 4-D NIfTI files (`.nii`, `.nii.gz`) for models of series: a timepoint each, read as an import reads them.

The model's contract says which voxels of which grid its values are. A file on another grid is unusable: how to
interpolate is decided for all subjects alike, before an import.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vaeforge.errors import DataError
from vaeforge.importing.volumes import read_volume, volume_length
from vaeforge.package.contract import Contract
from vaeforge.score.batches import Rows


class VolumeFile:
    """The timepoints of one file.

    Raises:
        DataError: if it cannot be read, its grid is not the model's, or the model knows of no grid.
    """

    def __init__(self, path: Path, contract: Contract, time_axis: str):
        grid = None if contract.source_voxels is None else contract.source_voxels.grid
        if grid is None:
            raise DataError(
                "is NIfTI, but the model's contract names no grid, since it learned from matrices [timepoints, voxels] "
                "or was exported by an earlier version; give such matrices, or prepare and export again"
            )
        self.path, self.grid, self.time_axis = path, grid, time_axis
        self.length = volume_length(path, grid, time_axis)

    def count(self) -> int:
        return self.length

    def rows(self, start: int, size: int) -> Iterator[Rows]:
        """Timepoints from `start` on, at most `size` at a time."""
        matrix = read_volume(self.path, self.grid, self.time_axis)
        for first in range(start, self.length, size):
            values = matrix[first : first + size]
            names = [str(first + place) for place in range(len(values))]
            yield Rows(names, values, np.zeros((len(values), 0), dtype=np.float32))
