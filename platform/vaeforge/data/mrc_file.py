"""MRC 2014 as pictures: micrographs, stacks and volumes, by the header of 1024 bytes that its paper describes.

Values are as they are stored, and the first row is at the top. Bytes are signed, as the standard says, but for files of
IMOD that say otherwise. Cheng et al. 2015, doi:10.1016/j.jsb.2015.04.002.

Shapes: P planes; pixels [P, H, W, 1].
"""

import math
import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vaeforge.data.announced_size import require_memory
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.picture_file import RawPicture, mode_of, require_size

HEADER = 1024
MAP, STAMP = 208, 212  # places of the name of the format and of the order of bytes
ORDERS = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
SPACE_GROUP, EXTENDED = 88, 92  # places of what the planes are, and of the bytes before the values
IMOD, IMOD_STAMP = 152, 1146047817
SIGNED = 1  # bit of IMOD's flags
KINDS = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
OTHERS = {3: "complex numbers", 4: "complex numbers", 16: "colours", 101: "packed values of 4 bits"}


def decode_mrc(path: Path, file: BinaryIO) -> RawPicture:
    """The MRC in `file`.

    Raises:
        DataError: if it is damaged, or holds something else than real numbers, or more than the limits allow.
    """
    shape, kind, offset, group = _header(path, file)
    values = math.prod(shape)
    require_size(path, shape[2], shape[1], values)
    require_memory(path, 2 * values * kind.itemsize)
    file.seek(offset)
    content = file.read(values * kind.itemsize)
    stored = np.frombuffer(content, kind).reshape(shape)[..., None]
    pixels = stored.astype(np.float32 if kind.kind == "f" else kind.newbyteorder("="))
    return RawPicture(pixels, mode_of(pixels, False), axis="Z" if group else "I")


def count_mrc_pixels(path: Path, file: BinaryIO) -> int:
    """The pixels of all planes, by the header.

    Raises:
        DataError: as `decode_mrc`.
    """
    return math.prod(_header(path, file)[0])


def _header(path: Path, file: BinaryIO) -> tuple[tuple[int, int, int], np.dtype[np.generic], int, int]:
    """Shape [P, H, W], type, the place of the first value, and the space group, 0 of planes that are no volume."""
    start = file.read(HEADER)
    order = ORDERS.get(start[STAMP : STAMP + 2])
    if len(start) < HEADER or start[MAP : MAP + 3] != b"MAP" or order is None:
        raise DamagedFileError(path, "has no header of MRC 2014; write it anew, for example with IMOD's newstack")
    across, up, planes, mode = struct.unpack_from(f"{order}4i", start)
    group, extended = struct.unpack_from(f"{order}2i", start, SPACE_GROUP)
    stamp, flags = struct.unpack_from(f"{order}2i", start, IMOD)
    if mode not in KINDS:
        named = OTHERS.get(mode, "values of an unknown kind")
        raise DamagedFileError(path, f"is MRC of mode {mode}, {named}; must be 0, 1, 2, 6 or 12 (newstack -mode)")
    unsigned = mode == 0 and stamp == IMOD_STAMP and not flags & SIGNED
    kind = np.dtype("u1" if unsigned else order + KINDS[mode])
    offset, size = HEADER + extended, file.seek(0, os.SEEK_END)
    needed = offset + across * up * planes * kind.itemsize
    if min(across, up, planes) < 1 or extended < 0 or needed > size:
        raise DamagedFileError(
            path, f"announces {planes} x {up} x {across} values behind {offset} bytes, more than its {size} bytes hold"
        )
    return (planes, up, across), kind, offset, group
