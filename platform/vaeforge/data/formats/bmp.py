"""BMP, for pictures."""

import re

from vaeforge.data.file_format import FileFormat
from vaeforge.data.picture_file import decode_pillow

FORMAT = FileFormat(
    name="BMP",
    suffixes=(".bmp",),
    kind="pictures",
    begins=re.compile(rb"BM"),
    picture=decode_pillow,
    eight_bits=lambda start: True,
)
