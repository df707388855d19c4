"""FreeSurfer's MGH, for volumes; a surface is a volume of N x 1 x 1 voxels."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaeforge.data.file_format import FileFormat, Matrix


def open_volume(path: Path) -> Any:
    """The image, its values not yet read."""
    from vaeforge.data.volume_file import open_image

    return open_image(path, "MGH")


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The series of a surface, which has no key."""
    from vaeforge.data.mgh_surface import read_surface

    return {"": read_surface(path)}


FORMAT = FileFormat(
    name="MGH",
    suffixes=(".mgh", ".mgz"),
    kind="volumes",
    begins=re.compile(rb"\x00\x00\x00\x01|\x1f\x8b"),
    series=read_series,
    volume=open_volume,
)
