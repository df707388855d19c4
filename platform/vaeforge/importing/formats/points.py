"""Points in space of the kind `points`: x, y, z, perhaps section, hemisphere and donor, and a column per channel.

Shapes: N points, C channels; everything is written as one table `points.parquet`, coordinates and channels float32, a
missing value NaN.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from vaeforge.data.arrays import as_float32
from vaeforge.data.large_arrays import give_back, mapped_columns
from vaeforge.data.missing import LEAST_OBSERVED
from vaeforge.data.source_files import listed
from vaeforge.data.table import Table
from vaeforge.data.table_columns import AXES
from vaeforge.errors import DataError
from vaeforge.importing.alike_sections import ask_about_copies, ask_about_units
from vaeforge.importing.columns import Columns, choose_columns, labels_of, numbers
from vaeforge.importing.figures import Bars, Chart, Dots, Histogram
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.odd_values import ask_about_standing, standing_for_missing
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, Row
from vaeforge.importing.tables import find_table, read_table
from vaeforge.paths import write_atomically

FILE = "points.parquet"
EDGES = np.linspace(-5, 5, 101)
DRAWN = 20_000  # points in the figure
GROUP = 2**25  # bytes of a row group, all of which are in memory when it is written or read
LEAST = 2
LIMIT = re.compile(r"[<>≤≥]=?\s*[\d.,]+([eE][+-]?\d+)?|<?\s*(LOD|LOQ)", re.IGNORECASE)


@dataclass(frozen=True)
class ImportedPoints:
    """Usable points.

    Attributes:
        numbers: coordinates and channels [N] by column; a channel is NaN where its value is missing.
        labels: section, hemisphere and donor [N] by column, as text.
    """

    numbers: dict[str, NDArray[np.float32]]
    labels: dict[str, NDArray[np.str_]]

    @property
    def channels(self) -> list[str]:
        return [name for name in self.numbers if name not in AXES]

    @property
    def missing(self) -> int:
        """How many values are missing."""
        return sum(lacking(self.numbers[name]) for name in self.channels)


def lacking(values: NDArray[np.float32]) -> int:
    """How many values of a column are missing."""
    count = int(np.isnan(values).sum())
    give_back(values)
    return count


def read_points(source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """The points in a table, in whichever format.

    Raises:
        DataError: if columns are missing or wrong, no row is usable, or two points of a section are at one place.
    """
    path = find_table(source, log)
    table = read_table(path, options)
    log.notes += table.notes
    columns = choose_columns(path, table, options, log)
    _ask_about_limits(path, table, columns.channels, log)
    points = _usable(path, table, columns, log)
    _reject_shared_places(path, points)
    ask_about_copies({name: points.numbers[name] for name in points.channels}, points.labels, log)
    ask_about_units(points.numbers, points.labels, log)
    standing = {}
    for name in points.channels:
        standing[name] = standing_for_missing(points.numbers[name])
        give_back(points.numbers[name])
    ask_about_standing(str(path), standing, log)
    _note_missing(points, log)
    count = len(points.numbers["x"])

    def write(folder: Path) -> None:
        write_atomically(folder / FILE, lambda file: _pack(file, points))

    counts = {"points": count, "channels": len(points.channels), "rows_dropped": table.rows - count}
    counts |= {"missing_values": points.missing} if points.missing else {}
    return ParsedSource(_statistics(path, points), _summary(points), counts, _charts(points), write)


def _pack(file: BinaryIO, points: ImportedPoints) -> None:
    """Write one parquet table, a row group after the other.

    Dictionaries are for labels: those of measured values made the file larger, and are in memory for each column.
    """
    packed = pyarrow.table({**points.numbers, **points.labels})
    form: Any = {"compression": "zstd", "use_dictionary": list(points.labels)}
    with pyarrow.parquet.ParquetWriter(file, packed.schema, **form) as writer:
        rows = max(1, GROUP // (np.dtype(np.float32).itemsize * len(points.numbers)))
        for start in range(0, packed.num_rows, rows):
            writer.write_table(packed.slice(start, rows), row_group_size=rows)
            for values in points.numbers.values():
                give_back(values)


def _ask_about_limits(path: Path, table: Table, channels: list[str], log: ImportLog) -> None:
    """Ask about cells such as `<0.5`: a value that is too low to be measured is not just missing."""
    cells = {name: _beyond_limit(table.columns[name]) for name in channels if table.columns[name].dtype.kind in "OU"}
    found = {name: own for name, own in cells.items() if own}
    if found:
        named = listed([f"{name} ({len(own)}, such as {own[0]!r})" for name, own in found.items()])
        log.ask(
            f"{path}: cells of {len(found)} channel(s) say that a value lies beyond a limit: {named}; if they are not "
            "missing, write numbers that stand for them (0, or half of the limit of detection), and import again",
            "they are missing values, as if nobody had measured there",
        )


def _beyond_limit(column: NDArray[Any]) -> list[str]:
    return [cell for cell in column.tolist() if isinstance(cell, str) and LIMIT.fullmatch(cell.strip())]


def _usable(path: Path, table: Table, columns: Columns, log: ImportLog) -> ImportedPoints:
    """The rows with a place, labels and a value; the others are counted, the first one is named."""
    places = {axis: as_float32(numbers(table.columns[name])) for axis, name in columns.axes.items()}
    places = {axis: places.get(axis, np.zeros(table.rows, dtype=np.float32)) for axis in AXES}
    values = _observed(path, table, columns.channels, log)
    labels = {name: labels_of(table.columns[source]) for name, source in columns.labels.items()}
    good = {name: np.isfinite(column) for name, column in places.items()}
    good |= {name: column != "" for name, column in labels.items()}
    good["any channel"] = np.zeros(table.rows, dtype=np.bool_)
    for channel in values.values():
        good["any channel"] |= np.isfinite(channel)
        give_back(channel)
    usable = np.logical_and.reduce(list(good.values()))
    dropped = int((~usable).sum())
    if dropped:
        row = int(np.argmin(usable))
        column = next(name for name, own in good.items() if not own[row])
        reason = f"NaN, infinite, beyond float32 or empty in column {column!r}"
        log.quarantine(f"{path.name}: row {row} (from 0)", f"{reason}; the first of {dropped} rows dropped")
        log.notes.append(f"{dropped} of {len(usable)} rows dropped: {reason} in row {row}, the first")
    if usable.sum() < LEAST:
        raise DataError(
            f"{path}: {int(usable.sum())} of {len(usable)} rows have a place, their labels and a value, at least "
            f"{LEAST} are needed{log.first_reasons()}; name the columns to use with --channels"
        )
    if not dropped:
        return ImportedPoints(places | values, labels)
    chosen = mapped_columns((name, values[usable]) for name, values in (places | values).items())
    return ImportedPoints(chosen, {name: column[usable] for name, column in labels.items()})


def _observed(path: Path, table: Table, channels: list[str], log: ImportLog) -> dict[str, NDArray[np.float32]]:
    """The channels' values, NaN where one is missing, infinite or beyond float32; channels of too few are left out."""
    found = {}
    for name in channels:
        values = as_float32(numbers(table.columns[name]))
        if np.isinf(values).any():
            values = np.where(np.isfinite(values), values, np.float32(np.nan))
        share = float(np.isfinite(values).mean())
        give_back(values)
        if share < LEAST_OBSERVED:
            reason = f"has a value at {share:.1%} of the points, must have one at {LEAST_OBSERVED:.0%}"
            log.quarantine(f"{path.name}: column {name!r}", reason)
            log.notes.append(f"channel {name!r} left out: it {reason}")
        else:
            found[name] = values
    if not found:
        raise DataError(f"{path}: no channel has values at {LEAST_OBSERVED:.0%} of the points{log.first_reasons()}")
    return found


