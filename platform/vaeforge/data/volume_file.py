"""Volumes in a file, by nibabel: opened with a checked header, and turned so that grids fit one another.

Shapes: an image [X, Y, Z, T], or [T, X, Y, Z] where time is the first axis.
"""

import math
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import nibabel
import numpy as np
from nibabel.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2 import Cifti2HeaderError
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHError
from nibabel.funcs import as_closest_canonical
from nibabel.nifti1 import Nifti1Image
from nibabel.orientations import OrientationError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from vaeforge.data.announced_size import DEFLATE_LIMIT, require_memory, require_room
from vaeforge.data.cifti_axes import require_fitting_axes
from vaeforge.data.damaged_file import DamagedFileError

CIFTI = "which is read under the suffixes .dtseries.nii and .ptseries.nii alone; give it its own, if it is a series"
# what nibabel raises on damaged files, found by cutting files and overwriting bytes and numbers of them at random
DAMAGE = (
    *(ImageFileError, HeaderDataError, WrapStructError, OrientationError, MGHError, Cifti2HeaderError, ExpatError),
    *(zlib.error, struct.error, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
    *(OverflowError, MemoryError),
)


def open_nifti(path: Path) -> Any:
    """The NIfTI image at `path`, its header checked, its values not yet read.

    Raises:
        DamagedFileError: if it cannot be read, or is CIFTI.
    """
    image = open_image(path, "NIfTI")
    if isinstance(image, Cifti2Image):
        shape = " x ".join(map(str, image.shape))
        raise DamagedFileError(path, f"is CIFTI of {shape} values, {CIFTI}")
    return image


def open_image(path: Path, what: str) -> Any:
    """What nibabel reads at `path`, its header checked, its values not yet read.

    Args:
        path: of the file.
        what: it should be, for messages.

    Raises:
        DamagedFileError: if it cannot be read, or announces more than the file can hold.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # nibabel leaves the file of MGH to be closed by chance
            require_fitting_axes(path)
            image: Any = nibabel.load(path)
        shape, size = tuple(int(side) for side in image.shape), image.get_data_dtype().itemsize
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as {what} ({error or type(error).__name__})") from None
    room = path.stat().st_size * (DEFLATE_LIMIT if path.suffix.lower() in (".gz", ".mgz") else 1)
    require_room(path, "", shape, size, room)
    return image


def require_dimensions(image: Any, path: Path, dimensions: int) -> Any:
    """The image itself.

    Raises:
        DamagedFileError: if it has other dimensions, or one of length 0.
    """
    shape = tuple(int(side) for side in image.shape)
    if len(shape) != dimensions or 0 in shape:
        raise DamagedFileError(path, f"is {shape}, must have {dimensions} dimensions")
    return image


def with_time_last(image: Any, path: Path) -> Any:
    """An image [T, X, Y, Z] as one [X, Y, Z, T]; its affine is that of the axes of space.

    Raises:
        DamagedFileError: if its values cannot be read, or its affine is none.
    """
    values = np.moveaxis(values_of(image, path), 0, -1)
    try:
        return Nifti1Image(values, image.affine, dtype=values.dtype)
    except HeaderDataError:
        raise DamagedFileError(path, "its header does not say where its voxels lie: its affine is not finite") from None


def repetition_time(image: Any) -> float:
    """Seconds between timepoints as the header has them; 0 where it does not say."""
    if not hasattr(image.header, "get_xyzt_units"):
        return float(image.header.get_zooms()[3]) * 1e-3  # MGH has milliseconds
    try:
        unit = {"msec": 1e-3, "usec": 1e-6}.get(image.header.get_xyzt_units()[1], 1.0)
    except KeyError:  # a number that stands for no unit
        return 0.0
    return float(image.header.get_zooms()[3]) * unit


def canonical(image: Any, path: Path) -> Any:
    """The image with its axes from left to right, back to front and down to up, so that mirrored grids fit.

    Raises:
        DamagedFileError: if its values cannot be read, or its affine tells no axes.
    """
    try:
        return as_closest_canonical(image)
    except (*DAMAGE, np.linalg.LinAlgError) as error:
        raise DamagedFileError(
            path, f"its axes cannot be told ({error or type(error).__name__}); mend its affine"
        ) from None


def values_of(image: Any, path: Path) -> NDArray[Any]:
    """The values of an image, scaled as its header says.

    Raises:
        DamagedFileError: if they cannot be read, or are no real numbers.
    """
    try:
        require_memory(path, math.prod(image.shape) * int(image.get_data_dtype().itemsize))
        values: NDArray[Any] = np.asarray(image.dataobj)
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__  # nibabel's have several lines
        raise DamagedFileError(path, f"its values cannot be read ({reason})") from None
    if values.dtype.kind not in "fiu":
        raise DamagedFileError(path, f"holds {values.dtype}, must be real numbers")
    return values
