"""imzML as a table of points: a pixel a row, a channel the sum of the intensities around a mass.

Nothing is interpolated, and no peaks are picked: of profile spectra all values in a window are added. With `tic`,
values are millionths of their spectrum's total, which does not depend on other pixels.

Shapes: N spectra, C channels, P values of a spectrum.
"""

import math
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.announced_size import VALUES_LIMIT, require_memory
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.imzml_index import CENTROID, PIXEL_SIZES, PROFILE, Index, Place, read_index
from vaeforge.data.mass_list import TIC, Window, is_all, overlapping, require_normalisation, windows
from vaeforge.data.table import Table
from vaeforge.data.table_columns import AXES
from vaeforge.errors import DataError, QuestionError

ITEM = "item"
UUID_BYTES = 16
MILLION = 1e6
SOME = 3


def read_imzml(path: Path, masses: Sequence[str], tolerance: str, normalise: str) -> Table:
    """The points: x, y, z where it differs, `item`, and the channels.

    Raises:
        ConfigError: if the options are none.
        DataError: if a file cannot be read, or they do not belong together.
        QuestionError: if nothing says which masses are channels, or how far peaks may lie from them.
    """
    normalised = require_normalisation(normalise) == TIC
    index = read_index(path)
    _require_answers(path, index, masses, tolerance)
    binary = _binary(path)
    try:
        with binary.open("rb") as file:
            _require_belonging(path, binary, file, index)
            spectra = _Spectra(path, binary, file, binary.stat().st_size)
            return _table(path, index, spectra, masses, tolerance, normalised)
    except OSError as error:
        raise DamagedFileError(binary, f"cannot be read ({error.strerror})") from None


def _require_answers(path: Path, index: Index, masses: Sequence[str], tolerance: str) -> None:
    if not masses:
        every = "; or all: each m/z that the spectra have in common" if index.continuous else ""
        raise QuestionError(
            f"{path}: holds {len(index.spectra)} spectra; say which masses are channels: --masses "
            f"760.585,PC 36:2=786.6, or a file with the columns mz and name{every}"
        )
    if is_all(masses) and not index.continuous:
        raise DataError(f"{path}: --masses all: its spectra have m/z of their own (processed); list the masses")
    if not is_all(masses) and not tolerance:
        raise QuestionError(
            f"{path}: say how far a peak may lie from its mass: --tolerance 5ppm, or 0.01Da, by the "
            "instrument's accuracy"
        )


def _binary(path: Path) -> Path:
    """The file of values, beside it.

    Raises:
        DataError: if it is not there.
    """
    found = [one for one in sorted(path.parent.iterdir()) if one.stem == path.stem and one.suffix.lower() == ".ibd"]
    if not found:
        raise DataError(f"{path}: its values lie in {path.stem}.ibd, which is not beside it; put both into one place")
    return found[0]


def _require_belonging(path: Path, binary: Path, file: BinaryIO, index: Index) -> None:
    own = file.read(UUID_BYTES)
    if index.uuid is not None and own not in (index.uuid.bytes, index.uuid.bytes_le):
        raise DamagedFileError(path, f"{binary.name} is not its file of values: their UUIDs differ")


class _Spectra:
    """Arrays of the binary file; the m/z that many spectra share are read once."""

    def __init__(self, path: Path, binary: Path, file: BinaryIO, size: int):
        self.path, self.binary, self.file, self.size = path, binary, file, size
        self.last: tuple[Place, NDArray[np.float64]] | None = None

    def masses(self, place: Place, number: int) -> NDArray[np.float64]:
        """The m/z [P] of a spectrum."""
        if self.last is None or self.last[0] != place:
            self.last = place, self.array(place, number)
        return self.last[1]

    def array(self, place: Place, number: int) -> NDArray[np.float64]:
        """An array [P] of spectrum `number`.

        Raises:
            DamagedFileError: if it lies beyond the file, holds something else than is announced, or no numbers.
        """
        kind = np.dtype(place.kind)
        expected = place.length * kind.itemsize
        stored = expected if place.packed is None else place.packed
        if place.offset + stored > self.size or expected > self.size * (1 if place.packed is None else 1100):
            raise DamagedFileError(
                self.path,
                f"spectrum {number} (from 0) ends at byte {place.offset + stored} of {self.binary.name}, which "
                f"has {self.size}; it is cut off, or another file's",
            )
        require_memory(self.path, expected)
        self.file.seek(place.offset)
        content = self.file.read(stored)
        if place.packed is not None:
            content = self._unpacked(content, expected, number)
        values = np.frombuffer(content, kind).astype(np.float64)
        if not np.isfinite(values).all():
            raise DamagedFileError(self.path, f"spectrum {number} (from 0) holds values that are no numbers")
        return values

    def _unpacked(self, content: bytes, expected: int, number: int) -> bytes:
        try:
            found = zlib.decompressobj().decompress(content, expected + 1)
        except zlib.error as error:
            raise DamagedFileError(self.path, f"spectrum {number} (from 0) cannot be unpacked ({error})") from None
        if len(found) != expected:
            raise DamagedFileError(self.path, f"spectrum {number} (from 0) announces {expected} bytes, holds others")
        return found


