"""Time series: archives `.npz` with a matrix [timepoints, voxels] per subject; a sample is one time point.

Neighbouring time points resemble each other, so whole subjects are divided, or, of fewer than five, whole blocks of
`block` time points, with `gap` time points left out wherever neighbouring blocks belong to different parts. That unit,
subject or block, is the group of a test sample. A matrix that occurs twice is refused, since it could train and test.

Missing values are NaN, with the training mean as the constant `fill` where there are some. Of a series, timepoints with
values at fewer than half of the voxels are left out, then, of all series, voxels with values at fewer than half of the
timepoints of one. Voxels without variation on the training samples, or without a value in a part, are dropped
everywhere: they have no scale.

Shapes: T time points of a subject, V voxels; x float32 [N, V] in the units of the files; mean, std [V] of train.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from vaeforge.config.layouts import Layout
from vaeforge.config.prepare import Prepare
from vaeforge.data.array_files import DAMAGE
from vaeforge.data.arrays import as_float32, member_of
from vaeforge.data.block_split import PARTS, TEST, Index, divide
from vaeforge.data.group_rules import Grouping, read_grouping
from vaeforge.data.group_split import divide_groups
from vaeforge.data.large_arrays import blocks_of, extremes, give_back, room
from vaeforge.data.missing import FILL, mean_of, spread_of
from vaeforge.data.series_coverage import coverage_of, without_infinities
from vaeforge.data.source_files import LEAK, data_files, reject_duplicates, require_one_data_set
from vaeforge.data.source_reading import source_reading_info
from vaeforge.data.voxels import read_source_voxels
from vaeforge.errors import DataError
from vaeforge.samples import DataSet, Samples

SUBJECTS = 5  # from so many on, `auto` divides by subject

Matrix = NDArray[np.float32]


class SeriesSettings(Prepare):
    """Time series, a matrix [timepoints, voxels] per subject."""

    split: Annotated[Literal["auto", "time", "subject"], Field(description="auto: by subject from five on")] = "auto"
    block: Annotated[int, Field(ge=1, description="time points of a block, the unit of splits and intervals")] = 20
    gap: Annotated[int, Field(ge=0, description="time points left out between blocks of different parts")] = 5

    @model_validator(mode="after")
    def _something_within_gaps(self) -> "SeriesSettings":
        if self.gap >= self.block:
            raise ValueError(f"gap {self.gap} can leave nothing of a block of {self.block}; it must be less than block")
        return self


@dataclass(frozen=True)
class Unit:
    """Time points first..end - 1 of a subject that stay together; `name` is their group's."""

    name: str
    subject: str
    first: int
    end: int


def read(folder: Path, settings: SeriesSettings) -> DataSet:
    """The time points of all subjects below `folder`.

    Raises:
        DataError: if an archive cannot be read, a subject occurs twice, subjects differ in their voxels, no voxel
            varies, or there are too few subjects or time points to divide.
    """
    paths = data_files(folder, (".npz",))
    require_one_data_set(folder, paths)
    quarantined: dict[str, str] = {}
    series = _covered(_subjects(folder, paths), quarantined)
    _require_alike(folder, series, quarantined)
    grouping = _grouping(folder, list(series))
    by = _split_by(grouping, settings)
    units = _by_subject(series) if by == "subject" else _by_block(series, settings.block)
    parts = _divided(folder, units, by, grouping, settings)
    pieces = _pieces(units, parts, settings.gap if by == "time" else 0)
    covered = np.logical_and.reduce([_known(matrix) for matrix in series.values()])
    varying = _varying([[series[unit.subject][unit.first : unit.end] for unit in some] for some in pieces])
    kept = _require_some(folder, covered & varying)
    stacked = [_stacked(series, some, kept) for some in pieces]
    usable = [_with_values(x) for x in stacked]
    arrays = [x if own.all() else x[own] for x, own in zip(stacked, usable, strict=True)]
    missing = sum(int(np.isnan(block).sum()) for x in arrays for _, block in blocks_of(x))
    owner = grouping.groups if by == "subject" else {}
    named = [owner.get(unit.name, unit.name) for unit in pieces[TEST] for _ in range(unit.first, unit.end)]
    groups = [name for name, own in zip(named, usable[TEST].tolist(), strict=True) if own]
    counts = dict(zip(PARTS, map(len, arrays), strict=True)) | {
        "test_groups": len(set(groups)),
        "subjects": grouping.count,
        "voxels": int(kept.sum()),
        "dropped_voxels": int((~kept).sum()),
        "left_out": sum(len(matrix) for matrix in series.values()) - sum(map(len, arrays)),
    }
    counts |= {"missing_values": missing} if missing else {}
    groups_info = {"groups": {"rule": grouping.rule, "count": grouping.count}}
    train, validation, test = map(Samples.unconditional, arrays)
    return DataSet(
        train,
        validation,
        test,
        labels=np.zeros(len(groups), dtype=np.int64),
        groups=groups,
        constants=_constants(arrays[0], bool(missing)),
        counts=counts,
        info=_info(series, by, kept, pieces) | groups_info | _source(folder, kept),
        quarantined=quarantined,
    )


