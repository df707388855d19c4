"""Series of a source as measured for an import, and what of them is kept: voxels, timepoints, missing values.

Shapes: T timepoints, V voxels of a series; all series of a source have the same voxels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.file_format import Load, unnamed
from vaeforge.data.series_coverage import Coverage
from vaeforge.data.series_text import are_places
from vaeforge.data.source_files import listed
from vaeforge.errors import DataError
from vaeforge.importing.odd_values import OddValues
from vaeforge.importing.parsed_source import ImportLog, Row

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SubjectSeries:
    """A series of the source and how to read it.

    Attributes:
        name: of the subject.
        shown: where it is in the source.
        load: brings its values [T, V].
        oriented: whether its format says which axis is time.
        voxels: brings the names of its voxels [V]; empty where they have none.
    """

    name: str
    shown: str
    load: Load
    oriented: bool = False
    voxels: Callable[[], tuple[str, ...]] = unnamed


@dataclass(frozen=True)
class MeasuredSeries:
    """A series that can be used.

    Attributes:
        subject: where it comes from.
        row: of the statistics.
        sha256: of its values and shape.
        histogram: of its values, in standard deviations.
        coverage: timepoints and voxels with enough values.
        correlations: of neighbours along the first and the second axis.
        voxels: names of the voxels [V]; empty where they have none.
        odd: what looks odd in its values.
    """

    subject: SubjectSeries
    row: Row
    sha256: str
    histogram: NDArray[np.int64]
    coverage: Coverage
    correlations: tuple[float, float]
    voxels: tuple[str, ...]
    odd: OddValues


def compare_names(source: Path, measured: Sequence[MeasuredSeries], log: ImportLog) -> None:
    """Ask about series whose voxels have other names than those of the first one.

    Raises:
        DataError: if they have the same names in another order.
    """
    named = [item for item in measured if item.voxels]
    others = [item for item in named if item.voxels != named[0].voxels]
    for item in others:
        if sorted(item.voxels) == sorted(named[0].voxels):
            place, name, first = _first_difference(item, named[0])
            raise DataError(
                f"{source}: {item.subject.shown} has the columns of {named[0].subject.shown} in another order (voxel "
                f"{place} from 0 is {name!r}, not {first!r}); put them in one order in all"
            )
    if others:
        _, name, first = _first_difference(others[0], named[0])
        log.ask(
            f"{source}: columns of {len(others)} series are called otherwise than those of {named[0].subject.shown}, "
            f"first {name!r} in {others[0].subject.shown}, which is {first!r} there; are they the same voxels in the "
            "same order? Give them the same names, or say --yes true",
            "they are the same voxels, in the order of the columns",
        )


def common_names(measured: Sequence[MeasuredSeries]) -> tuple[str, ...] | None:
    """The names of the voxels [V] that tell them apart and that all series with names have; none where there are none.

    Whole numbers from 0 on, which pandas writes where nothing has a name, are none.
    """
    given = {item.voxels for item in measured if item.voxels and not are_places(item.voxels)}
    names = given.pop() if len(given) == 1 else ()
    return names if names and len(set(names)) == len(names) else None


def _first_difference(one: MeasuredSeries, other: MeasuredSeries) -> tuple[int, str, str]:
    """The first voxel that two series of as many call otherwise, and both names."""
    pairs = enumerate(zip(one.voxels, other.voxels, strict=True))
    return next((place, *names) for place, names in pairs if names[0] != names[1])


def missing_names(measured: Sequence[MeasuredSeries]) -> str:
    """Which voxels are not in all series, by name; nothing where they have no names."""
    if not all(item.voxels for item in measured):
        return ""
    every = dict.fromkeys(name for item in measured for name in item.voxels)
    lacking = {name: [item.subject.shown for item in measured if name not in item.voxels] for name in every}
    told = [f"{name!r} is not in {listed(files)}" for name, files in lacking.items() if files]
    return f" ({listed(told)})" if told else ""


def kept_voxels(measured: Sequence[MeasuredSeries], log: ImportLog) -> Mask:
    """The voxels [V] that have enough values in all series; the others go into the quarantine, by name.

    Raises:
        DataError: if there are none.
    """
    enough = np.stack([item.coverage.voxels for item in measured])
    kept: Mask = np.asarray(enough.all(axis=0))
    left_out = [_called(voxel, measured) for voxel in np.flatnonzero(~kept).tolist()]
    for voxel, name in zip(np.flatnonzero(~kept).tolist(), left_out, strict=True):
        log.quarantine(name, f"{_lack(voxel, measured)}; left out of all")
    if left_out:
        log.notes.append(
            f"{len(left_out)} of {len(kept)} voxels left out of all series, as they have values at fewer than half of "
            f"the timepoints of some: {listed(left_out)}"
        )
    if not kept.any():
        raise DataError(
            f"no voxel has values at half of the timepoints of all series{log.first_reasons()}; leave out series that "
            "cover little"
        )
    return kept


def note_missing(measured: Sequence[MeasuredSeries], kept: Mask, log: ImportLog) -> int:
    """How many values are missing at the voxels [V] and timepoints kept; other timepoints go into the quarantine."""
    left_out = 0
    for item in measured:
        for timepoint in np.flatnonzero(~item.coverage.timepoints).tolist():
            left_out += 1
            log.quarantine(
                f"{item.subject.shown}: timepoint {timepoint} (from 0)",
                "has values at fewer than half of the voxels; left out",
            )
    if left_out:
        log.notes.append(f"{left_out} timepoint(s) left out, as they have values at fewer than half of the voxels")
    counts = {item.subject.name: int(item.coverage.missing[kept].sum()) for item in measured}
    missing = sum(counts.values())
    if missing:
        sizes = {item.subject.name: int(item.coverage.timepoints.sum() * kept.sum()) for item in measured}
        worst = max(counts, key=lambda name: counts[name] / sizes[name])
        log.notes.append(
            f"{missing} of {sum(sizes.values())} values are missing ({missing / sum(sizes.values()):.2%}), most in "
            f"{worst!r} ({counts[worst] / sizes[worst]:.1%}); they count in neither likelihood nor metrics"
        )
    return missing


def _called(voxel: int, measured: Sequence[MeasuredSeries]) -> str:
    """What a voxel is called: its place, and its name where the series have one."""
    name = next((item.voxels[voxel] for item in measured if item.voxels), "")
    return f"voxel {voxel} (from 0)" + (f", {name!r}" if name else "")


def _lack(voxel: int, measured: Sequence[MeasuredSeries]) -> str:
    """Which series have no, or too few, values of a voxel."""
    absent = [item.subject.name for item in measured if not item.coverage.present[voxel]]
    few = [item.subject.name for item in measured if item.coverage.present[voxel] and not item.coverage.voxels[voxel]]
    told = [(absent, "no value"), (few, "values at fewer than half of the timepoints")]
    return " and ".join(
        f"has {what} in {len(names)} of {len(measured)} series ({listed(names)})" for names, what in told if names
    )
