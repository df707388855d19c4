"""Pictures of an import, decoded and measured, and written as a data set holds them.

Colour pictures are copied byte by byte, but for files of formats that tell whose they are; those and greys (`classes`,
`frames`) are written as PNG, with their own values where they have more than 8 bits, and frames of one file as a
picture each. Where 16 bits are kept, values that PNG does not have (floats, signed ones) are written as TIFF of floats.

Shapes: P planes of a file; H x W pixels; colour [H, W, 3], grey [H, W], uint8 or uint16.
"""

import hashlib
import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from vaeforge.data.decoding import decode
from vaeforge.data.file_format import format_of
from vaeforge.data.images import COLOURS, rgb_of
from vaeforge.data.near_copies import Thumbnail, thumbnail
from vaeforge.data.picture_file import READ_WHOLE, RawPicture
from vaeforge.data.picture_reading import PictureReading
from vaeforge.data.pixels import Pixels, grey_of, in_8_bits, is_of_8_bits
from vaeforge.errors import DataError
from vaeforge.importing.parsed_source import Row
from vaeforge.importing.rims import Rim, rim_of
from vaeforge.samples import raw_units

LEVELS = np.arange(256, dtype=np.float64)


@dataclass(frozen=True)
class PictureFile:
    """A picture file of the source, its class (empty where there are none) and where it is to be written.

    `grey` is whether it becomes grey.
    """

    path: Path
    shown: str
    label: str
    target: Path
    grey: bool = False

    @property
    def most(self) -> int:
        """Channels that are taken of a picture that is not in colour."""
        return 1 if self.grey else COLOURS

    @property
    def copied(self) -> bool:
        """Whether the data set gets a copy of the file, if it is all of a picture: not of files that tell more."""
        found = format_of(self.path)
        return not self.grey and (found is None or found.copied)


@dataclass(frozen=True)
class FoundPictures:
    """The pictures of a source.

    Attributes:
        files: those that have a class, where classes are asked for.
        empty: classes without any.
        tables: files that may say something about pictures.
        masks: the picture that each is of.
        nameless: pictures that are left out, since neither folder nor name tells their class.
        divided: whether pictures are divided by groups; else their fields are.
        told_apart: the option by which pictures of one name in several folders get names of their own; empty for none.
    """

    files: list[PictureFile]
    empty: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    masks: dict[Path, Path] = field(default_factory=dict)
    nameless: list[str] = field(default_factory=list)
    told_apart: str = ""
    divided: bool = True


@dataclass(frozen=True)
class MeasuredImage:
    """A picture that can be used.

    Attributes:
        candidate: its file.
        plane: its number among the frames of the file; none where it is all of it.
        row: of statistics.
        pixels_sha256: of its pixels.
        histogram: of their levels in 8 bits.
        small: its thumbnail.
        target: where it is written.
        rim: what lies at its rim.
        only: the one channel of red, green and blue that has values, of a picture that becomes grey; else none.
        file_sha256: of the file as it was decoded, of one that may be copied; empty for others.
    """

    candidate: PictureFile
    plane: int | None
    row: Row
    pixels_sha256: str
    histogram: NDArray[np.int64]
    small: Thumbnail
    target: Path
    rim: Rim
    only: int | None = None
    file_sha256: str = ""

    @property
    def shown(self) -> str:
        """The file and, if it is one of several, the number of the frame."""
        return self.candidate.shown if self.plane is None else f"{self.candidate.shown}[{self.plane}]"


def content_of(candidate: PictureFile) -> bytes | None:
    """All bytes of a file that may be copied, so that its copy needs not be decoded; none of a large one, or others.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        if candidate.copied and candidate.path.stat().st_size <= READ_WHOLE:
            return candidate.path.read_bytes()
    except OSError as error:
        raise DataError(f"{candidate.path}: cannot be read ({error})") from None
    return None


def decode_selected(candidate: PictureFile, reading: PictureReading, content: bytes | None = None) -> RawPicture:
    """The planes and channels that are taken of a file, or of its bytes.

    Raises:
        DataError: if it cannot be decoded.
        QuestionError: if nothing says which those are.
    """
    opened = None if content is None else io.BytesIO(content)
    return reading.selected(decode(candidate.path, opened), candidate.most)


def measure(
    candidate: PictureFile, raw: RawPicture, reading: PictureReading, content: bytes | None = None
) -> list[MeasuredImage]:
    """The pictures in a decoded file, or in its bytes.

    Raises:
        DataError: if it cannot be used.
    """
    levels, found = reading.levels(raw), []
    whole = "" if content is None else hashlib.sha256(content).hexdigest()
    for number, plane in enumerate(levels):
        pixels = _flat(plane, candidate.grey)
        own = None if len(levels) == 1 else number
        name = candidate.target.name if own is None else _frame_name(candidate.target, number, len(levels))
        if not candidate.copied or own is not None:
            name = str(Path(name).with_suffix(_suffix(_written(raw, number, pixels, reading))))
        eight = in_8_bits(pixels)
        counts = histogram_of(eight)
        row = {"file": candidate.shown, "class": candidate.label, **shape_row(pixels, counts)}
        row |= {"mode": raw.mode, "frames": len(levels)}
        small = thumbnail(pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0))
        target = candidate.target.with_name(name)
        only = _only_channel(raw) if candidate.grey else None
        rim = rim_of(eight, raw.transparent)
        row |= {"transparent": rim.transparent} if rim.transparent else {}
        digest = pixels_sha256(pixels)
        found.append(MeasuredImage(candidate, own, row, digest, counts, small, target, rim, only, whole))
    return found


def _only_channel(raw: RawPicture) -> int | None:
    """Which of red, green and blue alone has values above 0, as where a stain is shown in its colour."""
    if not raw.colour:
        return None
    filled = np.flatnonzero(raw.pixels.reshape(-1, raw.pixels.shape[-1]).max(axis=0))
    return int(filled[0]) if len(filled) == 1 else None


def _frame_name(target: Path, number: int, count: int) -> str:
    return f"{target.stem}_{number:0{len(str(count - 1))}d}{target.suffix}"


def _flat(plane: Pixels, grey: bool) -> Pixels:
    """Levels [H, W, C] as grey or RGB."""
    picture = rgb_of(plane)
    return grey_of(picture) if grey else picture


def histogram_of(eight: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each level occurs in all channels of a picture, [256]; Pillow counts five times as fast as NumPy."""
    flat = np.ascontiguousarray(eight).reshape(eight.shape[0], -1)
    return np.array(Image.fromarray(flat).histogram(), dtype=np.int64)


