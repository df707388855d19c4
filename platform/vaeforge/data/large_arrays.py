"""Room for large arrays: a mapped file without a name in the folder for temporary files, of which little is in memory.

Whoever fills or reads such an array gives back the pages that were looked at (`give_back`); else they stay in memory
while there is some. Where there is no room for a file, arrays are in memory as all others.
"""

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LARGE = 2**26  # bytes, from which on an array is mapped
ALIGNED = 64  # bytes at a multiple of which arrays begin
AT_ONCE = 2**24  # bytes that are filled before pages are given back


def room(shape: tuple[int, ...], dtype: DTypeLike, large: int = LARGE) -> NDArray[Any]:
    """An array to be filled, mapped if it is large."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size >= max(large, 1):
        try:
            with tempfile.TemporaryFile() as file:
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is found here, and not at a page
                mapped = mmap.mmap(file.fileno(), size)
        except OSError:
            return np.empty(shape, dtype)
        return np.frombuffer(mapped, dtype).reshape(shape)
    return np.empty(shape, dtype)


def give_back(array: NDArray[Any]) -> None:
    """Take the pages of a mapped array out of memory; they stay in its file. Nothing for other arrays."""
    owner: Any = array
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)


def rows_at_once(array: NDArray[Any]) -> int:
    """The rows of an array that are filled or read before its pages are given back."""
    return max(1, AT_ONCE // max(1, array[:1].nbytes))


def blocks_of(array: NDArray[Any]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """The rows of an array, some at a time, with their place; pages that were looked at are given back."""
    step = rows_at_once(array)
    for start in range(0, len(array), step):
        yield slice(start, start + step), array[start : start + step]
        give_back(array)


def extremes(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The smallest and the largest value of each column of `values` [N, C], NaN left out where there is a number."""
    low = high = np.full(values.shape[1], np.nan, values.dtype)
    for _, block in blocks_of(values):
        low, high = np.fmin(low, np.fmin.reduce(block, axis=0)), np.fmax(high, np.fmax.reduce(block, axis=0))
    return low, high


def taken(values: NDArray[Any], rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> NDArray[Any]:
    """The rows and columns of `values` [N, C] that two masks choose, `values[np.ix_(rows, columns)]`."""
    found = room((int(rows.sum()), int(columns.sum())), values.dtype)
    start = 0
    for place, block in blocks_of(values):
        chosen = block[np.ix_(rows[place], columns)]
        found[start : start + len(chosen)] = chosen
        start += len(chosen)
        give_back(found)
    return found


def chosen_columns(values: NDArray[Any], columns: NDArray[np.intp] | slice) -> NDArray[Any]:
    """`values[:, columns]` in memory; each of them lies on all pages of a mapped array."""
    return np.concatenate([block[:, columns] for _, block in blocks_of(values)])


def stacked(items: Sequence[NDArray[Any]], large: int = LARGE) -> NDArray[Any]:
    """Arrays of one shape as one, as `np.stack` does.

    Raises:
        ValueError: if there is none, or shapes differ.
    """
    if not items or len({item.shape for item in items}) > 1:
        return np.stack(items)  # which says so
    whole = room((len(items), *items[0].shape), np.result_type(*{item.dtype for item in items}), large)
    step = rows_at_once(whole)
    for start in range(0, len(items), step):
        for place, item in enumerate(items[start : start + step], start):
            whole[place] = item
        give_back(whole)
        give_back(items[start])
    return whole


def mapped_columns(found: Iterable[tuple[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Columns by their names, those of numbers mapped, one after the other, and to be read only."""
    columns: dict[str, NDArray[Any]] = {}
    spooled: list[str] = []
    with Spool() as spool:
        for name, values in found:
            columns[name] = values
            if values.dtype.kind in "fiu" and values.size:
                spool.append(values)
                spooled.append(name)
                columns[name] = values[:0].copy()  # keeps its place, and not the values
        columns.update(zip(spooled, spool.views(), strict=True))
    return columns


class Spool:
    """Arrays that are put one after the other into a file without a name, to be looked at when all are there.

    A context: where it ends the file is closed, and views of it stay.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed where the context ends)
        self._kinds: list[tuple[np.dtype[Any], tuple[int, ...]]] = []

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, array: NDArray[Any]) -> None:
        """Put another one."""
        self._file.write(np.ascontiguousarray(array).tobytes())
        self._file.write(bytes(-array.nbytes % ALIGNED))
        self._kinds.append((array.dtype, array.shape))

    def views(self) -> list[NDArray[Any]]:
        """All of them, in order, mapped."""
        self._file.flush()
        if not self._kinds:
            return []
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        found, place = [], 0
        for dtype, shape in self._kinds:
            count = int(np.prod(shape, dtype=np.int64))
            found.append(np.frombuffer(mapped, dtype, count, place).reshape(shape))
            size = count * dtype.itemsize
            place += size + -size % ALIGNED
        return found
