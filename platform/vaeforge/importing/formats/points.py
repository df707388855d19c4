"""Points in space of the kind `points`: x, y, z, perhaps section and hemisphere, and a column of numbers per channel.

Shapes: N points, C channels; everything is written as one table `points.parquet`, coordinates and channels float32.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from vaeforge.data.source_files import listed
from vaeforge.errors import DataError
from vaeforge.importing.arrays import as_float32
from vaeforge.importing.columns import AXES, Columns, choose_columns, numbers
from vaeforge.importing.figures import Bars, Chart, Dots, Histogram
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, Row
from vaeforge.importing.tables import find_table, read_table
from vaeforge.paths import write_atomically

FILE = "points.parquet"
EDGES = np.linspace(-5, 5, 101)
DRAWN = 20_000  # points in the figure
LEAST = 2


@dataclass(frozen=True)
class ImportedPoints:
    """Usable points: numbers [N, 3 + C] by column, labels (section, hemisphere) [N] by column, as text or integers."""

    numbers: dict[str, NDArray[np.float32]]
    labels: dict[str, NDArray[Any]]

    @property
    def channels(self) -> list[str]:
        return [name for name in self.numbers if name not in AXES]


def read_points(source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """The points in a table, in whichever format.

    Raises:
        DataError: if columns are missing or wrong, no row is usable, or two points are at one place.
    """
    path = find_table(source, log)
    table = read_table(path)
    columns = choose_columns(path, table, options, log)
    points = _usable(path, table, columns, log)
    _reject_shared_places(path, points)
    for name in (name for name in points.channels if np.ptp(points.numbers[name]) == 0):
        log.notes.append(f"channel {name} is constant")
    count = len(points.numbers["x"])

    def write(folder: Path) -> None:
        packed = pyarrow.table({**points.numbers, **points.labels})
        write_atomically(folder / FILE, lambda file: pyarrow.parquet.write_table(packed, file, compression="zstd"))

    counts = {"points": count, "channels": len(points.channels), "rows_dropped": len(table[columns.axes["x"]]) - count}
    return ParsedSource(_statistics(path, points), _summary(points), counts, _charts(points), write)


def _usable(path: Path, table: dict[str, NDArray[Any]], columns: Columns, log: ImportLog) -> ImportedPoints:
    """The rows that are finite in every column; the others are counted, the first one is named."""
    sources = {**columns.axes, **{name: name for name in columns.channels}}
    values = {name: as_float32(numbers(table[source])) for name, source in sources.items()}
    finite = {name: np.isfinite(column) for name, column in values.items()}
    given = {name: _given(table[source]) for name, source in columns.labels.items()}
    usable = np.logical_and.reduce([*finite.values(), *given.values()])
    dropped = int((~usable).sum())
    if dropped:
        row = int(np.argmin(usable))
        column = next(name for name, good in {**finite, **given}.items() if not good[row])
        reason = f"NaN, infinite, beyond float32 or empty in column {column!r}"
        log.quarantine(f"{path.name}: row {row} (from 0)", f"{reason}; the first of {dropped} rows dropped")
        log.notes.append(f"{dropped} of {len(usable)} rows dropped: NaN or infinite; the first is row {row}")
    if usable.sum() < LEAST:
        raise DataError(
            f"{path}: {int(usable.sum())} of {len(usable)} rows are finite in all of {', '.join(sources)}, at least "
            f"{LEAST} are needed{log.first_reasons()}; name the columns to use with --channels"
        )
    labels = {name: _label(table[source][usable]) for name, source in columns.labels.items()}
    return ImportedPoints({name: column[usable] for name, column in values.items()}, labels)


def _given(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a label is there: neither none nor NaN nor empty."""
    if column.dtype.kind in "fiub":
        return np.isfinite(column) if column.dtype.kind == "f" else np.ones(len(column), dtype=np.bool_)
    return np.array([value is not None and value == value and str(value) != "" for value in column], dtype=np.bool_)


def _label(column: NDArray[Any]) -> NDArray[Any]:
    """Labels as int64 where they are whole numbers, else as text."""
    if column.dtype.kind in "iu" or (column.dtype.kind == "f" and _whole(column)):
        return column.astype(np.int64)
    return np.array([str(value) for value in column])


def _whole(column: NDArray[Any]) -> bool:
    """Whether all are whole numbers that int64 holds exactly."""
    return bool(((column == np.round(column)) & (np.abs(column) < 2**53)).all())


def _reject_shared_places(path: Path, points: ImportedPoints) -> None:
    """Points at one place have one condition, and could be in train and test at once."""
    places = np.stack([points.numbers[axis] for axis in AXES], axis=1)
    _, first, counts = np.unique(places, axis=0, return_index=True, return_counts=True)
    twice = np.sort(first[counts > 1])
    if len(twice):
        named = ["(" + ", ".join(f"{value:.9g}" for value in places[index]) + ")" for index in twice]
        raise DataError(
            f"{path}: {len(twice)} place(s) have several points, must have one; merge them, or spread the sections "
            f"along an axis: {listed(named)}"
        )


def _statistics(path: Path, points: ImportedPoints) -> list[Row]:
    return [
        {
            "column": name,
            "file": path.name,
            "points": len(values),
            "mean": float(values.mean(dtype=np.float64)),
            "std": float(values.std(dtype=np.float64)),
            "min": float(values.min()),
            "max": float(values.max()),
        }
        for name, values in points.numbers.items()
    ]


def _sections(points: ImportedPoints) -> NDArray[Any]:
    return points.labels.get("section", np.full(len(points.numbers["x"]), "all"))


def _summary(points: ImportedPoints) -> list[Row]:
    """Number of points and extent of each section."""
    sections = _sections(points)
    rows = []
    for section in np.unique(sections):
        row: Row = {"section": section.item(), "items": int((sections == section).sum())}
        for axis in AXES:
            values = points.numbers[axis][sections == section]
            row |= {f"{axis}_min": float(values.min()), f"{axis}_max": float(values.max())}
        rows.append(row)
    return rows


def _charts(points: ImportedPoints) -> list[Chart]:
    values = np.zeros(len(EDGES) - 1, dtype=np.int64)
    for name in points.channels:
        channel = points.numbers[name].astype(np.float64)
        values += np.histogram((channel - channel.mean()) / (channel.std() or 1), bins=EDGES)[0]
    counts = Counter(_sections(points).tolist())
    step = -(-len(points.numbers["x"]) // DRAWN)
    across, up = (points.numbers[axis][::step].tolist() for axis in ("x", "y"))
    return [
        Dots("places", across, up, "x", "y"),
        Bars("section_counts", list(map(str, counts)), list(map(float, counts.values())), "section", "points"),
        Histogram("intensities", EDGES, values, "value, standard deviations from the channel's mean", "values"),
    ]


class PointsFormat(ImportFormat):
    """Tables of points in space."""

    layout = "points"

    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        return read_points(source, options, log)


FORMAT = PointsFormat()