def shape_row(pixels: Pixels, histogram: NDArray[np.int64]) -> Row:
    """Size in pixels, aspect ratio (width / height) and grey values (0..255) of one picture.

    Those of 8 bits follow from the `histogram` of its levels.
    """
    height, width = pixels.shape[:2]
    row: Row = {"width": width, "height": height, "aspect_ratio": width / height}
    if pixels.dtype != np.uint8:
        levels = raw_units(pixels)
        mean, std = (float(value) for value in (levels.mean(dtype=np.float64), levels.std(dtype=np.float64)))
        return {**row, "mean": mean, "std": std, "min": levels.min().item(), "max": levels.max().item()}
    mean = float(histogram @ LEVELS / histogram.sum())
    std = float(np.sqrt(histogram @ np.square(LEVELS - mean) / histogram.sum()))
    occurring = np.flatnonzero(histogram)
    return {**row, "mean": mean, "std": std, "min": int(occurring[0]), "max": int(occurring[-1])}


def pixels_sha256(pixels: Pixels) -> str:
    """SHA-256 of a picture's pixels and shape: the same for the same picture in another file format."""
    pixels = np.ascontiguousarray(in_8_bits(pixels) if is_of_8_bits(pixels) else pixels)
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(pixels.data)
    return digest.hexdigest()


def write_picture(item: MeasuredImage, path: Path, reading: PictureReading) -> None:
    """Write one picture; its pixels are compared with those that were checked.

    Greys of more than 8 bits keep their values, and their white level lies in `pictures.json`.
    """
    if item.candidate.copied and item.plane is None:
        content = item.candidate.path.read_bytes()
        path.write_bytes(content)
        if item.file_sha256 and hashlib.sha256(content).hexdigest() == item.file_sha256:
            return  # what was checked
        raw = decode_selected(replace(item.candidate, path=path), reading)
    else:
        raw = decode_selected(item.candidate, reading)
    place = item.plane or 0
    plane = _plane(item, raw, reading)
    if pixels_sha256(plane) != item.pixels_sha256:
        raise DataError(f"{item.candidate.path}: changed while it was read; import it again")
    if not item.candidate.copied or item.plane is not None:
        write_pixels(_written(raw, place, plane, reading), path)


def _written(raw: RawPicture, place: int, plane: Pixels, reading: PictureReading) -> NDArray[Any]:
    """What is written of a grey picture or a frame: values that become the levels `plane` when they are read.

    Of 8 bits these are the levels, but for greys of 16 bits, which keep their own. Pictures of 8 bits of which 16 are
    kept are written as they are, in colour if they are.
    """
    if raw.pixels.dtype == np.uint16 and raw.pixels.shape[-1] == 1 and raw.alpha is None and not raw.inverted:
        return raw.pixels[place, ..., 0]
    if is_of_8_bits(plane):
        return in_8_bits(plane)
    levels = reading.levels(raw)[place]
    if is_of_8_bits(levels) or reading.white is None:
        return rgb_of(in_8_bits(levels))
    scale = (reading.white - reading.black) / np.iinfo(plane.dtype).max
    return (reading.black + plane * scale).astype(np.float32)


def _suffix(pixels: NDArray[Any]) -> str:
    return ".tif" if pixels.dtype.kind == "f" else ".png"


def pixels_of(item: MeasuredImage, reading: PictureReading) -> NDArray[np.uint8]:
    """The picture read once more, to be shown: grey [H, W] or RGB [H, W, 3]."""
    return in_8_bits(_plane(item, decode_selected(item.candidate, reading), reading))


def _plane(item: MeasuredImage, raw: RawPicture, reading: PictureReading) -> Pixels:
    return _flat(reading.levels(raw)[item.plane or 0], item.candidate.grey)


def write_pixels(pixels: NDArray[Any], path: Path) -> None:
    """Write grey pixels [H, W], or RGB [H, W, 3], as PNG, floats as TIFF."""
    if pixels.dtype.kind == "f":
        colour = "rgb" if pixels.ndim == 3 else "minisblack"
        tifffile.imwrite(path, pixels, photometric=colour, metadata=None, software="", datetime=False)
    else:
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG")
