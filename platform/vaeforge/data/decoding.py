"""Decoding of a picture file by what its first bytes say it is; every failure is one error that names the file."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from vaeforge.data.picture_file import DAMAGE, FORMATS, RawPicture, decode_pillow
from vaeforge.data.tiff_file import decode_tiff
from vaeforge.errors import DataError

TIFF_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Whatever decoders raise, as a DataError that names `path`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata do no harm to the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: refused ({error})") from None
    except MemoryError:
        raise DataError(f"{path}: is larger than the memory that is free") from None
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be read as {', '.join(FORMATS)} ({error})") from None


def decode(path: Path, content: BinaryIO | None = None) -> RawPicture:
    """The file at `path`, or in `content`.

    Raises:
        DataError: if it is missing, not of a listed format, cut off, or larger than the limits.
    """
    with refusals(path):
        if content is None:
            with path.open("rb") as file:
                return decode_tiff(path, file) if _is_tiff(file) else decode_pillow(path, file)
        return decode_tiff(path, content) if _is_tiff(content) else decode_pillow(path, content)


def _is_tiff(file: BinaryIO) -> bool:
    beginning = file.read(4)
    file.seek(0)
    return beginning in TIFF_BEGINNINGS
