"""DM3 and DM4 of Gatan's Digital Micrograph, for pictures."""

import re

from vaeforge.data.dm_file import count_dm_pixels, decode_dm
from vaeforge.data.file_format import FileFormat

FORMAT = FileFormat(
    name="DM",
    suffixes=(".dm3", ".dm4"),
    kind="pictures",
    begins=re.compile(rb"\0\0\0\x03.{4}\0\0\0[\0\x01]|\0\0\0\x04.{8}\0\0\0[\0\x01]", re.DOTALL),
    picture=decode_dm,
    pixels=count_dm_pixels,
    copied=False,
)