def _subjects(folder: Path, paths: list[Path]) -> dict[str, Matrix]:
    """Every subject's matrix by name: its key, or the file's name where each file has one key."""
    if not paths:
        raise DataError(f"{folder}: holds no archive (.npz); put one there, or run `vaeforge import`")
    contents = {path: _archive(path) for path in paths}
    single = len(paths) > 1 and all(len(arrays) == 1 for arrays in contents.values())
    series: dict[str, Matrix] = {}
    for path, arrays in contents.items():
        for key, matrix in arrays.items():
            name = path.stem if single else key
            if name in series:
                raise DataError(f"{path}: subject {name!r} is in another archive, too; rename it, or remove one")
            series[name] = matrix
    keyed = ((_digest(matrix), name) for name, matrix in series.items())
    reject_duplicates(folder, f"series {LEAK}", keyed, "remove one of each")
    return series


def _archive(path: Path) -> dict[str, Matrix]:
    """The matrices of an archive by key."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: member_of(archive, key) for key in sorted(archive.files)}
    except DAMAGE as error:
        raise DataError(
            f"{path}: cannot be read as an archive without pickled objects ({error}); run `vaeforge import` again"
        ) from None
    if not arrays:
        raise DataError(f"{path}: holds no arrays; remove it, or run `vaeforge import` again")
    for key, array in arrays.items():
        if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiu":
            raise DataError(
                f"{path}: {key}: got {array.dtype} {array.shape}, must be real numbers [timepoints, voxels]; run "
                "`vaeforge import` again"
            )
    # what float32 cannot hold is then infinite, and missing
    return {key: array if array.dtype == np.float32 else as_float32(array) for key, array in arrays.items()}


def _digest(matrix: Matrix) -> str:
    digest = hashlib.sha256(repr(matrix.shape).encode())
    for _, block in blocks_of(matrix):
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()


def _covered(series: dict[str, Matrix], quarantined: dict[str, str]) -> dict[str, Matrix]:
    """The subjects with enough values, NaN at timepoints and voxels that lack some; others go into `quarantined`."""
    usable = {}
    for name, matrix in series.items():
        coverage = coverage_of(matrix)
        problem = coverage.problem()
        if problem:
            quarantined[name] = problem
            continue
        usable[name] = without_infinities(matrix)
        if not (coverage.timepoints.all() and coverage.voxels.all()):
            usable[name] = np.where(np.outer(coverage.timepoints, coverage.voxels), usable[name], np.float32(np.nan))
    return usable


def _require_alike(folder: Path, series: dict[str, Matrix], quarantined: dict[str, str]) -> None:
    if not series:
        raise DataError(f"{folder}: no usable subject ({quarantined}); import the data again")
    voxels = {name: matrix.shape[1] for name, matrix in series.items()}
    if len(set(voxels.values())) > 1:
        raise DataError(f"{folder}: got voxels {voxels}, must be the same for all subjects; map them to one grid")


def _grouping(folder: Path, names: list[str]) -> Grouping:
    """The people of the series; `groups.csv` lies beside the archive, in the data set's folder."""
    return read_grouping(_place(folder), names)


def _place(folder: Path) -> Path:
    """Where the archive lies."""
    return sorted({path.parent for path in data_files(folder, (".npz",))})[0]


def _source(folder: Path, kept: NDArray[np.bool_]) -> dict[str, Any]:
    """For the manifest: which voxels of the imported source are those kept [V], and how its arrays lie."""
    place = _place(folder)
    return read_source_voxels(place, len(kept)).taken(kept).info() | source_reading_info(place)


def _split_by(grouping: Grouping, settings: SeriesSettings) -> str:
    """By time where there are few people, unless several series are of one, who would then be in several parts."""
    if settings.split != "auto":
        return settings.split
    least = len(PARTS) if grouping.joins else SUBJECTS
    return "subject" if grouping.parts or grouping.count >= least else "time"


def _by_subject(series: dict[str, Matrix]) -> list[Unit]:
    return [Unit(name, name, 0, len(matrix)) for name, matrix in series.items()]


