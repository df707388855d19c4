"""Hemispheres of one brain in two files, told apart by their names alone: `sub-01_hemi-L_bold.func.gii`, `…hemi-R…`.

Joined, the two are one series [T, V]: the left one's vertices first, as in CIFTI. An import and a scoring join alike.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import Matrix
from vaeforge.data.repeated_names import HEMISPHERE

JOINED = "joined"
Side = Literal["L", "R"]


def side_of(name: str) -> tuple[str, Side | None]:
    """A name without its hemisphere, and which one that is; none where the name says none, or both."""
    found = {match.group(3)[0].upper() for match in HEMISPHERE.part.finditer(name)}
    if len(found) != 1:
        return name, None
    rest = HEMISPHERE.part.sub("", name).strip(" _.-")
    return rest, "L" if found == {"L"} else "R"


def paired(names: Sequence[str]) -> tuple[dict[str, tuple[int, int]], list[int]]:
    """Places of left and right by what is left of their names, in the order of the left ones; places of all others.

    Names that say no hemisphere are others, and so are those whose other one is not there or there twice.
    """
    sides: dict[str, dict[Side, list[int]]] = {}
    for place, name in enumerate(names):
        rest, side = side_of(name)
        if side is not None:
            sides.setdefault(rest.casefold(), {"L": [], "R": []})[side].append(place)
    pairs = {}
    for both in sides.values():
        if len(both["L"]) == len(both["R"]) == 1:
            (left,), (right,) = both["L"], both["R"]
            pairs[side_of(names[left])[0]] = (left, right)
    within = {place for pair in pairs.values() for place in pair}
    return pairs, [place for place in range(len(names)) if place not in within]


def joined(left: Matrix, right: Matrix, *, transposed: bool = False) -> Matrix:
    """The two as one series.

    Args:
        left: its vertices come first.
        right: of the same timepoints.
        transposed: whether they are [V, T] where their format does not say which axis is time.
    """
    axis = 0 if transposed and not left.oriented else 1

    def load() -> NDArray[np.generic]:
        first = left.load()
        try:
            second = right.load()
        except DamagedFileError as error:
            raise DamagedFileError("right hemisphere", f"of its right hemisphere: {error.reason}") from None
        times = [array.shape[1 - axis] if array.ndim == 2 else None for array in (first, second)]
        if None in times or times[0] != times[1]:
            shapes = " and ".join(str(list(array.shape)) for array in (first, second))
            raise DamagedFileError(
                "hemispheres", f"hemispheres are {shapes}, must be matrices of the same timepoints; they are not joined"
            )
        return np.concatenate([first, second], axis=axis)

    return replace(left, load=load, voxels=lambda: _names(left.voxels(), right.voxels()))


def _names(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    """Names of all voxels; with the hemisphere before each where both have a name; none where one has none."""
    if not left or not right:
        return ()
    if not {*left} & {*right}:
        return (*left, *right)
    return (*(f"L {name}" for name in left), *(f"R {name}" for name in right))
