"""Choice of columns in a table: coordinates, labels and channels."""

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from vaeforge.data.large_arrays import give_back
from vaeforge.data.source_files import listed
from vaeforge.data.table import Table
from vaeforge.data.table_columns import AXES, DONOR, GROUPS, LABELS, NOBODY, SECTION, numbers_rows
from vaeforge.errors import ConfigError, DataError, nearest
from vaeforge.importing.column_roles import Numbers, no_channels
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog

MOSTLY = 0.5  # of a column's texts are numbers: then it is a channel, and other texts are missing values
LEAST_GROUPS = 3  # one each to train, validate and test


@dataclass(frozen=True)
class Columns:
    """The source's columns: of the axes and labels by their canonical names, and the channels in order."""

    axes: dict[str, str]
    labels: dict[str, str]
    channels: list[str]


def choose_columns(path: Path, table: Table, options: ImportOptions, log: ImportLog) -> Columns:
    """Sort out the columns of a table: as the options say, else by name, in whatever case.

    Columns that are no numbers, or numbers that count, label or describe, go into the quarantine. Without z all points
    lie in the plane z = 0.

    Args:
        path: of the table, for messages.
        table: its columns by name.
        options: what the user said about columns.
        log: takes what a person should know.

    Raises:
        ConfigError: if the options name something else than x, y, z, section, hemisphere and donor.
        DataError: if a column is missing, could be several things, or no channel is left.
    """
    unknown = sorted(set(options.columns) - {*AXES, *LABELS})
    if unknown:
        hint = nearest(unknown[0], (*AXES, *LABELS))
        raise ConfigError(f"--columns: got {', '.join(unknown)}, must be among {', '.join((*AXES, *LABELS))}{hint}")
    found = {name: column for name in (*AXES, *LABELS) if (column := _find(path, name, table.columns, options))}
    _choose_group(path, table.columns, options, found, log)
    _require_axes(path, table.columns, found, log)
    shared = [column for column, count in Counter(found.values()).items() if count > 1]
    if shared:
        raise ConfigError(f"--columns: {', '.join(shared)} is given for several of {', '.join((*AXES, *LABELS))}")
    axes = {axis: found[axis] for axis in AXES if axis in found}
    _require_numbers(path, table.columns, list(axes.values()))
    labels = {name: found[name] for name in LABELS if name in found}
    channels = _channels(path, table, options, Columns(axes, labels, []), log)
    return Columns(axes, labels, channels)


def _choose_group(
    path: Path, columns: Mapping[str, Any], options: ImportOptions, found: dict[str, str], log: ImportLog
) -> None:
    """Whose point it is: the column given, else one that is called so; what cannot be divided is no group."""
    if options.group_column == NOBODY:
        found.pop(DONOR, None)
        return
    if options.group_column:
        found[DONOR] = options.group_column
        if options.group_column not in columns:
            hint = nearest(options.group_column, columns)
            raise DataError(
                f"{path}: --group-column: has no {options.group_column!r}, has {listed(list(columns))}{hint}"
            )
    elif DONOR not in found:
        called = [name for name in columns if name.strip().lower() in GROUPS and name not in found.values()]
        if len(called) > 1:
            log.ask(
                f"columns {', '.join(called)} could say whose point it is; say --group-column NAME, or none",
                f"{called[0]} does",
            )
        found |= {DONOR: called[0]} if called else {}
    if DONOR in found:
        count = len(set(_texts(columns[found[DONOR]])) - {""})
        log.notes.append(f"groups by column {found[DONOR]!r}: {count} donors, none of them in two splits")
        if count < LEAST_GROUPS:
            if options.group_column:
                raise DataError(
                    f"{path}: --group-column {options.group_column}: holds {count} different names, must be at least "
                    f"{LEAST_GROUPS}, one each to train, validate and test; give --group-column none to split by place"
                )
            log.notes.pop()
            log.ask(
                f"column {found[DONOR]!r} names {count} donor(s), too few to be divided among train, validation and "
                "test; say --group-column none",
                "points are divided by place, and a donor is on both sides",
            )
            del found[DONOR]


def _texts(column: NDArray[Any]) -> list[str]:
    """Labels as text, empty where there is none; whole numbers without a point."""
    if column.dtype.kind in "iub":
        return [str(value) for value in column.tolist()]
    if column.dtype.kind == "f":
        return ["" if value != value else str(int(value) if value.is_integer() else value) for value in column.tolist()]
    return ["" if value is None or value != value else str(value) for value in column.tolist()]


def labels_of(column: NDArray[Any]) -> NDArray[np.str_]:
    """A column of labels [N] as text, empty where there is none."""
    return np.array(_texts(column), dtype=np.str_)


def _require_axes(path: Path, columns: Mapping[str, Any], found: dict[str, str], log: ImportLog) -> None:
    missing = [axis for axis in AXES if axis not in found]
    rest = {name: None for name in columns if name not in found.values()}
    if missing == ["z"] and not nearest("z", rest) and not [name for name in rest if name.lower() in ("zccf", "z_um")]:
        log.notes.append("no column z: all points lie in the plane z = 0; say --columns z=NAME if there is one")
        return
    if missing:
        hints = "".join(_hint(rest, axis) for axis in missing)
        raise DataError(
            f"{path}: has the columns {listed(list(columns))}, and none for {', '.join(missing)}{hints}; "
            f"say which, for example --columns {','.join(f'{axis}=NAME' for axis in missing)}"
        )


def _find(path: Path, name: str, table: Mapping[str, Any], options: ImportOptions) -> str | None:
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


def _hint(columns: Mapping[str, Any], axis: str) -> str:
    """The column that an axis may be called by: a close name, or the shortest with the axis' letter at an end."""
    ends = [column for column in columns if axis in (column[:1].lower(), column[-1:].lower())]
    return nearest(axis, columns) or (f"; did you mean {min(ends, key=len)!r}?" if ends else "")


