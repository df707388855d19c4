"""Work on many files side by side in threads, results in the files' order; a bounded number is ahead.

Pillow, zlib and hashing let other threads run. A large file is worked on alone, so that several are not in memory at
once.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from vaeforge.errors import DataError
from vaeforge.work_ahead import work_ahead

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 8  # threads; more wait for the interpreter
AHEAD = 4  # items a thread that may be done before they are asked for
ALONE = 2**22  # bytes of a file, from which on it is worked on alone


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], path: Callable[[Item], Path | None], threads: int = 0
) -> Iterator[Result]:
    """What `work` returns for each item, in order; what it raises is raised in its place.

    Args:
        work: may run in several threads at once.
        items: what it is called with.
        path: the file of an item, or none.
        threads: how many; 0 for one a core that this process may use.
    """
    count = threads or min(MOST, len(os.sched_getaffinity(0)))
    large = threading.Lock()

    def one(item: Item) -> Result:
        if _size(path(item)) < ALONE:
            return work(item)
        with large:
            return work(item)

    return work_ahead(one, items, count if count > 1 else 0, AHEAD * count, "vaeforge-files")


def or_error(work: Callable[[Item], Result]) -> Callable[[Item], Result | DataError]:
    """`work` that returns a DataError where it would raise it: one file that cannot be read does not end the others."""

    def tried(item: Item) -> Result | DataError:
        try:
            return work(item)
        except DataError as error:
            return error

    return tried


def _size(path: Path | None) -> int:
    try:
        return 0 if path is None else path.stat().st_size
    except OSError:
        return 0  # which whoever reads it says
