"""Time series of the kind `series`: one array [T, V] a subject, T timepoints of the same V voxels.

They are read twice, once to be checked and once to be written, so that one subject at a time is in memory.
"""

import hashlib
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.source_files import LEAK, listed, reject_duplicates
from vaeforge.errors import DataError
from vaeforge.importing.arrays import (
    DamagedFileError,
    array_names,
    as_float32,
    read_array,
    real,
    require_finite,
)
from vaeforge.importing.delimited import read_matrix
from vaeforge.importing.figures import Bars, Chart, Histogram
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions, stem, usable_name
from vaeforge.importing.nifti import read_volumes
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, Row, shown, summarise
from vaeforge.importing.walk_source import walk
from vaeforge.paths import write_atomically

FILE = "timeseries.npz"
NIFTI, TEXT = (".nii", ".nii.gz"), (".csv", ".tsv", ".txt")
# keys that say nothing about whose series it is: the file's name does
GENERIC = ("arr_0", "bold", "data", "tc", "timeseries", "ts", "x")
EDGES = np.linspace(-5, 5, 101)
LEAST = 2  # timepoints
Values = NDArray[np.float32]


@dataclass(frozen=True)
class SubjectSeries:
    """A series of the source and how to read it."""

    name: str
    shown: str
    load: Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class MeasuredSeries:
    """A series that can be used; `sha256` is of its values and shape."""

    subject: SubjectSeries
    row: Row
    sha256: str
    histogram: NDArray[np.int64]


def read_series(source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """All series in a file or below a folder.

    Raises:
        DataError: if none can be used, two have the same name or values, their voxels differ in number, or a file
            holds pickled objects.
    """
    files = walk(source, log)[0] if source.is_dir() else [source]
    root = source if source.is_dir() else source.parent
    mask = options.mask.resolve() if options.mask else None
    files = [path for path in files if path.resolve() != mask]
    subjects, extras = _subjects(files, root, mask, log)
    measured = []
    for subject in subjects:
        try:
            measured.append(_measure(subject))
        except DamagedFileError as error:
            log.quarantine(subject.shown, error.reason)
    _refuse(source, measured, log)
    values = np.sum([item.histogram for item in measured], axis=0)
    rows = [item.row for item in measured]
    names, lengths = [row["subject"] for row in rows], [float(row["timepoints"]) for row in rows]

    def write(folder: Path) -> None:
        write_atomically(folder / FILE, lambda file: _pack(file, measured))
        extras(folder)

    summary = summarise([{**row, "group": "all"} for row in rows], "group", ("timepoints", "voxels", "mean", "std"))
    charts: list[Chart] = [
        Bars("timepoints", names, lengths, "subject", "timepoints"),
        Histogram("intensities", EDGES, values, "value, standard deviations from the subject's mean", "values"),
    ]
    counts = {"subjects": len(rows), "timepoints": int(sum(lengths)), "voxels": rows[0]["voxels"]}
    return ParsedSource(rows, summary, counts, charts, write)


def _subjects(
    files: list[Path], root: Path, mask: Path | None, log: ImportLog
) -> tuple[list[SubjectSeries], Callable[[Path], None]]:
    """What the files hold, and what writes the files that go beside it."""
    volumes = [path for path in files if path.name.lower().endswith(NIFTI)]
    if mask and not volumes:
        raise DataError(f"--mask: given, but there is no NIFTI file ({', '.join(NIFTI)}) in {root}; leave it away")
    subjects: list[SubjectSeries] = []
    for path in (path for path in files if path not in volumes):
        where = shown(path, root)
        if path.suffix.lower() == ".npz":
            subjects += _arrays(path, where, log)
        elif path.suffix.lower() in TEXT:
            subjects.append(SubjectSeries(stem(path.name), where, partial(read_matrix, path)))
        else:
            log.quarantine(where, f"its suffix is none of .npz, {', '.join((*NIFTI, *TEXT))}")
    loaders, extras = read_volumes(volumes, root, mask, log)
    subjects += [SubjectSeries(stem(path.name), shown(path, root), load) for path, load in loaders]
    return [subject for subject in map(_composed, subjects) if _named(subject, log)], extras


def _arrays(path: Path, where: str, log: ImportLog) -> list[SubjectSeries]:
    try:
        names = array_names(path)
    except DamagedFileError as error:
        log.quarantine(where, error.reason)
        return []
    if len(names) == 1 and names[0].lower() in GENERIC:
        return [SubjectSeries(stem(path.name), where, partial(read_array, path, names[0]))]
    return [SubjectSeries(name, f"{where}: {name}", partial(read_array, path, name)) for name in names]


def _composed(subject: SubjectSeries) -> SubjectSeries:
    return replace(subject, name=unicodedata.normalize("NFC", subject.name))


def _named(subject: SubjectSeries, log: ImportLog) -> bool:
    """Whether a subject's name can be a key; names become files wherever somebody unpacks the archive."""
    problem = usable_name(subject.name)
    if problem:
        log.quarantine(subject.shown, f"the subject's name {subject.name[:120]!r} {problem}")
    return problem is None


def _checked(subject: SubjectSeries) -> Values:
    """The series as float32 [T, V].

    Raises:
        DamagedFileError: if it cannot be used.
        DataError: if its file holds pickled objects.
    """
    array = subject.load()
    if not real(array) or array.ndim != 2 or array.shape[0] < LEAST or array.shape[1] < 1:
        raise DamagedFileError(
            subject.shown,
            f"is {array.dtype} {array.shape}, must be real numbers [timepoints, voxels], at least {LEAST} timepoints",
        )
    values = as_float32(array)
    require_finite(subject.shown, values)
    return values


def _measure(subject: SubjectSeries) -> MeasuredSeries:
    values = _checked(subject)
    mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    row: Row = {
        "subject": subject.name,
        "file": subject.shown,
        "timepoints": values.shape[0],
        "voxels": values.shape[1],
        "constant_voxels": int((values == values[0]).all(axis=0).sum()),
        "mean": mean,
        "std": std,
        "min": float(values.min()),
        "max": float(values.max()),
    }
    counts, _ = np.histogram((values - np.float32(mean)) / np.float32(std or 1), bins=EDGES)
    return MeasuredSeries(subject, row, _sha256(values), counts.astype(np.int64))


def _sha256(values: Values) -> str:
    digest = hashlib.sha256(str(values.shape).encode())
    digest.update(values.data)
    return digest.hexdigest()


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
            f"them onto one grid (timepoints x voxels): {listed(shapes)}"
        )


def _pack(file: BinaryIO, measured: list[MeasuredSeries]) -> None:
    """Write the series into an archive, one at a time; the same series always give the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for item in measured:
            values = _checked(item.subject)
            if _sha256(values) != item.sha256:
                raise DataError(f"{item.subject.shown}: changed while it was read; import it again")
            info = zipfile.ZipInfo(f"{item.subject.name}.npy")  # dated 1980, always
            info.compress_type = zipfile.ZIP_DEFLATED
            with packed.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(cast(BinaryIO, member), values, allow_pickle=False)


class SeriesFormat(ImportFormat):
    """Time series of voxels."""

    layout = "series"

    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        return read_series(source, options, log)


FORMAT = SeriesFormat()
