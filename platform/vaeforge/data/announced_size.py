"""Sizes that headers announce, held against what a file can hold and what this job may, before anything is read."""

import math
from collections.abc import Sequence
from pathlib import Path

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.errors import DataError
from vaeforge.job_limits import job_memory

VALUES_LIMIT = 2**31
DEFLATE_LIMIT = 1100  # deflate packs at most 1032 bytes into one
SMALL = 2**28  # bytes that any job has, so that nobody looks at what it may hold


def require_room(where: Path | str, what: str, shape: Sequence[int], itemsize: int, stored: int) -> None:
    """Refuse an array that is more than its file can hold.

    Args:
        where: the file.
        what: it is called in that; empty where it is all that the file holds.
        shape: as announced.
        itemsize: bytes of a value.
        stored: the most bytes that the file can hold once unpacked.

    Raises:
        DamagedFileError: if a side is negative, or there are too many values.
    """
    values, announced = math.prod(shape), f"{what} announces".strip()
    if any(side < 0 for side in shape) or values > VALUES_LIMIT or values * itemsize > stored:
        named = tuple(map(int, shape))
        raise DamagedFileError(where, f"{announced} {named}, more than {VALUES_LIMIT} values or than the file can hold")


def require_memory(where: Path | str, size: int) -> None:
    """Refuse so many bytes at once if this job may not hold them.

    Raises:
        DataError: with both sizes.
    """
    if size > SMALL and size > (most := job_memory()):
        raise DataError(
            f"{where}: takes {size / 2**30:.1f} GiB at once, and this job may hold {most / 2**30:.1f} GiB; divide the "
            "file, or ask for more memory"
        )
