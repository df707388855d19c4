"""Series as matrices, of formats that are read whole, or [voxels, timepoints] and turned: a row is a time point.

An array is read whole, since its time points lie across it, or its format does not tell them apart. Shapes: V voxels of
the model, U of the imported source.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.layouts import layout_named
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import Matrix, is_readable, series_in
from vaeforge.data.hemispheres import joined
from vaeforge.errors import DataError
from vaeforge.package.contract import Contract
from vaeforge.score.arrays import columns_taken
from vaeforge.score.batches import Rows

OTHERWISE = "say --transposed false if its rows are timepoints"


class MatrixFile:
    """The time points of one file, or of two that are the hemispheres of one brain."""

    def __init__(self, path: Path, contract: Contract, *, transposed: bool, right: Path | None = None):
        """
        Args:
            path: the file.
            contract: of the model.
            transposed: whether its arrays are [voxels, timepoints].
            right: the file of the right hemisphere, where `path` is the left one's.

        Raises:
            DataError: if it cannot be read.
        """
        if layout_named(contract.data).unnamed_arrays != "matrices":
            raise DataError(f"holds series, but the model takes {contract.data}")
        if not is_readable(path, "series"):
            raise DataError(f"is {path.suffix}, whose columns have names of voxels; {OTHERWISE}")
        self.voxels, self.columns, self.transposed = contract.event_shape[0], columns_taken(contract), transposed
        self.names = tuple(contract.channels)
        found = series_in(path)
        if right is not None:
            found = _joined(found, series_in(right), right, transposed)
        self.arrays = sorted(found.items())

    def count(self) -> None:
        """Only reading everything would tell."""

    def rows(self, start: int, size: int) -> Iterator[Rows]:
        """Time points from `start` on, at most `size` at a time.

        Raises:
            DataError: if an array cannot be read, or has other voxels than the model takes.
        """
        for key, array in self.arrays:
            try:
                matrix = self._taken(key, array)
            except DamagedFileError as error:
                raise DataError(error.reason) from None
            for first in range(start, len(matrix), size):
                values = matrix[first : first + size]
                names = [f"{key}/{first + place}" if key else str(first + place) for place in range(len(values))]
                yield Rows(names, values, np.zeros((len(values), 0), dtype=np.float32))
            start = max(0, start - len(matrix))

    def _taken(self, key: str, array: Matrix) -> NDArray[Any]:
        """An array [V or U, T], or where it is not transposed [T, V or U], as [T, V]."""
        found, turned = array.load(), self.transposed and not array.oriented
        allowed = [self.voxels] if self.columns is None else [self.voxels, len(self.columns)]
        if found.dtype.kind not in "iuf" or found.ndim != 2 or found.shape[0 if turned else 1] not in allowed:
            count = " or ".join(map(str, dict.fromkeys(allowed)))
            wanted = f"[{count}, T], voxels x timepoints as the imported source was" if turned else f"[T, {count}]"
            remedy = OTHERWISE if turned else "say --transposed true if its rows are voxels"
            given = f"{found.dtype} [{', '.join(map(str, found.shape))}]"
            raise DataError(f"{key or 'it'} is {given}, must be numbers {wanted}; {remedy}")
        if array.oriented:
            self._require_names(array.voxels(), found.shape[1])
        matrix = found.T if turned else found
        whole = matrix.shape[1] == self.voxels or self.columns is None
        return matrix if whole else matrix[:, self.columns]

    def _require_names(self, names: tuple[str, ...], count: int) -> None:
        """Refuse parcels that are called otherwise than the model's, which may be others, or in another order."""
        known = self.names
        if names and known and len(known) == count and names != known:
            place = next(place for place, pair in enumerate(zip(names, known, strict=True)) if pair[0] != pair[1])
            raise DataError(f"voxel {place} (from 0) is {names[place]!r}, must be {known[place]!r} as the model has it")


def _joined(left: Mapping[str, Matrix], right: Mapping[str, Matrix], path: Path, transposed: bool) -> dict[str, Matrix]:
    """The arrays of two hemispheres, those of one name to one each."""
    if {*left} != {*right}:
        named = ["has " + (", ".join(sorted(one)) or "none") for one in (left, right)]
        raise DataError(f"{named[0]}, but its right hemisphere, {path.name}, {named[1]}; they must be the same")
    return {name: joined(array, right[name], transposed=transposed) for name, array in left.items()}
