"""Reading of untrusted AFNI data sets, a header `.HEAD` with its values in `.BRIK` or `.BRIK.gz` beside it, by nibabel.

Sub-bricks of a data set with a time axis are timepoints; one alone is a volume; those of a bucket (statistics, maps)
are neither. Shapes: an image [X, Y, Z, T], or [X, Y, Z].
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.brikhead import AFNIImage
from nibabel.nifti1 import Nifti1Image
from nibabel.spatialimages import ImageDataError

from vaeforge.data.announced_size import DEFLATE_LIMIT, require_room
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.volume_file import DAMAGE, values_of

HEADER_LIMIT = 2**26  # bytes: headers hold histories and labels, no values
UNITS = {77001: 1e-3, 77002: 1.0}  # of the time axis, in seconds
PACKED = ".gz"
SHOWN = 200  # letters of nibabel's reason, which repeats what is wrong however long it is


def open_afni(path: Path) -> Any:
    """The image whose header is at `path`, checked, as NIfTI; its values are not yet read.

    Raises:
        DamagedFileError: if it cannot be read, its values are not there or fewer than announced, or it is a bucket.
    """
    try:
        if path.stat().st_size > HEADER_LIMIT:
            raise DamagedFileError(path, f"is larger than {HEADER_LIMIT} bytes, which no header of AFNI's is")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = AFNIImage.from_filename(path)
        values = Path(image.file_map["image"].filename)
        header, affine = image.header, np.asarray(image.affine, dtype=np.float64)
        shape, size = tuple(int(side) for side in image.shape), int(image.get_data_dtype().itemsize)
        axis = np.atleast_1d(header.info.get("TAXIS_NUMS", ())).tolist()
        step = float(header.get_zooms()[3]) * UNITS.get(axis[2] if len(axis) > 2 else 0, 1.0)
    except (*DAMAGE, ImageDataError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__  # nibabel's have the attribute's lines
        raise DamagedFileError(path, f"cannot be read as AFNI ({reason[:SHOWN]})") from None
    if not values.is_file():
        raise DamagedFileError(path, f"its values, {values.name}, are not beside it")
    if values.suffix.lower() not in (".brik", PACKED):
        raise DamagedFileError(path, f"its values are packed as {values.suffix}; unpack {values.name}, or use gzip")
    packed = values.suffix.lower() == PACKED
    require_room(path, "", shape, size, values.stat().st_size * (DEFLATE_LIMIT if packed else 1))
    if len(shape) != 4 or not np.isfinite(affine).all():
        raise DamagedFileError(path, f"is {shape}, must have three axes and sub-bricks, and a finite affine")
    if shape[3] > 1 and not axis:
        raise DamagedFileError(
            path, f"is a bucket of {shape[3]} sub-bricks without a time axis, no series; give it one with 3drefit -TR"
        )
    if shape[3] == 1:
        return Nifti1Image(values_of(image, path)[..., 0], affine)
    return _as_nifti(image, affine, step)


def _as_nifti(image: Any, affine: Any, step: float) -> Nifti1Image:
    """The same image under a header that says what the time axis is."""
    found = Nifti1Image(image.dataobj, affine, dtype=image.get_data_dtype())
    found.header.set_xyzt_units("mm", "sec")
    found.header.set_zooms((*found.header.get_zooms()[:3], step if np.isfinite(step) else 0.0))
    return found
