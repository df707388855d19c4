"""Series written into an archive `.npz`: the same series always give the same bytes, and parts of one are in memory.

Shapes: T timepoints, V voxels.
"""

import hashlib
import zipfile
from collections.abc import Callable
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.large_arrays import blocks_of, chosen_columns
from vaeforge.data.missing import LARGE
from vaeforge.errors import DataError
from vaeforge.importing.measured_series import MeasuredSeries, SubjectSeries

LEVEL = 1  # of deflate: noise of scanners packs hardly better at others, which take several times as long
CHUNK = 2**24  # bytes that numpy writes at once
Values = NDArray[np.float32]


def sha256_of_values(values: Values) -> str:
    """SHA-256 of a series and its shape."""
    digest = hashlib.sha256(str(values.shape).encode())
    for _, block in blocks_of(values):
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()


def pack(
    file: BinaryIO, measured: list[MeasuredSeries], kept: NDArray[np.bool_], bring: Callable[[SubjectSeries], Values]
) -> None:
    """Write the series at the voxels kept [V] into an archive, one at a time.

    Args:
        file: the archive's.
        measured: the series.
        kept: which voxels of each.
        bring: the checked values [T, V] of one.

    Raises:
        DataError: if a series is not what was measured.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as packed:
        for item in measured:
            values = bring(item.subject)
            if sha256_of_values(values) != item.sha256:
                raise DataError(f"{item.subject.shown}: changed while it was read; import it again")
            if not item.coverage.timepoints.all():
                values = values[item.coverage.timepoints]
            # by its name it is dated 1980, always, and deflated by the archive's level, which a ZipInfo does not take
            with packed.open(f"{item.subject.name}.npy", "w", force_zip64=True) as member:
                write_columns(cast(BinaryIO, member), values, kept)


def write_columns(member: BinaryIO, values: Values, kept: NDArray[np.bool_], large: int = LARGE) -> None:
    """Write `values[:, kept]` as numpy does: a column after the other, as such a choice lies in memory.

    Of more than `large` values no copy is made; the bytes are the same.
    """
    columns, length = np.flatnonzero(kept), len(values)
    size = length * len(columns)
    if size <= large or min(length, len(columns)) < 2:
        np.lib.format.write_array(member, values[:, kept], allow_pickle=False)
        return
    descr = np.lib.format.dtype_to_descr(values.dtype)
    header = {"descr": descr, "fortran_order": True, "shape": (length, len(columns))}
    np.lib.format.write_array_header_1_0(member, header)
    step = CHUNK // values.itemsize
    for start in range(0, size, step):
        end = min(start + step, size)
        first, last = start // length, (end - 1) // length
        part = chosen_columns(values, columns[first : last + 1]).T.reshape(-1)
        member.write(part[start - first * length : end - first * length].tobytes())
