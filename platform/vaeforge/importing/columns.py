"""Choice of columns in a table: coordinates, labels and channels."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from vaeforge.data.source_files import listed
from vaeforge.errors import ConfigError, DataError, nearest
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog

AXES = ("x", "y", "z")
LABELS = ("section", "hemisphere")
INDICES = ("__index_level_", "unnamed:")  # row numbers that tables are often saved with
MOSTLY = 0.5  # of a column's texts are numbers: then it is a channel, and rows with other texts are dropped

Table = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Columns:
    """The source's columns: of the axes and labels by their canonical names, and the channels in order."""

    axes: dict[str, str]
    labels: dict[str, str]
    channels: list[str]


def choose_columns(path: Path, table: Table, options: ImportOptions, log: ImportLog) -> Columns:
    """Sort out the columns of a table: as the options say, else by name, in whatever case.

    Columns that are no numbers, and row numbers, go into the quarantine.

    Args:
        path: of the table, for messages.
        table: its columns by name.
        options: what the user said about columns.
        log: takes what a person should know.

    Raises:
        ConfigError: if the options name something else than x, y, z, section and hemisphere.
        DataError: if a column is missing, could be several things, or no channel is left.
    """
    unknown = sorted(set(options.columns) - {*AXES, *LABELS})
    if unknown:
        hint = nearest(unknown[0], (*AXES, *LABELS))
        raise ConfigError(f"--columns: got {', '.join(unknown)}, must be among {', '.join((*AXES, *LABELS))}{hint}")
    found = {name: column for name in (*AXES, *LABELS) if (column := _find(path, name, table, options))}
    missing = [axis for axis in AXES if axis not in found]
    if missing:
        hints = "".join(_hint(table, axis) for axis in missing)
        raise DataError(
            f"{path}: has the columns {listed(list(table))}, and none for {', '.join(missing)}{hints}; "
            f"say which, for example --columns {','.join(f'{axis}=NAME' for axis in missing)}"
        )
    shared = [column for column, count in Counter(found.values()).items() if count > 1]
    if shared:
        raise ConfigError(f"--columns: {', '.join(shared)} is given for several of {', '.join((*AXES, *LABELS))}")
    _require_numbers(path, table, [found[axis] for axis in AXES])
    channels = _channels(path, table, options, set(found.values()), log)
    labels = {name: found[name] for name in LABELS if name in found}
    return Columns({axis: found[axis] for axis in AXES}, labels, channels)


def _find(path: Path, name: str, table: Table, options: ImportOptions) -> str | None:
    wanted = options.columns.get(name)
    if wanted is not None:
        if wanted not in table:
            hint = nearest(wanted, table)
            raise DataError(f"{path}: has no column {wanted!r} (given for {name}), has {listed(list(table))}{hint}")
        return wanted
    alike = [column for column in table if column.strip().lower() == name]
    if len(alike) > 1:
        raise DataError(f"{path}: columns {', '.join(map(repr, alike))} could all be {name}; say --columns {name}=…")
    return alike[0] if alike else None


def _hint(table: Table, axis: str) -> str:
    """The column that an axis may be called by: a close name, or the shortest with the axis' letter at an end."""
    ends = [column for column in table if axis in (column[:1].lower(), column[-1:].lower())]
    return nearest(axis, table) or (f"; did you mean {min(ends, key=len)!r}?" if ends else "")


def _channels(path: Path, table: Table, options: ImportOptions, taken: set[str], log: ImportLog) -> list[str]:
    if options.channels:
        missing = [name for name in options.channels if name not in table]
        if missing:
            hint = nearest(missing[0], table)
            raise DataError(f"{path}: --channels: has no {', '.join(missing)}, has {listed(list(table))}{hint}")
        both = sorted(taken & set(options.channels)) or sorted(n for n, k in Counter(options.channels).items() if k > 1)
        if both:
            raise ConfigError(f"--channels: {', '.join(both)} is named twice, or is a coordinate or a label already")
        _require_numbers(path, table, list(options.channels))
        return list(options.channels)
    channels = []
    for name in (name for name in table if name not in taken):
        if name.strip().lower() in ("", "index") or name.lower().startswith(INDICES):
            log.quarantine(f"{path.name}: column {name!r}", "numbers rows; name it in --channels to use it")
        elif not is_numeric(table[name]):
            log.quarantine(f"{path.name}: column {name!r}", f"is no column of numbers ({_sample(table[name])})")
        else:
            channels.append(name)
    if not channels:
        raise DataError(f"{path}: no column of numbers besides coordinates and labels{log.first_reasons()}")
    return channels


def _require_numbers(path: Path, table: Table, names: list[str]) -> None:
    wrong = [f"{name!r} ({_sample(table[name])})" for name in names if not is_numeric(table[name])]
    if wrong:
        raise DataError(f"{path}: {len(wrong)} column(s) must be numbers: {listed(wrong)}")


def _sample(column: NDArray[Any]) -> str:
    return f"for example {str(column[0])[:40]!r}" if len(column) else "empty"


def is_numeric(column: NDArray[Any]) -> bool:
    """Whether a column holds real numbers, or texts of which most are numbers."""
    if column.dtype.kind in "fiu":
        return True
    return column.dtype.kind in "OU" and bool(np.isfinite(numbers(column)).sum() > MOSTLY * len(column))


def numbers(column: NDArray[Any]) -> NDArray[Any]:
    """A column's numbers; a text that is none becomes NaN."""
    if column.dtype.kind in "fiu":
        return column
    converted: NDArray[Any] = pandas.to_numeric(pandas.Series(column), errors="coerce").to_numpy(dtype=np.float64)
    return converted
