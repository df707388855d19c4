"""Time series of the kind `series`: one array [T, V] a subject, T timepoints of the same V voxels.

They are looked at several times, to be checked, written and drawn, so that one subject at a time is in memory; their
files are read once (`read_once`).
"""

import unicodedata
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.arrays import as_float32, real, require_covered
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import belonging, holds_scans, is_readable, is_text, named_suffixes, series_in, unread
from vaeforge.data.group_rules import (
    PARTICIPANTS,
    SUBJECT,
    Grouping,
    GroupRequest,
    group_items,
    write_grouping,
)
from vaeforge.data.hemispheres import JOINED
from vaeforge.data.large_arrays import chosen_columns, extremes, give_back
from vaeforge.data.missing import BLOCK, mean_of, spread_of
from vaeforge.data.series_coverage import LEAST_TIMEPOINTS, without_infinities
from vaeforge.data.series_text import described_columns
from vaeforge.data.source_files import LEAK, listed, reject_duplicates
from vaeforge.data.voxels import SourceVoxels, VoxelGrid, write_source_voxels
from vaeforge.errors import DataError, QuestionError
from vaeforge.importing.figures import Bars, Chart, Histogram, Traces
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions, stem, usable_name
from vaeforge.importing.measured_series import (
    MeasuredSeries,
    SubjectSeries,
    common_names,
    compare_names,
    kept_voxels,
    missing_names,
    note_missing,
)
from vaeforge.importing.odd_values import ask_about_series, odd_values
from vaeforge.importing.packed_series import pack, sha256_of_values
from vaeforge.importing.parsed_source import READ, ImportLog, ParsedSource, Row, shown, summarise
from vaeforge.importing.read_once import ReadOnce
from vaeforge.importing.series_axes import looks_transposed, neighbour_correlation
from vaeforge.importing.series_files import ABOUT
from vaeforge.importing.series_names import ask_about_hemispheres, named_by_folders, with_joined_hemispheres
from vaeforge.importing.volumes import read_volumes
from vaeforge.importing.walk_source import walk
from vaeforge.paths import write_atomically
from vaeforge.progress import through
from vaeforge.samples import evenly_spaced

FILE = "timeseries.npz"
# keys that say nothing about whose series it is: the file's name does
GENERIC = ("", "arr_0", "bold", "data", "tc", "timeseries", "ts", "x")
EDGES = np.linspace(-5, 5, 101)
BOLD = "bold"  # the suffix of series in BIDS
STACKED = "; save an array for each subject, by name: np.savez(FILE, **{name: array})"
TRACED = 4  # subjects in a figure, and voxels of each
Values = NDArray[np.float32]


