"""Reading of untrusted `.npz` files: headers first, never a pickled object, never more than is there."""

import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.announced_size import VALUES_LIMIT, require_memory
from vaeforge.data.array_files import DAMAGE
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.large_arrays import AT_ONCE, LARGE, blocks_of, give_back, room
from vaeforge.data.series_coverage import Coverage, coverage_of
from vaeforge.errors import DataError

FLOAT32 = 4  # bytes
PREFIX = np.lib.format.MAGIC_PREFIX


def array_names(path: Path) -> list[str]:
    """The keys of the arrays in the `.npz` file at `path`, each one's header checked.

    Raises:
        DamagedFileError: if it cannot be read.
        DataError: if it is a pickle or holds pickled objects; nothing of it is executed.
    """
    with path.open("rb") as file:
        start = file.read(len(PREFIX))
    if start[:1] == b"\x80":
        raise DataError(f"{path}: is a pickle, must be .npz; save arrays with numpy.savez")
    try:
        with zipfile.ZipFile(path) as opened:
            names = [name.removesuffix(".npy") for name in opened.namelist()]
            for info in opened.infolist():
                with opened.open(info) as member:
                    _header(path, info.filename, info.file_size, cast(BinaryIO, member))
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as .npz ({error or type(error).__name__})") from None
    if len(set(names)) < len(names):
        raise DamagedFileError(path, "a key occurs twice")
    return names


def read_array(path: Path, name: str) -> NDArray[Any]:
    """The array `name` of the `.npz` file at `path`.

    Raises:
        DamagedFileError: if it cannot be read.
        DataError: if it holds pickled objects.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            info = opened.getinfo(f"{name}.npy")
            require_memory(path, info.file_size)
            with opened.open(info) as member:
                _header(path, info.filename, info.file_size, cast(BinaryIO, member))
            with opened.open(info) as member:
                array: NDArray[Any] = np.lib.format.read_array(cast(BinaryIO, member), allow_pickle=False)
                return array
    except DAMAGE as error:
        raise DamagedFileError(path, f"{name} cannot be read ({error or type(error).__name__})") from None


def read_npy(path: Path) -> NDArray[Any]:
    """The array of the `.npy` file at `path`.

    Raises:
        DamagedFileError: if it cannot be read.
        DataError: if it holds pickled objects.
    """
    try:
        with path.open("rb") as file:
            return npy_from(path, file, path.stat().st_size)
    except OSError as error:
        raise DamagedFileError(path, f"cannot be read as .npy ({error})") from None


def npy_from(path: Path, file: BinaryIO, size: int) -> NDArray[Any]:
    """The array of the `.npy` file of `size` bytes that begins where `file` is; `path` is its name in messages.

    Raises:
        DamagedFileError: if it cannot be read.
        DataError: if it holds pickled objects.
    """
    begin = file.tell()
    require_memory(path, size)
    try:
        _header(path, "array.npy", size, file)
        file.seek(begin)
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as .npy ({error or type(error).__name__})") from None


def _header(path: Path, name: str, size: int, member: BinaryIO) -> None:
    """Check type and size that an array's header announces, before anything is allocated.

    Args:
        path: of the file, for messages.
        name: of the array's own file.
        size: of that, in bytes.
        member: where it begins.
    """
    if not name.endswith(".npy"):
        raise ValueError(f"{name} is no array")
    head = io.BytesIO(member.read(2**16))
    version = np.lib.format.read_magic(head)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"{name} is of version {version} of the format")
    shape, _, dtype = read[version](head)
    if dtype.hasobject:
        raise DataError(
            f"{path}: {name.removesuffix('.npy')} holds pickled Python objects, which could run code; "
            "refused, nothing was executed: save plain numbers or text with numpy.savez"
        )
    if math.prod(shape) > VALUES_LIMIT or math.prod(shape) * dtype.itemsize + head.tell() != size:
        raise ValueError(f"{name} announces {shape} {dtype}, which is not what is there")


def real(array: NDArray[Any]) -> bool:
    """Whether an array holds real numbers."""
    return array.dtype.kind in "fiu"


def offenders(values: NDArray[np.float32]) -> tuple[int, tuple[int, ...]] | None:
    """How many of `values` are NaN or infinite, and where the first one is; none if all are finite."""
    finite = np.isfinite(values)
    if finite.all():
        return None
    first = np.unravel_index(int(np.argmin(finite)), values.shape)
    return int((~finite).sum()), tuple(int(index) for index in first)


def as_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """The numbers as float32; what is beyond its range becomes infinite, which `offenders` then finds.

    A large array is mapped, some rows at a time in memory.
    """
    with np.errstate(over="ignore"):
        if array.ndim < 1 or array.size * FLOAT32 < LARGE or (array.dtype == np.float32 and array.flags.c_contiguous):
            return np.ascontiguousarray(array, dtype=np.float32)
        found = room(array.shape, np.float32)
        for place, rows in blocks_of(found):
            rows[...] = array[place]
            give_back(array)
        return found


def member_of(archive: Any, key: str) -> NDArray[Any]:
    """An array of an archive that `np.load` has opened; a large matrix is mapped, row by row, a part in memory.

    Raises:
        Exception: what NumPy raises on damaged files, see `DAMAGE`.
    """
    name, packed = f"{key}.npy", archive.zip
    if name not in packed.namelist() or packed.getinfo(name).file_size < LARGE:
        return np.asarray(archive[key])
    with packed.open(name) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            return np.asarray(archive[key])
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "fiu" or len(shape) != 2 or packed.getinfo(name).file_size - member.tell() != size:
            return np.asarray(archive[key])
        found = room(shape, dtype)
        lines = found.T if columns_first else found
        step = max(1, AT_ONCE // (lines.shape[1] * dtype.itemsize))
        for start in range(0, len(lines), step):
            part = lines[start : start + step]
            part[...] = np.frombuffer(member.read(part.size * dtype.itemsize), dtype).reshape(part.shape)
            give_back(found)
        member.read(1)  # its end, where the sum is checked
        return found


def require_covered(where: str, values: NDArray[np.float32]) -> Coverage:
    """What of a series [timepoints, voxels] has enough values.

    Raises:
        DamagedFileError: if too many are missing.
    """
    coverage = coverage_of(values)
    problem = coverage.problem()
    if problem:
        raise DamagedFileError(where, problem)
    return coverage


def texts(array: NDArray[Any]) -> list[str] | None:
    """A list of the texts in a one-dimensional Unicode array, or none if it is something else."""
    return [str(text) for text in array] if array.ndim == 1 and array.dtype.kind == "U" else None


def require(path: Path, names: list[str], wanted: Iterator[str] | tuple[str, ...]) -> None:
    """Refuse a file that lacks one of `wanted`.

    Raises:
        DataError: naming what it has and what it lacks.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DataError(
            f"{path}: has the arrays {', '.join(names) or '(none)'}, and lacks {', '.join(missing)}; see docs/import.md"
        )
