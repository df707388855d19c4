"""Gatan's DM3 and DM4 as pictures: the one that is no thumbnail, its values as they are stored.

Neither contrast limits nor calibrations are applied.

Shapes: P planes; pixels [P, H, W, C].
"""

import math
import re
from itertools import count, takewhile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vaeforge.data.announced_size import require_memory
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.dm_tags import Found, TagReader, Values
from vaeforge.data.picture_file import DAMAGE, RawPicture, mode_of, require_size
from vaeforge.errors import DataError

BINARY = 14  # 0 or 1
COLOUR = 23  # blue, green, red and nothing, a byte each
KINDS = {1: "i2", 2: "f4", 6: "u1", 7: "i4", 9: "i1", 10: "u2", 11: "u4", 12: "f8", BINARY: "u1", COLOUR: "u4"}
IMAGE = re.compile(r"ImageList/(\d+)/ImageData/Data")
Sides = tuple[int, ...]


def decode_dm(path: Path, file: BinaryIO) -> RawPicture:
    """The DM3 or DM4 in `file`.

    Raises:
        DataError: if it is damaged, or holds several pictures, none, or more than the limits allow.
    """
    try:
        reader = TagReader(path, file)
        kind, values, shape = _picture(path, reader.read())
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as DM ({type(error).__name__})") from None
    require_size(path, shape[2], shape[1], math.prod(shape))
    require_memory(path, 3 * values.count * values.itemsize)
    file.seek(values.offset)
    content = file.read(values.count * values.itemsize)
    if kind == COLOUR:
        pixels = np.frombuffer(content, np.uint8).reshape(*shape, 4)[..., 2::-1]
        return RawPicture(np.ascontiguousarray(pixels), "RGB", colour=True)
    stored = np.frombuffer(content, reader.order + KINDS[kind]).reshape(*shape, 1)
    pixels = stored.astype(np.bool_ if kind == BINARY else stored.dtype.newbyteorder("="))
    return RawPicture(pixels, mode_of(pixels, False))


def count_dm_pixels(path: Path, file: BinaryIO) -> int:
    """The pixels of all planes, by the tags.

    Raises:
        DataError: as `decode_dm`.
    """
    try:
        return math.prod(_picture(path, TagReader(path, file).read())[2])
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as DM ({type(error).__name__})") from None


def _picture(path: Path, found: Found) -> tuple[int, Values, Sides]:
    """The kind of the values of the one picture, where they lie, and its shape [P, H, W]."""
    images = [int(matched[1]) for name in found if (matched := IMAGE.fullmatch(name))]
    small = {number for name, number in found.items() if name.startswith("Thumbnails/")}
    own = [one for one in images if one not in small] or images
    own = [one for one in own if found.get(f"ImageList/{one}/ImageData/DataType") != COLOUR] or own[-1:]
    if len(own) != 1:
        raise DataError(f"{path}: holds {len(own)} pictures, must hold one beside its thumbnail; export that alone")
    place = f"ImageList/{own[0]}/ImageData"
    values, kind = found[f"{place}/Data"], found.get(f"{place}/DataType")
    names = takewhile(found.__contains__, (f"{place}/Dimensions/{number}" for number in count()))
    sides = [int(side) for side in (found[name] for name in names) if not isinstance(side, Values)]
    if not isinstance(kind, int) or kind not in KINDS:
        raise DamagedFileError(path, f"holds values of kind {kind}, must be real numbers or colours")
    if len(sides) not in (2, 3) or min(sides) < 1:
        raise DamagedFileError(path, f"has sides {sides}, must be a picture or a stack of pictures")
    shape = (sides[2] if len(sides) > 2 else 1, sides[1], sides[0])
    itemsize = np.dtype(KINDS[kind]).itemsize
    if not isinstance(values, Values) or values.itemsize != itemsize or values.count != math.prod(shape):
        told = f"{values.count} of {values.itemsize} bytes" if isinstance(values, Values) else "one number"
        raise DamagedFileError(path, f"announces {shape} values of {itemsize} bytes, holds {told}")
    return kind, values, shape