def read_series(source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """All series in a file or below a folder.

    Raises:
        DataError: if none can be used, two have the same name or values, their voxels differ in number, or a file
            holds pickled objects.
    """
    files = walk(source, log)[0] if source.is_dir() else [source]
    root = source if source.is_dir() else source.parent
    mask = options.mask.resolve() if options.mask else None
    owned = belonging(files)
    files = [path for path in files if path not in owned and path.resolve() != mask]
    subjects, grid = _subjects(files, root, mask, options, log)
    if options.transposed is not None and subjects and all(subject.oriented for subject in subjects):
        raise DataError(
            f"--transposed: given, but {root} holds NIfTI alone, which says what its axes are; leave it away"
        )
    if options.transposed:
        subjects = [subject if subject.oriented else _turned(subject) for subject in subjects]
    if options.hemispheres == JOINED:
        subjects = with_joined_hemispheres(subjects, log)
    if options.dummy_scans:
        subjects = [_without_first(subject, options.dummy_scans) for subject in subjects]
        log.notes.append(f"the first {options.dummy_scans} timepoint(s) of each series are left out, by --dummy-scans")
    measured = []
    for subject in through(subjects, "measuring series", READ / 2):
        try:
            measured.append(_measure(subject))
        except DamagedFileError as error:
            log.quarantine(subject.shown, error.reason)
    if options.transposed is None:
        _ask_for_axes(source, [item for item in measured if not item.subject.oriented], log)
    _refuse(source, measured, log)
    _note_described(root, measured, log)
    odd = {item.subject.name: item.odd for item in measured}
    ask_about_series(str(source), odd, log, start=options.dummy_scans is None)
    kept = kept_voxels(measured, log)
    missing = note_missing(measured, kept, log)
    grouping = _grouped(measured, files, options, log)
    values = np.sum([item.histogram for item in measured], axis=0)
    rows = [item.row for item in measured]
    names, lengths = [row["subject"] for row in rows], [float(row["timepoints"]) for row in rows]

    def write(folder: Path) -> None:
        write_atomically(folder / FILE, lambda file: pack(file, measured, kept, _checked))
        write_source_voxels(folder, SourceVoxels(grid, names=common_names(measured)).taken(kept))
        if grouping.told:
            write_grouping(folder, grouping)

    summary = summarise([{**row, "group": "all"} for row in rows], "group", ("timepoints", "voxels", "mean", "std"))
    charts: list[Chart] = [
        _traces([item.subject for item in measured], kept),
        Bars("timepoints", names, lengths, "subject", "timepoints"),
        Histogram("intensities", EDGES, values, "value, standard deviations from the subject's mean", "values"),
    ]
    counts = {"subjects": len(rows), "timepoints": int(sum(lengths)), "voxels": int(kept.sum())}
    counts |= {"groups": grouping.count} if grouping.told else {}
    counts |= {"missing_values": missing} if missing else {}
    return ParsedSource(rows, summary, counts, charts, write)


def _subjects(
    files: list[Path], root: Path, mask: Path | None, options: ImportOptions, log: ImportLog
) -> tuple[list[SubjectSeries], VoxelGrid | None]:
    """What the files hold, and the voxels of volumes."""
    as_surfaces = options.hemispheres == JOINED
    volumes = [p for p in files if is_readable(p, "volume") and not (as_surfaces and is_readable(p, "series"))]
    for option, given in (("--mask", mask), ("--time-axis", options.time_axis)):
        if given and not volumes:
            raise DataError(
                f"{option}: given, but there is no volume ({named_suffixes('volume')}) in {root}; leave it away"
            )
    if volumes and as_surfaces:
        raise DataError(
            f"--hemispheres joined: joins surfaces (GIFTI, MGH), arrays and tables, but {shown(volumes[0], root)} is a "
            "volume, in which both lie; leave it out"
        )
    scans = [path for path in files if holds_scans(path)]
    subjects: list[SubjectSeries] = []
    for path in (path for path in files if path not in volumes):
        where = shown(path, root)
        if is_text(path) and (scans or ABOUT.fullmatch(path.name)):
            log.quarantine(where, "a text beside volumes, or about them, is no series; import it alone if it is one")
        elif is_readable(path, "series"):
            subjects += _arrays(path, where, log)
        else:
            log.quarantine(where, unread(path, "series", "volume"))
    loaders, grid = read_volumes(_bold(volumes, root, log), root, mask, options.time_axis, log)
    subjects += [SubjectSeries(stem(path.name), shown(path, root), load, oriented=True) for path, load in loaders]
    named = named_by_folders(list(map(_composed, subjects)), log)
    if not options.hemispheres:
        ask_about_hemispheres(named, log)
    return [subject for subject in named if _named(subject, log)], grid


def _note_described(root: Path, measured: list[MeasuredSeries], log: ImportLog) -> None:
    """Say which columns of texts are no voxels as they describe rows, or hold nuisance signals."""
    texts = [item.subject.shown for item in measured if is_text(Path(item.subject.shown))]
    found = Counter(name for text in texts for name in described_columns(root / text))
    for name, count in found.items():
        log.quarantine(f"column {name!r} of {count} file(s)", "describes rows, or is a nuisance signal")
    if found:
        log.notes.append(
            f"columns {', '.join(found)} are no voxels, by their names: they describe rows, or are nuisance signals; "
            "give those that are regions another name"
        )


def _bold(volumes: list[Path], root: Path, log: ImportLog) -> list[Path]:
    """Of BIDS names those of series: where some end with `_bold`, others are maps, masks or components."""
    suffixes = {path: stem(path.name).rsplit("_", 1)[-1] for path in volumes if SUBJECT.search(path.name)}
    if BOLD not in suffixes.values():
        return volumes
    for path, suffix in suffixes.items():
        if suffix != BOLD:
            log.quarantine(
                shown(path, root), f"is called {suffix}, not {BOLD} as the series; import it alone if it is one"
            )
    return [path for path in volumes if suffixes.get(path, BOLD) == BOLD]


def _arrays(path: Path, where: str, log: ImportLog) -> list[SubjectSeries]:
    """The matrices of a file; one without a name, or under a generic one, is called as its file is."""
    try:
        found = series_in(path)
    except DamagedFileError as error:
        log.quarantine(where, error.reason)
        return []
    alone = len(found) == 1 and next(iter(found)).lower() in GENERIC
    return [
        SubjectSeries(
            stem(path.name) if alone else name,
            where if alone else f"{where}: {name}",
            ReadOnce(matrix.load),
            matrix.oriented,
            matrix.voxels,
        )
        for name, matrix in found.items()
    ]


def _composed(subject: SubjectSeries) -> SubjectSeries:
    return replace(subject, name=unicodedata.normalize("NFC", subject.name))


def _named(subject: SubjectSeries, log: ImportLog) -> bool:
    """Whether a subject's name can be a key; names become files wherever somebody unpacks the archive."""
    problem = usable_name(subject.name)
    if problem:
        log.quarantine(subject.shown, f"the subject's name {subject.name[:120]!r} {problem}")
    return problem is None


def _checked(subject: SubjectSeries) -> Values:
    """The series as float32 [T, V], NaN where a value is missing.

    Raises:
        DamagedFileError: if it is no series.
        DataError: if its file holds pickled objects.
    """
    array = subject.load()
    if not real(array) or array.ndim != 2 or array.shape[0] < LEAST_TIMEPOINTS or array.shape[1] < 1:
        raise DamagedFileError(
            subject.shown,
            f"is {array.dtype} {array.shape}, must be real numbers [timepoints, voxels], at least {LEAST_TIMEPOINTS} "
            f"timepoints{STACKED if array.ndim == 3 else ''}",
        )
    return without_infinities(as_float32(array))


def _measure(subject: SubjectSeries) -> MeasuredSeries:
    values = _checked(subject)
    coverage = require_covered(subject.shown, values)
    present = values if coverage.voxels.all() else values[:, coverage.voxels]
    present = present if coverage.timepoints.all() else present[coverage.timepoints]
    missing = int(coverage.missing[coverage.voxels].sum())
    mean, std = float(mean_of(present, None)), float(spread_of(present, None))
    low, high = extremes(present)
    row: Row = {
        "subject": subject.name,
        "file": subject.shown,
        "timepoints": len(present),
        "voxels": values.shape[1],
        "constant_voxels": int((high == low).sum()),
        "missing_values": missing,
        "mean": mean,
        "std": std,
        "min": float(np.nanmin(low)),
        "max": float(np.nanmax(high)),
    }
    correlations = (neighbour_correlation(present, 0), neighbour_correlation(present, 1))
    histogram = _histogram(present, mean, std)
    odd = odd_values(present, std)
    return MeasuredSeries(
        subject, row, sha256_of_values(values), histogram, coverage, correlations, subject.voxels(), odd
    )


def _histogram(values: Values, mean: float, std: float) -> NDArray[np.int64]:
    """How many values lie where, in standard deviations; some rows at a time."""
    counts = np.zeros(len(EDGES) - 1, dtype=np.int64)
    step = max(1, BLOCK * len(values) // values.size)
    for start in range(0, len(values), step):
        rows = values[start : start + step]
        there = rows[np.isfinite(rows)]
        counts += np.histogram((there - np.float32(mean)) / np.float32(std or 1), bins=EDGES)[0]
        give_back(values)
    return counts


def _traces(subjects: list[SubjectSeries], kept: NDArray[np.bool_]) -> Traces:
    """A few voxels of a few subjects."""
    chosen = [subjects[place] for place in evenly_spaced(len(subjects), TRACED)]
    voxels = np.flatnonzero(kept)[evenly_spaced(int(kept.sum()), TRACED)]

    def bring(subject: SubjectSeries) -> NDArray[np.float32]:
        return without_infinities(as_float32(chosen_columns(subject.load(), voxels)))

    labels = [f"{subject.name}, voxels {', '.join(map(str, voxels))}" for subject in chosen]
    return Traces("traces", labels, [partial(bring, subject) for subject in chosen], "timepoint")


def _turned(subject: SubjectSeries) -> SubjectSeries:
    """A series [voxels, timepoints] as one [timepoints, voxels]."""
    return replace(subject, load=lambda: np.ascontiguousarray(subject.load().T), voxels=tuple)


def _without_first(subject: SubjectSeries, count: int) -> SubjectSeries:
    """A series without its first timepoints."""
    return replace(subject, load=lambda: subject.load()[count:])


def _ask_for_axes(source: Path, measured: list[MeasuredSeries], log: ImportLog) -> None:
    """Ask whether rows are voxels, where they look so.

    Raises:
        QuestionError: if nothing could be assumed, since as they are series do not fit one another.
    """
    shapes = [(len(item.coverage.timepoints), len(item.coverage.voxels)) for item in measured]
    reason = looks_transposed(shapes, [item.correlations for item in measured])
    if not reason:
        return
    question = (
        f"{source}: rows may be voxels, not timepoints: {reason}; say --transposed true if rows are voxels, "
        "--transposed false if they are timepoints"
    )
    if len({voxels for _, voxels in shapes}) > 1:
        raise QuestionError(question, transposed=True)
    log.ask(question, "rows are timepoints")


def _grouped(measured: list[MeasuredSeries], files: list[Path], options: ImportOptions, log: ImportLog) -> Grouping:
    """The groups of series by their names; rules look at their paths in the source."""
    names = {item.subject.shown.replace(": ", "/"): item.subject.name for item in measured}
    tables = sorted((path for path in files if is_text(path)), key=lambda path: path.name != PARTICIPANTS)
    request = GroupRequest(pattern=options.groups, column=options.group_column, split=options.split)
    found = group_items(list(names), request, tables).renamed(names)
    if found.question:
        log.ask(found.question, found.assumed)
    if found.told:
        log.notes.append(found.described("series"))
    return found


def _refuse(source: Path, measured: list[MeasuredSeries], log: ImportLog) -> None:
    if not measured:
        raise DataError(
            f"{source}: nothing usable in it ({len(log.quarantined)} item(s) quarantined)"
            f"{log.first_reasons()}; see docs/import.md for what may be given"
        )
    names = ((item.subject.name.casefold(), item.subject.shown) for item in measured)
    reject_duplicates(source, "subjects have the name of another", names, "rename one of each")
    series = ((item.sha256, item.subject.shown) for item in measured)
    reject_duplicates(source, f"series {LEAK}", series, "remove one of each")
    sizes = Counter(item.row["voxels"] for item in measured)
    if len(sizes) > 1:
        shapes = [f"{item.subject.name} {item.row['timepoints']} x {item.row['voxels']}" for item in measured]
        raise DataError(
            f"{source}: subjects have {len(sizes)} different numbers of voxels, must be the same voxels in all; bring "
            f"them onto one grid (timepoints x voxels): {listed(shapes)}{missing_names(measured)}"
        )
    compare_names(source, measured, log)


class SeriesFormat(ImportFormat):
    """Time series of voxels."""

    layout = "series"

    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        return read_series(source, options, log)


FORMAT = SeriesFormat()
