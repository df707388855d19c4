"""JPEG, for pictures."""

import re

from vaeforge.data.file_format import FileFormat
from vaeforge.data.picture_file import decode_pillow

FORMAT = FileFormat(
    name="JPEG",
    suffixes=(".jpg", ".jpeg"),
    kind="pictures",
    begins=re.compile(rb"\xff\xd8\xff"),
    picture=decode_pillow,
    eight_bits=lambda start: True,
)
