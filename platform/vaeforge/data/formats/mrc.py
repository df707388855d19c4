"""MRC, electron microscopy, for pictures."""

import re

from vaeforge.data.file_format import FileFormat
from vaeforge.data.mrc_file import count_mrc_pixels, decode_mrc

FORMAT = FileFormat(
    name="MRC",
    suffixes=(".mrc", ".mrcs"),
    kind="pictures",
    begins=re.compile(rb".{208}MAP[ \x00]", re.DOTALL),
    picture=decode_mrc,
    pixels=count_mrc_pixels,
)
