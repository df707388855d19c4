"""TIFF, OME-TIFF and ImageJ's among them, for pictures."""

import re

from vaeforge.data.file_format import FileFormat
from vaeforge.data.tiff_file import decode_tiff

FORMAT = FileFormat(
    name="TIFF",
    suffixes=(".tif", ".tiff"),
    kind="pictures",
    begins=re.compile(rb"II[*+]\x00|MM\x00[*+]"),
    picture=decode_tiff,
)
