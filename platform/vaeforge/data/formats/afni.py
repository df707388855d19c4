"""AFNI's data sets, for volumes: a header, and its values beside it."""

from pathlib import Path
from typing import Any

from vaeforge.data.file_format import FileFormat


def open_volume(path: Path) -> Any:
    """The image, its values not yet read."""
    from vaeforge.data.afni_file import open_afni

    return open_afni(path)


FORMAT = FileFormat(
    name="AFNI",
    suffixes=(".head",),
    kind="volumes",
    volume=open_volume,
    beside=(".brik", ".brik.gz"),
)