def _table(
    path: Path, index: Index, spectra: _Spectra, masses: Sequence[str], tolerance: str, normalised: bool
) -> Table:
    channels = _every(path, index, spectra) if is_all(masses) else windows(masses, tolerance)
    places = np.array([spectrum.at for spectrum in index.spectra])
    if len(places) * len(channels) > VALUES_LIMIT:
        raise DataError(
            f"{path}: {len(places)} spectra x {len(channels)} masses, at most {VALUES_LIMIT} values are read"
        )
    require_memory(path, 2 * 8 * len(places) * len(channels))
    values = _values(path, index, spectra, channels, normalised)
    notes = tuple(_notes(index, places, channels, values))
    there = ~np.isnan(values).all(axis=1)
    places, values = places[there], values[there]
    if not len(places):
        raise DamagedFileError(path, "holds spectra without any value")
    names = [channel.name for channel in channels]
    axes = [axis for number, axis in enumerate(AXES) if axis != AXES[-1] or len(set(places[:, number].tolist())) > 1]
    columns: dict[str, NDArray[Any]] = {axis: places[:, AXES.index(axis)].astype(np.float64) for axis in axes}
    clashing = sorted({*columns, ITEM} & {*names})
    if clashing:
        raise DataError(f"{path}: --masses: {', '.join(clashing)} are names of places; give the masses others")
    columns[ITEM] = np.array([" ".join(map(str, at[: len(axes)])) for at in places.tolist()], dtype=object)
    found = {name: values[:, number] for number, name in enumerate(names)}
    return Table({**columns, **found}, channels=tuple(names), notes=notes)


def _every(path: Path, index: Index, spectra: _Spectra) -> list[Window]:
    """A channel for each m/z of the axis that all spectra share."""
    axis = np.unique(spectra.masses(index.spectra[0].masses, 0)).tolist()
    middles = [-math.inf, *((one + other) / 2 for one, other in pairwise(axis)), math.inf]
    ends = pairwise(middles)
    return [Window(f"{mass:.10g}", mass, low, high) for mass, (low, high) in zip(axis, ends, strict=True)]


def _values(
    path: Path, index: Index, spectra: _Spectra, channels: list[Window], normalised: bool
) -> NDArray[np.float64]:
    """Sums [N, C]; NaN for spectra that are empty, and for those without a total where values are shares of it."""
    low, high = np.array([one.low for one in channels]), np.array([one.high for one in channels])
    values = np.full((len(index.spectra), len(channels)), np.nan)
    for number, spectrum in enumerate(index.spectra):
        masses, intensities = spectra.masses(spectrum.masses, number), spectra.array(spectrum.intensities, number)
        if not len(masses):
            continue
        if (np.diff(masses) < 0).any():
            order = np.argsort(masses, kind="stable")
            masses, intensities = masses[order], intensities[order]
        sums = np.concatenate([[0.0], np.cumsum(intensities)])
        first, last = np.searchsorted(masses, low, "left"), np.searchsorted(masses, high, "right")
        found = sums[last] - sums[first]
        if not normalised:
            values[number] = found
        elif sums[-1] > 0:
            values[number] = found * (MILLION / sums[-1])
    return values


def _notes(index: Index, places: NDArray[Any], channels: list[Window], values: NDArray[np.float64]) -> list[str]:
    sides = (places.max(axis=0) - places.min(axis=0) + 1).tolist()
    area, empty = math.prod(sides), int(np.isnan(values).all(axis=1).sum())
    sizes = " x ".join(index.params[name] for name in PIXEL_SIZES if index.params.get(name))
    mode = "centroids" if CENTROID in index.params else "profiles" if PROFILE in index.params else "of unknown mode"
    kind = "the same m/z in all" if index.continuous else "m/z of their own"
    notes = [
        f"{len(places)} spectra ({mode}, {kind}), places in pixels, x to the right and y downwards"
        + (f", of {sizes} micrometres by the header" if sizes else "")
        + f"; {area - len(places)} of {area} places of the rectangle have none"
        + (f"; {empty} spectra are empty, and left out" if empty else "")
    ]
    nothing = [one.name for one, column in zip(channels, values.T, strict=True) if not np.nansum(np.abs(column))]
    if nothing:
        named = ", ".join(nothing[:SOME]) + (f" and {len(nothing) - SOME} more" if len(nothing) > SOME else "")
        notes.append(f"{len(nothing)} of {len(channels)} masses have no peak in any spectrum: {named}")
    shared = overlapping(channels) if math.isfinite(channels[0].low) else []
    if shared:
        one, other = shared[0]
        notes.append(
            f"{len(shared)} pairs of masses lie so near that a peak counts in both, the first {one.name} and "
            f"{other.name}"
        )
    return notes
