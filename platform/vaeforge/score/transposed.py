"""Arrays and texts of series that are [voxels, timepoints], turned: a row is a time point, as for all series.

An array is read whole, since its time points lie across it. Shapes: V voxels of the model, U of the imported source.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError
from vaeforge.importing.arrays import DamagedFileError
from vaeforge.importing.series_arrays import ARRAYS, TEXT, arrays_in
from vaeforge.package.contract import Contract
from vaeforge.score.arrays import columns_taken
from vaeforge.score.batches import Rows

OTHERWISE = "say --transposed false if its rows are timepoints"


class TransposedFile:
    """The time points of one file.

    Raises:
        DataError: if it cannot be read.
    """

    def __init__(self, path: Path, contract: Contract):
        if path.suffix.lower() not in (*ARRAYS, *TEXT):
            raise DataError(f"is {path.suffix}, whose columns have names of voxels; {OTHERWISE}")
        self.voxels, self.columns = contract.event_shape[0], columns_taken(contract)
        self.arrays = sorted(arrays_in(path).items())

    def count(self) -> None:
        """Only reading everything would tell."""

    def rows(self, start: int, size: int) -> Iterator[Rows]:
        """Time points from `start` on, at most `size` at a time.

        Raises:
            DataError: if an array cannot be read, or has other voxels than the model takes.
        """
        for key, load in self.arrays:
            try:
                matrix = self._turned(key, load())
            except DamagedFileError as error:
                raise DataError(error.reason) from None
            for first in range(start, len(matrix), size):
                values = matrix[first : first + size]
                names = [f"{key}/{first + place}" if key else str(first + place) for place in range(len(values))]
                yield Rows(names, values, np.zeros((len(values), 0), dtype=np.float32))
            start = max(0, start - len(matrix))

    def _turned(self, key: str, array: NDArray[Any]) -> NDArray[Any]:
        """An array [V or U, T] as [T, V]."""
        allowed = [self.voxels] if self.columns is None else [self.voxels, len(self.columns)]
        if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[0] not in allowed:
            rows = " or ".join(map(str, dict.fromkeys(allowed)))
            raise DataError(
                f"{key or 'it'} is {array.dtype} [{', '.join(map(str, array.shape))}], must be numbers [{rows}, T], "
                f"voxels x timepoints as the imported source was; {OTHERWISE}"
            )
        return array.T if len(array) == self.voxels or self.columns is None else array[self.columns].T
