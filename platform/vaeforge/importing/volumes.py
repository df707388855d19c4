"""4-D volumes as matrices of one set of voxels: a mask's, or those that vary in every subject.

A file is read once; what is looked at again is a copy of the values at such voxels (`read_once`).

Shapes: a file X x Y x Z x T; the set of voxels bool [X, Y, Z] with V of them; a matrix [T, V].
"""

from collections.abc import Callable
from functools import partial, reduce
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from vaeforge.data.arrays import as_float32, require_covered
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import format_of, named_suffixes
from vaeforge.data.large_arrays import taken
from vaeforge.data.source_files import listed
from vaeforge.data.source_reading import FIRST
from vaeforge.data.volume_file import canonical, repetition_time, require_dimensions, values_of, with_time_last
from vaeforge.data.voxels import VoxelGrid, grid_of
from vaeforge.errors import DataError
from vaeforge.importing.parsed_source import READ, ImportLog, shown
from vaeforge.importing.read_once import brings
from vaeforge.importing.time_axis import ask_about_time, time_looks_first
from vaeforge.importing.timepoints import Voxels, matrix_of, varying_voxels
from vaeforge.progress import through

Loader = Callable[[], NDArray[Any]]
RESAMPLE = "resample it onto the grid of the training data (say with nilearn.image.resample_to_img)"
TOLERANCE = 1e-3  # mm and radians of two affines that are the same


def read_volumes(
    paths: list[Path], root: Path, mask: Path | None, time_axis: str, log: ImportLog
) -> tuple[list[tuple[Path, Loader]], VoxelGrid | None]:
    """Each usable file with what reads its matrix, and the voxels that are kept; none where there is no file.

    Voxels that are NaN at all timepoints count as constant: scanners' software marks the outside of a brain so.

    Args:
        paths: the files.
        root: what their names are relative to.
        mask: a 3-D file whose voxels above 0 are kept; none: those that vary in every subject.
        time_axis: `first` where files have time there; empty: nobody said so.
        log: takes what is left out and what a person should know.

    Raises:
        DataError: if the files' grids differ, the mask cannot be used, or no voxel is left.
    """
    seen: list[tuple[Path, Any, Voxels]] = []
    copies: list[Loader | None] = []
    given = _mask(mask) if mask else None
    times: dict[str, float] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    odd: list[str] = []
    for path in through(paths, "reading scans", READ / 2):
        try:
            opened = _open(path, dimensions=4, time_axis=time_axis)
            image = canonical(opened, path)
            values = values_of(image, path)
            varying = varying_voxels(values)
            held = matrix_of(values, varying if given is None or given.shape != varying.shape else given)
            # with a mask, a subject that is left out has no say in which voxels are kept; whole numbers lack nothing
            if not mask and held.dtype.kind == "f":
                require_covered(str(path), as_float32(held))
            copies.append(brings(held) if held.size else None)
            seen.append((path, image.affine, varying))
            times[shown(path, root)] = repetition_time(image)
            shapes[shown(path, root)] = opened.shape
            if not time_axis and time_looks_first(values, int(io_orientation(opened.affine)[0, 0])):
                odd.append(shown(path, root))
        except DamagedFileError as error:
            log.quarantine(shown(path, root), error.reason)
    if not seen:
        return [], None
    ask_about_time(root, odd, shapes, log)
    _refuse_grids(root, [(shown(path, root), varying.shape) for path, _, varying in seen])
    affine = seen[0][1]
    _refuse_places(root, [(shown(path, root), other) for path, other, _ in seen], seen[0][2].shape)
    if any(not np.allclose(affine, other, atol=TOLERANCE) for _, other, _ in seen):
        log.notes.append("the affines of the NIfTI files differ by less than half a voxel: are they in one space?")
    _ask_about_times(root, times, log)
    maps = [voxels for _, _, voxels in seen]
    kept = reduce(np.logical_and, maps) if mask is None or given is None else _fitting(given, mask, maps[0].shape)
    if not kept.any():
        raise DataError(f"{root}: no voxel varies in all {len(seen)} subjects, or is in the mask; give another --mask")
    how = "by the mask" if mask else "those that vary in all subjects"
    log.notes.append(f"{int(kept.sum())} of {kept.size} voxels kept, {how}")
    loaders: list[tuple[Path, Loader]] = [
        (path, partial(_matrix, path, kept, time_axis) if copy is None else partial(_of_copy, copy, held, kept))
        for (path, _, _), copy, held in zip(seen, copies, [kept] * len(seen) if mask else maps, strict=True)
    ]
    return loaders, grid_of(kept, affine)


