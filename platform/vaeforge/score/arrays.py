"""Arrays in `.npy`, `.npz` and HDF5 files as rows, without ever holding one of them whole.

- `.npy`: x [N, *event], or a single sample [*event].
- `.npz` or HDF5 with `x`, likewise, and for models with a condition `condition` [N, C] (or a class told as for
  pictures).
- `.npz` with `images` [N, H, W], grey pictures of a model of `classes`, as an import takes them: uint8, or uint16 where
  the model knows what is white in those; each is squared as `vaeforge prepare` does it, and its class is
  `classes[labels[n]]` where the file has both.
- `.npz` or HDF5 of a model of `series`: each array is a matrix [timepoints, voxels], in the order of their names; a
  sample is a time point. Of the columns of an imported source those are taken that the model's contract names.

Values are in raw units, as in prepared arrays: nothing is scaled, and no logarithm is taken. Pickled objects are
refused.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.layouts import layout_named
from vaeforge.data.array_files import DAMAGE
from vaeforge.data.formats import hdf5, npy, npz
from vaeforge.data.resize import fit_square
from vaeforge.errors import DataError
from vaeforge.package.contract import Contract
from vaeforge.package.inputs import reading_for
from vaeforge.samples import raw_units
from vaeforge.score.batches import Rows, prepare_setting, rejected_rows
from vaeforge.score.conditions import ClassConditions

STORED = tuple(suffix for one in (npy, npz, hdf5) for suffix in one.FORMAT.suffixes)  # of what is read here
PIECE = 2**22  # bytes that are copied at once
HEADER = 2**16  # bytes; what numpy itself takes is less


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, described by its own header."""

    path: Path
    member: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    def pieces(self, start: int, size: int) -> Iterator[NDArray[Any]]:
        """Its rows from `start` on, `size` at a time."""
        if self.member is None:
            yield from _sliced(np.load(self.path, mmap_mode="r", allow_pickle=False).reshape(self.shape), start, size)
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.member}.npy") as file:
            read_header(file)
            yield from self._laid_out(file, start, size) if self.fortran else self._streamed(file, start, size)

    def _streamed(self, file: IO[bytes], start: int, size: int) -> Iterator[NDArray[Any]]:
        row = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        file.seek(start * row, io.SEEK_CUR)
        for first in range(start, self.shape[0], size):
            count = min(size, self.shape[0] - first)
            content = file.read(count * row)
            if len(content) < count * row:
                raise EOFError(f"{self.member} is cut off")
            yield np.frombuffer(content, dtype=self.dtype).reshape(count, *self.shape[1:])

    def _laid_out(self, file: IO[bytes], start: int, size: int) -> Iterator[NDArray[Any]]:
        """Where columns follow one another, rows can only be read from a copy on disk."""
        with TemporaryFile() as copy:
            while content := file.read(PIECE):
                copy.write(content)
            copy.flush()
            yield from _sliced(np.memmap(copy, self.dtype, "r", 0, self.shape, "F"), start, size)


@dataclass(frozen=True)
class StoredDataset:
    """A data set of an HDF5 file, described by the file's own header."""

    path: Path
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def pieces(self, start: int, size: int) -> Iterator[NDArray[Any]]:
        """Its rows from `start` on, `size` at a time."""
        from vaeforge.data.hdf import read_dataset

        if self.shape[0] == 1:  # perhaps a single sample, without an axis of samples
            yield from _sliced(read_dataset(self.path, self.member).reshape(self.shape), start, size)
            return
        for first in range(start, self.shape[0], size):
            yield read_dataset(self.path, self.member, slice(first, first + size))


Stored = StoredArray | StoredDataset


def _sliced(array: NDArray[Any], start: int, size: int) -> Iterator[NDArray[Any]]:
    return (np.array(array[first : first + size]) for first in range(start, len(array), size))


