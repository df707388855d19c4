"""CIFTI, dense series and those of parcels, for series."""

from collections.abc import Mapping
from pathlib import Path

from vaeforge.data.file_format import FileFormat, Matrix


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The one series in a file, which has no key."""
    from vaeforge.data.cifti_file import read_cifti

    return {"": read_cifti(path)}


FORMAT = FileFormat(name="CIFTI", suffixes=(".dtseries.nii", ".ptseries.nii"), kind="volumes", series=read_series)