def _by_block(series: dict[str, Matrix], block: int) -> list[Unit]:
    """Blocks of `block` time points; a subject's last one takes the remainder."""
    units = []
    for name, matrix in series.items():
        count = max(1, len(matrix) // block)
        ends = [*range(block, count * block, block), len(matrix)]
        starts = [0, *ends[:-1]]
        units += [Unit(f"{name}/{n}", name, *span) for n, span in enumerate(zip(starts, ends, strict=True))]
    return units


def _divided(folder: Path, units: list[Unit], by: str, grouping: Grouping, settings: SeriesSettings) -> Index:
    if by == "subject" and grouping.parts:
        return divide_groups([unit.name for unit in units], grouping, _sizes(units), settings)
    count = grouping.count if by == "subject" else len(units)
    if count < len(PARTS):
        remedy = "divide by time" if by == "subject" else f"reduce `prepare.block` (now {settings.block})"
        what = "subject(s)" if by == "subject" else "block(s) of time points"
        raise DataError(f"{folder}: got {count} {what}, must be at least {len(PARTS)}; add subjects, or {remedy}")
    if by == "subject" and grouping.joins:
        return divide_groups([unit.name for unit in units], grouping, _sizes(units), settings)
    return divide(_sizes(units), settings.validation, settings.test, settings.seed)


def _sizes(units: list[Unit]) -> Index:
    return np.array([unit.end - unit.first for unit in units], dtype=np.int64)


def _pieces(units: list[Unit], parts: Index, gap: int) -> list[list[Unit]]:
    """The units of each part, `gap` time points left out between neighbours of different parts, half on each side."""
    pieces: list[list[Unit]] = [[] for _ in PARTS]
    for index, unit in enumerate(units):
        before, after = (
            0 <= other < len(units) and units[other].subject == unit.subject and parts[other] != parts[index]
            for other in (index - 1, index + 1)
        )
        first, end = unit.first + before * (gap - gap // 2), unit.end - after * (gap // 2)
        pieces[parts[index]].append(Unit(unit.name, unit.subject, first, end))
    return pieces


def _varying(parts: list[list[Matrix]]) -> NDArray[np.bool_]:
    """Which voxels [V] vary over the training samples and have a value in every part."""
    found = [extremes(matrix) for matrix in parts[0] if len(matrix)]
    low, high = np.fmin.reduce([low for low, _ in found]), np.fmax.reduce([high for _, high in found])
    known = [np.any([_known(matrix) for matrix in some], axis=0) for some in parts if any(map(len, some))]
    varying: NDArray[np.bool_] = (high > low) & np.logical_and.reduce(known)
    return varying


def _known(matrix: Matrix) -> NDArray[np.bool_]:
    """Which voxels [V] have a value."""
    known = np.zeros(matrix.shape[1], dtype=np.bool_)
    for _, block in blocks_of(matrix):
        known |= np.isfinite(block).any(axis=0)
    return known


def _require_some(folder: Path, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not kept.any():
        raise DataError(f"{folder}: none of {len(kept)} voxels varies over the training samples; check the import")
    return kept


def _stacked(series: dict[str, Matrix], units: list[Unit], kept: NDArray[np.bool_]) -> Matrix:
    x = room((sum(unit.end - unit.first for unit in units), int(kept.sum())), np.float32)
    start = 0
    for unit in units:
        end = start + unit.end - unit.first
        x[start:end] = series[unit.subject][unit.first : unit.end, kept]
        start = end
        give_back(x)
    return x


def _with_values(x: Matrix) -> NDArray[np.bool_]:
    """Which samples [N, V] have a value at all: [N]."""
    if not len(x):
        return np.zeros(0, dtype=np.bool_)
    return np.concatenate([np.isfinite(block).any(axis=1) for _, block in blocks_of(x)])


def _constants(x: Matrix, missing: bool) -> dict[str, Matrix]:
    """Mean and standard deviation of the training samples [N, V], and what fills missing values, where some are."""
    mean = mean_of(x).astype(np.float32)
    std = spread_of(x).astype(np.float32)
    return {"mean": mean, "std": std} | ({FILL: mean} if missing else {})


def _info(series: dict[str, Matrix], by: str, kept: NDArray[np.bool_], pieces: list[list[Unit]]) -> dict[str, Any]:
    dropped = np.flatnonzero(~kept).tolist()
    return {
        "subjects": {name: len(matrix) for name, matrix in series.items()},
        "split": by,
        "voxels": int(kept.sum()),
        "dropped_voxels": dropped,
        "units": {part: [unit.name for unit in some] for part, some in zip(PARTS, pieces, strict=True)},
    }


class SeriesLayout(Layout):
    """Time series; a sample is a time point."""

    name = "series"
    settings = SeriesSettings
    unnamed_arrays = "matrices"

    def read(self, folder: Path, settings: SeriesSettings) -> DataSet:
        return read(folder, settings)


LAYOUT = SeriesLayout()
