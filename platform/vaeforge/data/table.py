"""A table of points in memory: columns by name, all of one length.

Shapes: N points, C channels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vaeforge.data.arrays import texts
from vaeforge.data.source_files import listed
from vaeforge.data.table_columns import AXES
from vaeforge.errors import DataError

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Table:
    """Columns [N] by name.

    Attributes:
        columns: all of them.
        index: those that were a table's index, which numbers or names its rows.
        channels: where the format says which columns are channels, these; else empty.
        notes: what a person should know.
    """

    columns: Columns
    index: frozenset[str] = frozenset()
    channels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """N."""
        return len(next(iter(self.columns.values())))


def refuse_repeated(path: Path, names: Sequence[str]) -> None:
    """Refuse columns that share a name.

    Raises:
        DataError: listing them.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"{path}: {len(twice)} column(s) occur twice, must be unique: {listed(twice)}")


def assembled(path: Path, arrays: Columns) -> Columns:
    """Columns out of `coordinates` [N, 3] and `values` [N, C], named by `channels` [C]; else the arrays themselves.

    Raises:
        DataError: if these do not fit together.
    """
    if not {"coordinates", "values"} <= set(arrays):
        return arrays
    coordinates, values = arrays["coordinates"], arrays["values"]
    if (
        coordinates.ndim != 2
        or coordinates.shape[1] != len(AXES)
        or values.ndim != 2
        or len(values) != len(coordinates)
    ):
        raise DataError(
            f"{path}: coordinates is {coordinates.shape} and values {values.shape}, must be [N, 3] and [N, C]"
        )
    names = [f"channel_{number}" for number in range(values.shape[1])]
    if "channels" in arrays:
        names = texts(arrays["channels"].astype(str)) or []
        if len(names) != values.shape[1]:
            raise DataError(f"{path}: channels names {len(names)}, must name {values.shape[1]} as values has columns")
    rest = {name: array for name, array in arrays.items() if name not in ("coordinates", "values", "channels")}
    refuse_repeated(path, [*AXES, *names, *rest])
    columns = {axis: coordinates[:, place] for place, axis in enumerate(AXES)} | rest
    return columns | {name: values[:, place] for place, name in enumerate(names)}
