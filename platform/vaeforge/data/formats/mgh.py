"""FreeSurfer's MGH, for volumes; a surface is a volume of N x 1 x 1 voxels."""

import re
from pathlib import Path
from typing import Any

from vaeforge.data.file_format import FileFormat


def open_volume(path: Path) -> Any:
    """The image, its values not yet read."""
    from vaeforge.data.volume_file import open_image

    return open_image(path, "MGH")


FORMAT = FileFormat(
    name="MGH",
    suffixes=(".mgh", ".mgz"),
    kind="volumes",
    begins=re.compile(rb"\x00\x00\x00\x01|\x1f\x8b"),
    volume=open_volume,
)
