"""Names of a zip's members that do not say how they are encoded.

A name is UTF-8 where its flag says so. Without the flag the format means cp437, which hardly any program of today
writes: macOS, Info-ZIP and many libraries write UTF-8, some with the name once more in the extra field 0x7075. So such
a name is what that field says, else UTF-8 where its bytes are, else cp437, and people are told.

APPNOTE.TXT 6.3.10, 4.6.9 and appendix D.
"""

import struct
import zipfile
import zlib
from collections.abc import Sequence

UTF8_FLAG = 0x800
UNICODE_PATH = 0x7075
HEAD = struct.Struct("<HH")  # of an extra field: its number, and how many bytes follow
PATH_HEAD = struct.Struct("<BI")  # version, CRC-32 of the name that the header has


def name_members(members: Sequence[zipfile.ZipInfo]) -> str:
    """Give members whose names do not say their encoding the names that they have; what is to be said of it."""
    guessed = [info for info in members if not info.flag_bits & UTF8_FLAG and not info.orig_filename.isascii()]
    if not guessed:
        return ""
    how = [_name(info) for info in guessed]
    listed = "; ".join(f"{info.filename} ({way})" for info, way in list(zip(guessed, how, strict=True))[:3])
    return f"{len(guessed)} name(s) in the zip do not say how they are encoded; read as {listed}"


def _name(info: zipfile.ZipInfo) -> str:
    """Set a member's name; as what it was read."""
    raw = info.orig_filename.encode("cp437")
    told = _told(info.extra, raw)
    if told is not None:
        info.filename = told
        return "by its extra field"
    try:
        info.filename = raw.decode()
    except UnicodeDecodeError:
        return "cp437"
    return "UTF-8"


def _told(extra: bytes, raw: bytes) -> str | None:
    """The name in an extra field, if it was written for the name `raw`."""
    while len(extra) >= HEAD.size:
        number, size = HEAD.unpack_from(extra)
        content, extra = extra[HEAD.size : HEAD.size + size], extra[HEAD.size + size :]
        if number == UNICODE_PATH and len(content) > PATH_HEAD.size:
            version, checksum = PATH_HEAD.unpack_from(content)
            if version == 1 and checksum == zlib.crc32(raw):
                try:
                    return content[PATH_HEAD.size :].decode()
                except UnicodeDecodeError:
                    return None
    return None