class ArrayFile:
    """The rows of one file.

    Raises:
        DataError: if it cannot be read, holds other arrays than the module's docstring says, or pickled objects.
    """

    def __init__(self, path: Path, contract: Contract, conditions: ClassConditions):
        self.path, self.contract, self.conditions = path, contract, conditions
        try:
            self.arrays = _stored(path)
        except DAMAGE as error:
            raise DataError(f"cannot be read as {path.suffix} ({error or type(error).__name__})") from None
        self.columns, self.reading = columns_taken(contract), reading_for(contract)
        unnamed = None if "x" in self.arrays else layout_named(contract.data).unnamed_arrays
        self.images = unnamed == "images" and "images" in self.arrays
        self.matrices = sorted(self.arrays) if unnamed == "matrices" else []
        self.names = self.matrices or (["images"] if self.images else ["x"])
        if "x" in self.arrays and self.arrays["x"].shape == contract.event_shape:
            self.arrays["x"] = replace(self.arrays["x"], shape=(1, *contract.event_shape))
        self._require_shapes()
        self.labels = self._labels() if self.images else None
        self.own_condition = conditions.needed and not self.images and "condition" in self.arrays
        self._require_condition()

    def count(self) -> int:
        return sum(self.arrays[name].shape[0] for name in self.names)

    def rows(self, start: int, size: int) -> Iterator[Rows]:
        """Rows from `start` on, at most `size` at a time; those after a damage are rejected."""
        for name in self.names:
            length = self.arrays[name].shape[0]
            if start < length:
                yield from self._rows_of(name, start, size)
            start = max(0, start - length)

    def _rows_of(self, name: str, start: int, size: int) -> Iterator[Rows]:
        done = start
        try:
            for values, condition in zip(self.arrays[name].pieces(start, size), self._given(start, size), strict=False):
                taken = self._taken(values)
                yield self._made(self._called(name, done, len(taken)), taken, condition[: len(taken)], done)
                done += len(taken)
        except DAMAGE as error:
            reason = f"cannot be read ({error or type(error).__name__})"
            for first in range(done, self.arrays[name].shape[0], size):
                count = min(size, self.arrays[name].shape[0] - first)
                yield rejected_rows(self.contract, self._called(name, first, count), reason)

    def _taken(self, values: NDArray[Any]) -> NDArray[Any]:
        """Rows [n, U] of an imported source with the model's columns alone; others as they are."""
        whole = self.columns is not None and values.shape[1:] == self.columns.shape
        return values[:, self.columns] if whole and self.columns is not None else values

    def _called(self, name: str, first: int, count: int) -> list[str]:
        prefix = f"{name}/" if self.matrices else ""
        return [f"{prefix}{number}" for number in range(first, first + count)]

    def _made(self, names: list[str], values: NDArray[Any], condition: NDArray[Any], first: int) -> Rows:
        if not self.images:
            return Rows(names, values, condition)
        side, fit = self.contract.event_shape[-1], prepare_setting(self.contract, "fit")
        rows = Rows(names, np.zeros((len(values), 1, side, side), dtype=np.float32), condition.copy())
        for position, image in enumerate(values):
            try:
                rows.x[position, 0] = raw_units(fit_square(self.reading.levels_of_array(image), side, fit))
                if self.labels:
                    rows.condition[position] = self.conditions.named(self.labels[first + position])
            except DataError as error:
                rows.rejected[position] = str(error)
        return rows

    def _given(self, start: int, size: int) -> Iterator[NDArray[Any]]:
        """Conditions [size, C] from a row on: the file's own, else the class of all."""
        if self.own_condition:
            return self.arrays["condition"].pieces(start, size)
        if self.labels:
            return repeat(np.zeros((size, len(self.contract.condition)), dtype=np.float32))
        return repeat(np.tile(self.conditions.of(self.path), (size, 1)))

    def _labels(self) -> list[str] | None:
        """The class of each image, for models with a condition, where the file tells it."""
        if not (self.conditions.needed and {"labels", "classes"} <= set(self.arrays)):
            return None
        with np.load(self.path, allow_pickle=False) as archive:
            labels, classes = archive["labels"], archive["classes"].astype(str).tolist()
        if labels.shape != self.arrays["images"].shape[:1] or labels.dtype.kind not in "iu":
            raise DataError(f"labels is {labels.dtype} {labels.shape}, must be an integer for each image")
        return [classes[n] if 0 <= n < len(classes) else f"number {n}" for n in labels.tolist()]

    def _require_shapes(self) -> None:
        event = self.contract.event_shape
        for name in self.names:
            if name not in self.arrays:
                raise DataError(
                    f"has the arrays {', '.join(self.arrays) or '(none)'}, must have x [N, {_sizes(event)}]"
                )
            array = self.arrays[name]
            known = (event,) if self.columns is None else (event, self.columns.shape)
            right = self._takes_images(array) if self.images else array.shape[1:] in known
            if array.dtype.kind not in "iuf" or not right:
                deep = " or uint16" if self.reading.white else ""
                wanted = f"uint8{deep} [N, H, W]" if self.images else f"numbers [N, {_sizes(event)}]"
                turned = len(array.shape) == 2 and array.shape[:1] in known and not self.conditions.needed
                hint = "; say --transposed true if its rows are voxels" if turned else ""
                raise DataError(f"{name} is {array.dtype} [{_sizes(array.shape)}], must be {wanted}{hint}")

    def _takes_images(self, array: Stored) -> bool:
        deep = array.dtype == np.uint16 and self.reading.white is not None
        return len(array.shape) == 3 and (array.dtype == np.uint8 or deep)

    def _require_condition(self) -> None:
        if self.own_condition:
            given, wanted = self.arrays["condition"], (self.count(), len(self.contract.condition))
            if given.shape != wanted or given.dtype.kind not in "iuf":
                found = f"{given.dtype} [{_sizes(given.shape)}]"
                raise DataError(f"condition is {found}, must be numbers [{_sizes((self.count(), wanted[1]))}]")
        elif not self.labels:
            self.conditions.of(self.path)


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def columns_taken(contract: Contract) -> NDArray[np.bool_] | None:
    """Which columns [U] of an imported source's matrices a model of series takes; none for all."""
    packed = None if contract.source_voxels is None else contract.source_voxels.columns
    return None if packed is None else packed.mask()


def _stored(path: Path) -> dict[str, Stored]:
    """The arrays in the file at `path` by name; `x` for the one of an `.npy`."""
    if path.suffix.lower() in hdf5.FORMAT.suffixes:
        from vaeforge.data.hdf import dataset_headers

        return {name: StoredDataset(path, name, *header) for name, header in dataset_headers(path).items()}
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            return {"x": StoredArray(path, None, *read_header(file))}
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        arrays: dict[str, Stored] = {}
        for info in members:
            name = info.filename.removesuffix(".npy")
            with archive.open(info) as file:
                arrays[name] = StoredArray(path, name, *read_header(file))
        return arrays


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, type and order (true: columns follow one another) of the array that begins here.

    Raises:
        ValueError: if none does, or it holds Python objects, which could run code.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file, max_header_size=HEADER)
    if dtype.hasobject:
        raise ValueError("it holds pickled Python objects, which could run code; nothing was executed")
    return shape, dtype, fortran
