"""PNG, for pictures."""

import re

from vaeforge.data.file_format import FileFormat
from vaeforge.data.picture_file import decode_pillow

FORMAT = FileFormat(
    name="PNG",
    suffixes=(".png",),
    kind="pictures",
    begins=re.compile(rb"\x89PNG\r\n\x1a\n"),
    picture=decode_pillow,
)
