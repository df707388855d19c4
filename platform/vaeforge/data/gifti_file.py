"""Reading of untrusted GIFTI files by nibabel: series of vertices, an array for each timepoint.

Values in another file are not looked at. Shapes: T timepoints, V vertices.
"""

from functools import partial
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import nibabel
import numpy as np
from nibabel.gifti import GiftiImage
from nibabel.nifti1 import intent_codes
from numpy.typing import NDArray

from vaeforge.data.arrays import DamagedFileError
from vaeforge.data.file_format import Matrix
from vaeforge.data.volume_file import DAMAGE

EXTERNAL = b"ExternalFileBinary"
SERIES, NONE = "NIFTI_INTENT_TIME_SERIES", "NIFTI_INTENT_NONE"


def read_gifti(path: Path) -> Matrix:
    """The series, not yet read."""
    return Matrix(partial(_values, path), oriented=True)


def _values(path: Path) -> NDArray[Any]:
    """The values [T, V].

    Raises:
        DamagedFileError: if the file cannot be read, keeps values in another one, or holds no series.
    """
    try:
        if EXTERNAL in path.read_bytes():
            raise DamagedFileError(path, "keeps its values in another file; write them into this one")
        image: Any = nibabel.load(path)
    except (*DAMAGE, ExpatError, AttributeError) as error:
        raise DamagedFileError(path, f"cannot be read as GIFTI ({error or type(error).__name__})") from None
    if not isinstance(image, GiftiImage):
        raise DamagedFileError(path, f"is {type(image).__name__}, must be GIFTI")
    arrays = [one for one in image.darrays if intent_codes.niistring[one.intent] in (SERIES, NONE)]
    shapes = {one.data.shape for one in arrays}
    if len(arrays) < 2 or len(shapes) > 1 or len(next(iter(shapes))) > 1:
        named = ", ".join(f"{intent_codes.niistring[one.intent]} {one.data.shape}" for one in image.darrays[:3])
        raise DamagedFileError(
            path, f"holds {len(image.darrays)} arrays ({named}), must hold one [V] for each timepoint"
        )
    return np.stack([one.data for one in arrays])
