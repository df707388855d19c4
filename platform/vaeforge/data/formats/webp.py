"""WebP, for pictures."""

import re

from vaeforge.data.file_format import FileFormat
from vaeforge.data.picture_file import decode_pillow

FORMAT = FileFormat(
    name="WebP",
    suffixes=(".webp",),
    kind="pictures",
    begins=re.compile(rb"RIFF....WEBP", re.DOTALL),
    picture=decode_pillow,
    eight_bits=lambda start: True,
)
