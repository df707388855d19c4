"""Surfaces in MGH: series of vertices, which FreeSurfer keeps as volumes of N x 1 x 1 voxels."""

from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import Matrix
from vaeforge.data.volume_file import open_image, require_dimensions, values_of


def read_surface(path: Path) -> Matrix:
    """The series, not yet read."""
    return Matrix(partial(_values, path), oriented=True)


def _values(path: Path) -> NDArray[Any]:
    """The values [T, V].

    Raises:
        DamagedFileError: if the file cannot be read, or is no surface.
    """
    image = require_dimensions(open_image(path, "MGH"), path, 4)
    vertices, *sides, timepoints = image.shape
    if sides != [1, 1]:
        shape = " x ".join(map(str, image.shape))
        raise DamagedFileError(path, f"is a volume of {shape}, must be a surface, N x 1 x 1 x timepoints")
    values: NDArray[Any] = values_of(image, path).reshape(vertices, timepoints).T
    return values
