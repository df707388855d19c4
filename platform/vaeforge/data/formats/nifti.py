"""NIfTI, for volumes: 4-D series on a grid, and 3-D masks."""

from pathlib import Path
from typing import Any

from vaeforge.data.file_format import FileFormat


def open_volume(path: Path) -> Any:
    """The image, its values not yet read."""
    from vaeforge.data.volume_file import open_nifti

    return open_nifti(path)


FORMAT = FileFormat(name="NIfTI", suffixes=(".nii", ".nii.gz"), kind="volumes", volume=open_volume)