def _note_missing(points: ImportedPoints, log: ImportLog) -> None:
    """Say what share of the values is missing."""
    if not points.missing:
        return
    missing = {name: float(np.isnan(points.numbers[name]).mean()) for name in points.channels}
    complete = np.ones(len(points.numbers["x"]), dtype=np.bool_)
    for name in points.channels:
        complete &= np.isfinite(points.numbers[name])
        give_back(points.numbers[name])
    worst = max(missing, key=lambda name: missing[name])
    log.notes.append(
        f"{float(np.mean(list(missing.values()))):.2%} of the values are missing, most in {worst!r} "
        f"({missing[worst]:.1%}); {int(complete.sum())} of {len(complete)} points have a value in every channel. All "
        "points are kept, and what is missing counts in neither likelihood nor metrics"
    )


def _reject_shared_places(path: Path, points: ImportedPoints) -> None:
    """Two points of one section at one place could not be told apart."""
    places = [points.numbers[axis] for axis in AXES]
    members = [
        np.unique(column, return_inverse=True)[1] for name, column in points.labels.items() if name != "hemisphere"
    ]
    keys = np.stack([*places, *members], axis=1)
    _, first, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
    twice = np.sort(first[counts > 1])
    if len(twice):
        named = ["(" + ", ".join(f"{axis[index]:.9g}" for axis in places) + ")" for index in twice]
        raise DataError(
            f"{path}: {len(twice)} place(s) have several points of one section, must have one; merge them, or name the "
            f"column that tells them apart with --columns section=NAME: {listed(named)}"
        )


def _statistics(path: Path, points: ImportedPoints) -> list[Row]:
    return [_column(path, name, values) for name, values in points.numbers.items()]


def _column(path: Path, name: str, values: NDArray[np.float32]) -> Row:
    row: Row = {
        "column": name,
        "file": path.name,
        "points": len(values),
        "missing": int(np.isnan(values).sum()),
        "mean": float(np.nanmean(values, dtype=np.float64)),
        "std": float(np.nanstd(values, dtype=np.float64)),
        "min": float(np.nanmin(values)),
        "max": float(np.nanmax(values)),
    }
    give_back(values)
    return row


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
        channel = points.numbers[name][np.isfinite(points.numbers[name])].astype(np.float64)
        give_back(points.numbers[name])
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