def matching(patterns: Iterable[str], names: Sequence[str]) -> list[str]:
    """The names that patterns choose, in the order of the patterns and then of the names.

    A pattern is a name, a glob (`PC*`) or a regular expression between slashes (`/^PC /`), which must match a part;
    with `!` before it, it takes away from what the others chose (from all names, if it is the first).

    Raises:
        ConfigError: if a pattern chooses nothing, or is no regular expression.
    """
    chosen: list[str] = []
    for place, pattern in enumerate(patterns):
        without = pattern.startswith("!") and pattern not in names
        found = _matches(pattern[1:] if without else pattern, names)
        if not found:
            hint = nearest(pattern, names)
            raise ConfigError(f"--channels: has no {pattern}, has {listed(list(names))}{hint}")
        if without:
            chosen = [name for name in (chosen if place else names) if name not in found]
        else:
            exact = pattern in names
            chosen += found if exact else [name for name in found if name not in chosen]
    return chosen


def _matches(pattern: str, names: Sequence[str]) -> list[str]:
    if pattern in names:
        return [pattern]
    if len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/"):
        try:
            wanted = re.compile(pattern[1:-1])
        except re.error as error:
            raise ConfigError(f"--channels: {pattern} is no regular expression ({error})") from None
        return [name for name in names if wanted.search(name)]
    return [name for name in names if fnmatch.fnmatchcase(name, pattern)]


def _channels(path: Path, table: Table, options: ImportOptions, special: Columns, log: ImportLog) -> list[str]:
    taken = {*special.axes.values(), *special.labels.values()}
    if options.channels:
        return _given_channels(path, table, options, taken)
    names: list[str] = []
    for name, column in table.columns.items():
        if name in taken:
            continue
        if table.channels and name not in table.channels:
            log.quarantine(f"{path.name}: column {name!r}", "describes points; --columns may name it as a label")
        elif name in table.index or numbers_rows(name):
            log.quarantine(f"{path.name}: column {name!r}", "numbers rows; name it in --channels to use it")
        elif not is_numeric(column):
            log.quarantine(f"{path.name}: column {name!r}", f"is no column of numbers ({_sample(column)})")
        else:
            names.append(name)
    if table.channels:
        return names
    columns = Numbers(lambda name: _finite(table.columns[name]), names)  # a column at a time
    axes = {axis: _finite(table.columns[name]) for axis, name in special.axes.items()}
    sections = labels_of(table.columns[special.labels[SECTION]]) if SECTION in special.labels else None
    left_out = no_channels(columns, axes, sections)
    for name, why in left_out.items():
        log.quarantine(f"{path.name}: column {name!r}", f"{why.reason}; name it in --channels to use it")
    if left_out:
        log.notes.append(f"no channels: {listed([f'{name} ({why.reason})' for name, why in left_out.items()])}")
    for name, why in left_out.items():
        if not why.sure:
            log.ask(
                f"is column {name!r} a channel? It {why.reason}; say --channels '*' to take it with all others, or "
                f"'!{name}' to leave it out",
                f"{name} is left out",
            )
    channels = [name for name in columns if name not in left_out]
    if not channels:
        raise DataError(f"{path}: no column of numbers besides coordinates and labels{log.first_reasons()}")
    return channels


def _given_channels(path: Path, table: Table, options: ImportOptions, taken: set[str]) -> list[str]:
    """What `--channels` chooses; patterns choose among columns of numbers that are nothing else."""
    known = table.channels or table.columns
    free = [name for name in known if name not in taken and is_numeric(table.columns[name])]
    named = [name for name in table.columns if name in options.channels and name not in free]
    try:
        channels = matching(options.channels, [*free, *named])
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from None
    both = sorted(taken & set(channels)) or sorted(n for n, k in Counter(channels).items() if k > 1)
    if both:
        raise ConfigError(f"--channels: {', '.join(both)} is named twice, or is a coordinate or a label already")
    if not channels:
        raise ConfigError(f"--channels: {', '.join(options.channels)} leaves no column")
    _require_numbers(path, table.columns, channels)
    return channels


def _require_numbers(path: Path, table: Mapping[str, NDArray[Any]], names: list[str]) -> None:
    wrong = [f"{name!r} ({_sample(table[name])})" for name in names if not is_numeric(table[name])]
    if wrong:
        raise DataError(f"{path}: {len(wrong)} column(s) must be numbers: {listed(wrong)}")


def _sample(column: NDArray[Any]) -> str:
    return f"for example {str(column[0])[:40]!r}" if len(column) else "empty"


def is_numeric(column: NDArray[Any]) -> bool:
    """Whether a column holds real numbers, or texts of which most are numbers; truth values are none."""
    if column.dtype.kind in "fiu":
        return True
    if column.dtype.kind not in "OU" or any(isinstance(value, bool) for value in column.tolist()):
        return False
    given = sum(value is not None and value == value and str(value).strip() != "" for value in column.tolist())
    return bool(np.isfinite(numbers(column)).sum() > MOSTLY * given)


def _finite(column: NDArray[Any]) -> NDArray[np.float64]:
    """A column's numbers, NaN where there is none that float32 can hold."""
    values = numbers(column).astype(np.float64)
    give_back(column)
    return np.where(np.abs(values) <= np.finfo(np.float32).max, values, np.nan)


def numbers(column: NDArray[Any]) -> NDArray[Any]:
    """A column's numbers; a text that is none becomes NaN."""
    if column.dtype.kind in "fiu":
        return column
    converted: NDArray[Any] = pandas.to_numeric(pandas.Series(column), errors="coerce").to_numpy(dtype=np.float64)
    return converted
