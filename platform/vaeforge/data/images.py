"""Pictures as RGB or grey of 8 or 16 bits, by one policy for all doors: import, prepare, score and serve.

Palettes, CMYK and greys are converted, what is transparent is laid onto white, the orientation is applied. Values of
more than 8 bits are scaled so that the white level of the data set becomes the largest level (see `grey_levels`). A
file of several pages, or with more channels than are taken, is refused unless a `PictureReading` says what they are.

Shapes: pictures [H, W, 3], images [H, W] or [3, H, W], uint8, or uint16 where the reading's depth is 16.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.data.decoding import decode
from vaeforge.data.file_format import is_surely_of_8_bits
from vaeforge.data.grey_levels import Extent, extent_of, white_of
from vaeforge.data.label_values import ANOMALOUS, NORMAL, UNLABELLED
from vaeforge.data.picture_file import DAMAGE, require_size
from vaeforge.data.picture_reading import PLAIN, PictureReading
from vaeforge.data.pixels import Pixels, grey_of
from vaeforge.errors import DataError

COLOURS = 3


def read_picture(path: Path, reading: PictureReading = PLAIN) -> Pixels:
    """The picture at `path` as RGB [3, H, W].

    Raises:
        DataError: as `open_picture`.
    """
    return np.ascontiguousarray(open_picture(path, reading=reading).transpose(2, 0, 1))


def open_picture(
    path: Path, content: BinaryIO | None = None, reading: PictureReading = PLAIN, most: int = COLOURS
) -> Pixels:
    """The picture at `path`, or in `content`, as RGB [H, W, 3].

    Args:
        path: of the file; what messages call it.
        content: its bytes, if it is no file.
        reading: what white, pages and channels are, and how many bits are kept.
        most: channels that are taken of a picture that is not in colour: 3, or 1 for what becomes grey.

    Raises:
        DataError: if it cannot be decoded (see `picture_file.decode`), has several pages, more channels, or no known
            white.
    """
    found = open_pictures(path, content, reading, most)
    if len(found) > 1:
        raise DataError(f"{path}: holds {len(found)} frames, must be one picture; `vaeforge import` divides it")
    return found[0]


def open_pictures(
    path: Path, content: BinaryIO | None = None, reading: PictureReading = PLAIN, most: int = COLOURS
) -> list[Pixels]:
    """The pictures in a file, one unless its pages are frames; see `open_picture`."""
    raw = decode(path, content)
    try:
        levels = reading.levels(reading.selected(raw, most))
    except DataError as error:
        raise type(error)(f"{path}: {error}") from None
    return [rgb_of(plane) for plane in levels]


def extent_at(path: Path, reading: PictureReading, most: int) -> Extent:
    """The smallest and largest value of the picture at `path`, of the planes and channels that are taken.

    Raises:
        DataError: if it cannot be decoded, or is not taken.
    """
    raw = decode(path)
    try:
        return extent_of(reading.selected(raw, most).pixels, raw.bits)
    except DataError as error:
        raise type(error)(f"{path}: {error}") from None


def with_white(reading: PictureReading, paths: list[Path], most: int) -> PictureReading:
    """`reading` with the white level of all pictures at `paths`; those that cannot be read are passed over.

    Raises:
        DataError: if some have more than 8 bits and no white can be found.
    """
    if reading.white is not None:
        return reading
    extents = []
    for path in paths:
        if is_surely_of_8_bits(path):
            continue
        try:
            extent = extent_at(path, reading, most)
        except DataError:
            continue  # it is named where it is read
        if not extent.unknown:
            extents.append(extent)
    return reading.of_set(white_of(extents))


def rgb_of(levels: Pixels) -> Pixels:
    """Levels [H, W, C], C up to 3, as RGB; a second channel without a third is red and green."""
    channels = levels.shape[-1]
    if channels == 1:
        return np.repeat(levels, COLOURS, axis=-1)
    if channels < COLOURS:
        levels = np.concatenate([levels, np.zeros_like(levels[..., :1])], axis=-1)
    return np.ascontiguousarray(levels)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """The map of labels [H, W] at `path`.

    Raises:
        DataError: if it cannot be read, is too large, is not 8-bit grey, or holds a value that means nothing.
    """
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            require_size(path, opened.width, opened.height)
            opened.load()
            mode, labels = opened.mode, np.asarray(opened)
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as PNG ({error})") from None
    unknown = set(np.unique(labels).tolist()) - {UNLABELLED, NORMAL, ANOMALOUS} if mode == "L" else {mode}
    if unknown:
        raise DataError(
            f"{path}: holds {sorted(map(str, unknown))}, must be 8-bit grey: 0 unlabelled, 1 normal, 2 anomalous"
        )
    return labels.astype(np.uint8)


def open_grey(path: Path, reading: PictureReading = PLAIN) -> Pixels:
    """The picture at `path` as grey [H, W]; see `open_picture` for what is read and how."""
    return grey_of(open_picture(path, reading=reading, most=1))
