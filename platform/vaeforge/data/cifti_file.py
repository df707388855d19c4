"""Reading of untrusted CIFTI files by nibabel: series of brainordinates, or of parcels, by their own axes.

Shapes: T timepoints, V brainordinates or parcels.
"""

from functools import partial
from pathlib import Path
from typing import Any

from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ParcelsAxis, SeriesAxis
from numpy.typing import NDArray

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import Matrix
from vaeforge.data.volume_file import DAMAGE, open_image, values_of

WHAT = "CIFTI"
PREFIX = "CIFTI_STRUCTURE_"
AXES = 2


def read_cifti(path: Path) -> Matrix:
    """The series, its header checked, its values not yet read.

    Raises:
        DamagedFileError: if the file cannot be read, or is no series of brainordinates or parcels.
    """
    _axes(path)
    return Matrix(partial(_values, path), partial(_names, path), oriented=True)


def _image(path: Path) -> Any:
    image = open_image(path, WHAT)
    if not isinstance(image, Cifti2Image):
        raise DamagedFileError(path, f"is {type(image).__name__}, must be {WHAT}; call it by its own suffix")
    return image


def _axes(path: Path) -> tuple[Any, Any]:
    """Those of time and of space.

    Raises:
        DamagedFileError: if the file has others.
    """
    image = _image(path)
    try:
        axes = [image.header.get_axis(place) for place in range(image.ndim)]
    except DAMAGE as error:
        raise DamagedFileError(path, f"its axes cannot be read ({error or type(error).__name__})") from None
    if len(axes) == AXES:
        time, space = axes
        known = isinstance(time, SeriesAxis) and isinstance(space, BrainModelAxis | ParcelsAxis)
        if known and time.unit == "SECOND" and image.shape == (len(time), len(space)):
            return time, space
    named = " x ".join(type(axis).__name__.removesuffix("Axis") for axis in axes)
    raise DamagedFileError(path, f"is {named}, must be a series in seconds of brainordinates or parcels")


def _values(path: Path) -> NDArray[Any]:
    """The values [T, V]."""
    return values_of(_image(path), path)


def _names(path: Path) -> tuple[str, ...]:
    """The names of parcels, or structure and vertex, or voxel, of brainordinates."""
    _, space = _axes(path)
    if isinstance(space, ParcelsAxis):
        return tuple(map(str, space.name))
    structures = [name.removeprefix(PREFIX) for name in space.name.tolist()]
    places = zip(structures, space.vertex.tolist(), space.voxel.tolist(), space.surface_mask.tolist(), strict=True)
    return tuple(f"{name} {vertex if surface else ' '.join(map(str, ijk))}" for name, vertex, ijk, surface in places)
