"""Axes of CIFTI as its header describes them, held against the shape before nibabel makes arrays of their size."""

from pathlib import Path
from typing import Any

from nibabel.cifti2 import Cifti2Header
from nibabel.nifti2 import Nifti2Image

from vaeforge.data.damaged_file import DamagedFileError

BRAIN_MODELS = "CIFTI_INDEX_TYPE_BRAIN_MODELS"
EXPONENTS = range(-30, 31)  # of 10, of seconds
LEADING = 4  # sides of a NIfTI file that are 1 in CIFTI


def require_fitting_axes(path: Path) -> None:
    """Refuse CIFTI whose header describes axes that its values do not have; of other files nothing is looked at.

    Raises:
        DamagedFileError: with both numbers.
        Exception: what nibabel raises on damaged files, see `volume_file.DAMAGE`.
    """
    if not Nifti2Image.path_maybe_image(path)[0]:
        return
    image = Nifti2Image.from_filename(path)
    for content in (extension.get_content() for extension in image.header.extensions):
        if isinstance(content, Cifti2Header):
            for place, length in enumerate(image.shape[LEADING:]):
                _require_fitting(path, content.matrix.get_index_map(place), int(length))


def _require_fitting(path: Path, described: Any, length: int) -> None:
    if described.series_exponent is not None and described.series_exponent not in EXPONENTS:
        raise DamagedFileError(path, f"its times are multiplied by 10 to the power of {described.series_exponent}")
    if described.indices_map_to_data_type != BRAIN_MODELS:
        return
    counts = [model.index_count for model in described.brain_models]
    if sum(counts) != length or min(counts, default=0) < 0:
        raise DamagedFileError(path, f"its axes tell of {sum(counts)} brainordinates, its values are of {length}")