def volume_length(path: Path, grid: VoxelGrid, time_axis: str) -> int:
    """The timepoints of the 4-D NIfTI file at `path`, which must lie on `grid`; see `read_volume`.

    Raises:
        DamagedFileError: if it cannot be read, or its voxels are not those of the grid.
    """
    image = canonical(_open(path, dimensions=4, time_axis=time_axis), path)
    wanted = grid.voxels.shape
    if image.shape[:3] != wanted:
        given, must = (" x ".join(map(str, shape)) for shape in (image.shape[:3], wanted))
        raise DamagedFileError(path, f"its grid is {given} voxels, must be {must}, the model's; {RESAMPLE}")
    distance = _apart(np.array(grid.affine), image.affine, wanted)
    if distance > min(voxel_sizes(np.array(grid.affine))) / 2:
        raise DamagedFileError(path, f"its voxels lie up to {distance:.3g} mm from the model's; {RESAMPLE}")
    return int(image.shape[3])


def read_volume(path: Path, grid: VoxelGrid, time_axis: str) -> NDArray[Any]:
    """The values [T, V] of the 4-D NIfTI file at `path` at the voxels of `grid`, after `volume_length`.

    Raises:
        DamagedFileError: if it cannot be read.
    """
    return _matrix(path, grid.voxels.mask(), time_axis)


def _open(path: Path, dimensions: int, time_axis: str = "") -> Any:
    """The image at `path`, with time as the last axis; its values are not yet read, unless they are turned."""
    found = format_of(path)
    if found is None or found.volume is None:
        raise DamagedFileError(path, f"its suffix is none of {named_suffixes('volume')}")
    image = require_dimensions(found.volume(path), path, dimensions)
    return with_time_last(image, path) if time_axis == FIRST else image


def _ask_about_times(root: Path, times: dict[str, float], log: ImportLog) -> None:
    """Ask where the timepoints of some files are not as far apart as those of others."""
    told = {name: time for name, time in times.items() if time > 0}
    if told and max(told.values()) > (1 + TOLERANCE) * min(told.values()):
        fast, slow = min(told, key=lambda name: told[name]), max(told, key=lambda name: told[name])
        log.ask(
            f"{root}: timepoints are {told[fast]:.4g} s apart in {fast} and {told[slow]:.4g} s in {slow}; are these "
            "of one kind? Resample them in time, or import them as two data sets, if not",
            "timepoints are samples, however far apart",
        )


def _matrix(path: Path, kept: Voxels, time_axis: str) -> NDArray[Any]:
    """The values at the kept voxels, [T, V]."""
    values = values_of(canonical(_open(path, dimensions=4, time_axis=time_axis), path), path)
    if values.shape[:3] != kept.shape:
        raise DamagedFileError(path, "changed while it was read")
    return matrix_of(values, kept)


def _of_copy(copy: Loader, held: Voxels, kept: Voxels) -> NDArray[Any]:
    """The values [T, V] at the kept voxels, of a copy of those at the voxels that are held, the kept among them."""
    values = copy()
    within = kept[held]
    return values if within.all() else taken(values, np.ones(len(values), dtype=np.bool_), within)


def _refuse_grids(root: Path, shapes: list[tuple[str, tuple[int, ...]]]) -> None:
    if len({shape for _, shape in shapes}) > 1:
        named = [f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes]
        raise DataError(f"{root}: the NIfTI files differ in their grids, must be one; resample them: {listed(named)}")


def _refuse_places(root: Path, affines: list[tuple[str, Any]], grid: tuple[int, ...]) -> None:
    """Refuse files whose voxels lie elsewhere than the first one's, by more than half a voxel at a corner."""
    first = affines[0][1]
    size = min(voxel_sizes(first))
    apart = {name: _apart(first, other, grid) for name, other in affines}
    far = [f"{name} {distance:.3g} mm" for name, distance in apart.items() if distance > size / 2]
    if far:
        raise DataError(
            f"{root}: the voxels of {len(far)} NIfTI file(s) lie elsewhere than those of {affines[0][0]}, must be on "
            f"one grid in one space; resample them onto it: {listed(far)}"
        )


def _apart(first: Any, other: Any, grid: tuple[int, ...]) -> float:
    """The largest distance in mm of corners of a grid under two affines."""
    corners = np.array(list(product(*((0, side - 1) for side in grid))))
    return float(np.linalg.norm(apply_affine(other, corners) - apply_affine(first, corners), axis=1).max())


def _mask(path: Path) -> Voxels:
    if not path.is_file():
        raise DataError(f"--mask: {path} not found")
    mask: Voxels = values_of(canonical(_open(path, dimensions=3), path), path) > 0
    return mask


def _fitting(mask: Voxels, path: Path, grid: tuple[int, ...]) -> Voxels:
    if mask.shape != grid:
        raise DataError(f"--mask: {path} is {mask.shape}, must be {grid} as the subjects are")
    return mask
