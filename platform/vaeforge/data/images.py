"""Decoding of untrusted pictures: listed formats only, a limit on their size, and one policy for their modes.

Everything becomes 8-bit RGB: 16-bit greys are divided by 257 (65535 becomes 255, whatever the picture holds), palettes,
CMYK and greys converted, what is transparent laid onto white. Greys of 32 bits or floating point are refused: nothing
says what their white is. Of a file with several frames the first is read.
"""

import struct
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.data.label_values import ANOMALOUS, NORMAL, UNLABELLED
from vaeforge.errors import DataError

FORMATS = ("PNG", "JPEG", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
WHITE = 255.0  # of 8-bit pixels
PIXEL_LIMIT = 80_000_000
GREYS_16 = ("I;16", "I;16B", "I;16L")
GREYS_32 = ("I", "F")
Images = NDArray[np.uint8]
# what Pillow raises on damaged files, found by cutting and overwriting files at random
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, OverflowError, struct.error)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The picture at `path` as RGB [3, H, W].

    Raises:
        DataError: if it is missing, not of a listed format, cut off, or larger than `PIXEL_LIMIT`.
    """
    return np.ascontiguousarray(np.asarray(open_picture(path)).transpose(2, 0, 1))


def open_picture(path: Path, content: BinaryIO | None = None) -> Image.Image:
    """The picture at `path`, or in `content`, loaded whole and converted to RGB; see `read_picture`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata do no harm to the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path if content is None else content, formats=FORMATS) as opened:
                if opened.width * opened.height > PIXEL_LIMIT:
                    raise DataError(f"{path}: {opened.width} x {opened.height} pixels, at most {PIXEL_LIMIT} are read")
                opened.load()
                return _rgb(opened)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: refused ({error})") from None
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be read as {', '.join(FORMATS)} ({error})") from None


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in GREYS_32:
        raise ValueError(f"mode {picture.mode!r}: convert it to 8 or 16 bits")
    if picture.mode in GREYS_16:
        values = np.asarray(picture).astype(np.float64) / 257
        return Image.fromarray(values.round().astype(np.uint8)).convert("RGB")
    if "A" in picture.mode or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return picture.convert("RGB")


def read_labels(path: Path) -> NDArray[np.uint8]:
    """The map of labels [H, W] at `path`.

    Raises:
        DataError: if it cannot be read, is not 8-bit grey, or holds a value that means nothing.
    """
    try:
        with Image.open(path, formats=["PNG"]) as opened:
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


def open_grey(path: Path) -> Images:
    """The picture at `path` as grey uint8 [H, W]; see `open_picture` for what is read and how."""
    return np.asarray(open_picture(path).convert("L"))
