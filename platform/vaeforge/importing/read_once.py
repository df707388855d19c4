"""Values that are read once: later looks are at a copy in a file without a name, in the folder for temporary files.

Sources are compressed, or lie on shares, and are looked at several times: to be measured, written and drawn. A copy is
mapped, so that of a long series no more is in memory than is looked at.
"""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from vaeforge.data.large_arrays import give_back, room, rows_at_once

Load = Callable[[], NDArray[Any]]


class ReadOnce:
    """Brings the values that `load` brings, which is called once where a copy can be kept."""

    def __init__(self, load: Load):
        self._load: Load = load
        self._kept: Load | None = None

    def __call__(self) -> NDArray[Any]:
        if self._kept is not None:
            return self._kept()
        values = self._load()
        self._kept = keep(values)
        return values


def keep(values: NDArray[Any], large: int = 1) -> Load | None:
    """What brings these values again, as they lie, to be read only; none for what are no numbers.

    Who asked for those refuses them. Values of fewer than `large` bytes stay in memory.
    """
    if values.dtype.kind not in "fiu" or not values.size or not values.ndim:
        return None
    turned = values.flags.f_contiguous and not values.flags.c_contiguous
    rows = values.T if turned else values
    copy = room(rows.shape, rows.dtype, large)
    step = rows_at_once(rows)
    for start in range(0, len(rows), step):
        copy[start : start + step] = rows[start : start + step]
        give_back(copy)
    return brings(copy, turned)


def brings(copy: NDArray[Any], turned: bool = False) -> Load:
    """What brings `copy`, or its transpose, to be read only."""
    copy.flags.writeable = False

    def bring() -> NDArray[Any]:
        give_back(copy)  # what an earlier look has left in memory
        return copy.T if turned else copy

    return bring
