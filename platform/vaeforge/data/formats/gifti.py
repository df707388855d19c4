"""GIFTI with an array for each timepoint, for series of vertices."""

from collections.abc import Mapping
from pathlib import Path

from vaeforge.data.file_format import FileFormat, Matrix


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The one series in a file, which has no key."""
    from vaeforge.data.gifti_file import read_gifti

    return {"": read_gifti(path)}


FORMAT = FileFormat(
    name="GIFTI",
    suffixes=(".func.gii", ".gii"),
    kind="volumes",
    series=read_series,
)
