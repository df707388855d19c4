"""Decoding of a picture file by what its first bytes say it is; every failure is one error that names the file."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from vaeforge.data.file_format import START, FileFormat, file_formats
from vaeforge.data.picture_file import DAMAGE, FORMATS, RawPicture, decode_pillow
from vaeforge.data.tiff_file import decode_tiff
from vaeforge.errors import DataError


class _QuietDecoders:
    """Warnings of decoders are ignored while any thread decodes: filters are the process's, not a thread's."""

    def __init__(self) -> None:
        self._lock, self._within = threading.Lock(), 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._within += 1
            if self._within == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")  # odd metadata do no harm to the pixels
                warnings.simplefilter("error", Image.DecompressionBombWarning)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._caught.__exit__(None, None, None)


QUIET = _QuietDecoders()


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Whatever decoders raise, as a DataError that names `path`."""
    try:
        with QUIET:
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
                return _decoder(file, path)(path, file)
        return _decoder(content, path)(path, content)


def _decoder(file: BinaryIO, path: Path) -> Callable[[Path, BinaryIO], RawPicture]:
    """Who decodes the picture in `file`; what is of no format is for Pillow to refuse."""
    found = _format_in(file, path)
    return decode_pillow if found is None or found.picture is None else found.picture


@cache
def _picture_formats() -> tuple[FileFormat, ...]:
    return tuple(one for one in file_formats() if one.picture is not None)


def _format_in(file: BinaryIO, path: Path | None = None) -> FileFormat | None:
    """The format of the picture in `file`, by how it begins, else by the name `path`."""
    start = file.read(START)
    file.seek(0)
    pictures = _picture_formats()
    name = "" if path is None else path.name.lower()  # of an upload there is no file to look into
    named = (one for one in pictures if name.endswith(one.suffixes))
    return next((one for one in pictures if one.begins_so(start)), next(named, None))


def pixels_in(path: Path, content: BinaryIO) -> int:
    """The pixels of all planes of the picture in `content`, by its header: nothing is decoded.

    Raises:
        DataError: if it is of no listed format, or its header is damaged.
    """
    with refusals(path):
        found = _format_in(content, path)
        if found is not None and found.pixels is not None:
            counted = found.pixels(path, content)
        elif is_tiff(content):
            import tifffile

            with tifffile.TiffFile(content) as tiff:
                keyframes: list[Any] = [page.keyframe for page in tiff.pages]
                counted = int(sum(page.imagewidth * page.imagelength for page in keyframes))
        else:
            with Image.open(content, formats=FORMATS) as opened:
                counted = opened.width * opened.height * int(getattr(opened, "n_frames", 1))
        content.seek(0)
        return counted


def is_tiff(file: BinaryIO) -> bool:
    """Whether a file begins as a TIFF does."""
    found = _format_in(file)
    return found is not None and found.picture is decode_tiff


def is_counted_slowly(path: Path, file: BinaryIO) -> bool:
    """Whether `pixels_in` may have to walk through all of a file, rather than to read where it begins."""
    found = _format_in(file, path)
    return found is not None and (found.pixels is not None or found.picture is decode_tiff)
