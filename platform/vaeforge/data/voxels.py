"""Voxels of series: where they lie in volumes, which columns of a source's matrices they are, and their names.

An import writes `.import/voxels.npz` beside the series: `mask` [X, Y, Z] and `affine` [4, 4] where they come from
volumes, `columns` [U] where some of a matrix' U columns were left out, `names` [V] where texts name them. What a model
was trained on is noted in the manifest of prepared data and in the model's contract, so that a source is scored by the
voxels that it was imported by.

Shapes: V voxels, in C order of a grid X x Y x Z that is as near to RAS+ as its axes can be.
"""

import base64
import zlib
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.array_files import DAMAGE
from vaeforge.errors import DataError
from vaeforge.paths import write_atomically
from vaeforge.records import OPTIONAL, to_json

FILE = Path(".import") / "voxels.npz"
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PackedMask:
    """A mask as JSON holds it: its shape, and base64 of deflated bits (numpy.packbits) in C order."""

    shape: tuple[int, ...]
    bits: str

    @classmethod
    def of(cls, mask: Mask) -> "PackedMask":
        """The mask packed."""
        return cls(mask.shape, base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode())

    def mask(self) -> Mask:
        """The mask itself."""
        packed = np.frombuffer(zlib.decompress(base64.b64decode(self.bits)), dtype=np.uint8)
        count = int(np.prod(self.shape, dtype=np.int64))
        return np.unpackbits(packed, count=count).astype(np.bool_).reshape(self.shape)


@dataclass(frozen=True)
class VoxelGrid:
    """A grid of volumes: rows of its affine [4, 4], in mm, and which of its voxels are values."""

    affine: tuple[tuple[float, ...], ...]
    voxels: PackedMask


@dataclass(frozen=True)
class SourceVoxels:
    """Which voxels of a source are a sample's V values.

    Attributes:
        grid: of volumes; none where the series did not come from any, or nobody noted it.
        columns: of a matrix [T, U], U > V; none where all are taken.
        names: of the V values, all different; none where the source does not name them. A contract has them under
            `channels`.
    """

    grid: VoxelGrid | None = field(default=None, metadata=OPTIONAL)
    columns: PackedMask | None = field(default=None, metadata=OPTIONAL)
    names: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)

    def taken(self, kept: Mask) -> "SourceVoxels":
        """The same of those voxels alone that a mask [V] keeps."""
        grid, columns = self.grid, self.columns
        if grid is not None:
            grid = VoxelGrid(grid.affine, PackedMask.of(_within(grid.voxels.mask(), kept)))
        if not kept.all() or columns is not None:
            columns = PackedMask.of(kept if columns is None else _within(columns.mask(), kept))
        names = self.names and tuple(compress(self.names, kept.tolist()))
        return SourceVoxels(grid, columns, names or None)

    def info(self) -> dict[str, Any]:
        """As a manifest's `info` has it; empty where there is nothing to say."""
        content = to_json(replace(self, names=None))
        named = {"voxel_names": list(self.names)} if self.names else {}
        return ({"source_voxels": content} if content else {}) | named


def _within(mask: Mask, kept: Mask) -> Mask:
    """`mask` without those of its members that `kept`, one for each, does not keep."""
    found = mask.copy()
    found[mask] = kept
    return found


def write_source_voxels(folder: Path, source: SourceVoxels) -> None:
    """Write `.import/voxels.npz` of a data set; nothing where there is nothing to say."""
    arrays: dict[str, Any] = {}
    if source.grid is not None:
        arrays |= {"mask": source.grid.voxels.mask(), "affine": np.array(source.grid.affine)}
    if source.columns is not None:
        arrays |= {"columns": source.columns.mask()}
    if source.names:
        arrays |= {"names": np.array(source.names)}
    if arrays:
        write_atomically(folder / FILE, lambda file: np.savez_compressed(file, **arrays))


def read_source_voxels(folder: Path, voxels: int) -> SourceVoxels:
    """What `.import/voxels.npz` of a data set of so many voxels says; nothing where it is not there, or of others."""
    if not (folder / FILE).is_file():
        return SourceVoxels()
    try:
        with np.load(folder / FILE, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except DAMAGE as error:
        raise DataError(f"{folder / FILE}: cannot be read ({error}); run `vaeforge import` again") from None
    mask, columns = arrays.get("mask"), arrays.get("columns")
    grid = None
    if mask is not None and int(mask.sum()) == voxels:
        grid = grid_of(mask, arrays["affine"])
    packed = PackedMask.of(columns) if columns is not None and int(columns.sum()) == voxels else None
    names = tuple(arrays["names"].tolist()) if "names" in arrays else ()
    return SourceVoxels(grid, packed, names if len(names) == voxels else None)


def grid_of(mask: Mask, affine: NDArray[Any]) -> VoxelGrid:
    """The grid with a mask [X, Y, Z] and an affine [4, 4]."""
    rows = tuple(tuple(float(value) for value in row) for row in np.asarray(affine, dtype=np.float64))
    return VoxelGrid(rows, PackedMask.of(mask.astype(np.bool_)))
