"""PNG, for pictures."""

import re

from vaeforge.data.file_format import FileFormat
from vaeforge.data.picture_file import decode_pillow


def _holds_8_bits(start: bytes) -> bool:
    """By the depth in the header, which comes first."""
    return start[12:16] == b"IHDR" and b"\x00" < start[24:25] <= b"\x08"


FORMAT = FileFormat(
    name="PNG",
    suffixes=(".png",),
    kind="pictures",
    begins=re.compile(rb"\x89PNG\r\n\x1a\n"),
    picture=decode_pillow,
    eight_bits=_holds_8_bits,
)
