"""Decoding of untrusted picture files: listed formats only, a limit on their size, the orientation applied.

PNG, JPEG, BMP and WebP are decoded by Pillow, PNG of 16 bits and several channels by imagecodecs (Pillow keeps 8 bits
of each), TIFF by tifffile (see `tiff_file`).

Shapes: P planes (pages: frames of a movie, slices of a stack), C channels; pixels [P, H, W, C].
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from vaeforge.errors import DataError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
PIXEL_LIMIT = 80_000_000
VALUE_LIMIT = 2**30  # of all planes and channels together
READ_WHOLE = 2**26  # bytes of a file, up to which it is decoded out of memory
GREYS_16 = ("I;16", "I;16B", "I;16L")
SIXTEEN = 16
HALF = 0.5  # opacity below which a pixel counts as transparent
PNG_DEEP = (2, 4, 6)  # PNG's types of colour with several channels
# what Pillow and tifffile raise on damaged files, found by cutting and overwriting files at random
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    OverflowError,
    struct.error,
    KeyError,
    AttributeError,
    RuntimeError,
    ZeroDivisionError,
)


@dataclass(frozen=True)
class RawPicture:
    """A decoded file.

    Attributes:
        pixels: [P, H, W, C] in the file's own type, oriented.
        mode: what the file holds, for people.
        colour: whether the channels are red, green and blue.
        axis: what the planes are: `T` time, `Z` depth, or `I` where the file does not say.
        names: of the channels; empty where the file names none.
        alpha: opacity [P, H, W] from 0 to 1, or none.
        inverted: whether 0 is white.
        bits: significant ones of a value, where the header says so.
        transparent: share of the pixels that are less than half opaque.
    """

    pixels: NDArray[Any]
    mode: str
    colour: bool = False
    axis: str = "I"
    names: tuple[str, ...] = ()
    alpha: NDArray[np.float32] | None = None
    inverted: bool = False
    bits: int | None = None
    transparent: float = 0.0


def require_size(path: Path, width: int, height: int, values: int = 0) -> None:
    """Refuse pictures beyond the limits.

    Raises:
        DataError: with the size and the limit.
    """
    if width * height > PIXEL_LIMIT:
        raise DataError(f"{path}: {width} x {height} pixels, at most {PIXEL_LIMIT} are read")
    if values > VALUE_LIMIT:
        raise DataError(f"{path}: {values} values on all its pages, at most {VALUE_LIMIT} are read; divide the file")


def decode_pillow(path: Path, file: BinaryIO) -> RawPicture:
    """The PNG, JPEG, BMP or WebP in `file`.

    Raises:
        DataError: if it is larger than the limits.
        Exception: what Pillow raises on damaged files, see `DAMAGE`.
    """
    with Image.open(file, formats=FORMATS) as opened:
        frames = 1 if opened.format == "JPEG" else int(getattr(opened, "n_frames", 1))
        require_size(path, *opened.size, opened.width * opened.height * frames * 4)
        if opened.format == "PNG" and _png_depth(file) and frames == 1:
            opened.load()  # finds what is cut off
            return _deep_png(file, opened)
        mode, planes = opened.mode, []
        for frame in range(frames):
            opened.seek(frame)
            planes.append(from_pillow(_upright(opened), mode))
    return joined_planes(planes, mode)


def _upright(opened: Image.Image) -> Image.Image:
    """The loaded picture as it is to be shown; the same where that is how it lies, where Pillow would copy it."""
    opened.load()
    lies_so = opened.getexif().get(ExifTags.Base.Orientation, 1) == 1
    return opened if lies_so else ImageOps.exif_transpose(opened)


def _png_depth(file: BinaryIO) -> bool:
    """Whether a PNG holds 16 bits in several channels, by its header."""
    place = file.tell()
    file.seek(24)
    depth, colour = file.read(2)
    file.seek(place)
    return depth == SIXTEEN and colour in PNG_DEEP


def _deep_png(file: BinaryIO, opened: Image.Image) -> RawPicture:
    import imagecodecs

    file.seek(0)
    pixels = imagecodecs.png_decode(file.read())
    pixels = oriented(pixels, opened.getexif().get(ExifTags.Base.Orientation, 1))
    return with_alpha(pixels[None], has_alpha=pixels.shape[-1] in (2, 4))


def with_alpha(pixels: NDArray[Any], has_alpha: bool, **told: Any) -> RawPicture:
    """Planes [P, H, W, C] as a picture; the last channel is opacity where `has_alpha`."""
    alpha = None
    if has_alpha:
        most = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind in "iu" else 1.0
        alpha = (pixels[..., -1] / most).astype(np.float32)
        pixels = pixels[..., :-1]
    colour = told.pop("colour", pixels.shape[-1] == 3)
    transparent = 0.0 if alpha is None else float((alpha < HALF).mean())
    return RawPicture(pixels, mode_of(pixels, colour), colour, alpha=alpha, transparent=transparent, **told)


def mode_of(pixels: NDArray[Any], colour: bool) -> str:
    """Pillow's name of a mode where it has one."""
    channels, kind = pixels.shape[-1], str(pixels.dtype)
    if channels == 1:
        return {"uint8": "L", "uint16": "I;16", "bool": "1", "float32": "F"}.get(kind, kind)
    name = "RGB" if colour else f"{channels} channels"
    return name if kind == "uint8" else f"{name} {kind}"


def from_pillow(picture: Image.Image, mode: str) -> RawPicture:
    """One loaded picture of Pillow's: greys of 16 bits as they are, all others as 8-bit grey or RGB, on white."""
    if picture.mode in GREYS_16:
        return RawPicture(np.asarray(picture).astype(np.uint16)[None, :, :, None], mode)
    if picture.mode in ("I", "F"):
        kind = np.int32 if picture.mode == "I" else np.float32
        return RawPicture(np.asarray(picture).astype(kind)[None, :, :, None], mode)
    transparent = 0.0
    if "A" in picture.mode or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        transparent = float((np.asarray(layered.getchannel("A")) < HALF * 255).mean())
        picture = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    if picture.mode in ("1", "L"):
        return RawPicture(np.asarray(picture.convert("L"))[None, :, :, None], mode)
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    return RawPicture(np.asarray(rgb)[None], mode, colour=True, transparent=transparent)


def joined_planes(planes: list[RawPicture], mode: str) -> RawPicture:
    """Planes of one file as one picture."""
    if len(planes) == 1:
        return planes[0]
    pixels = np.concatenate([plane.pixels for plane in planes])
    transparent = float(np.mean([plane.transparent for plane in planes]))
    return RawPicture(pixels, mode, planes[0].colour, transparent=transparent)


def oriented(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels [H, W, ...] turned as the tag `orientation` (1 to 8, TIFF 6.0 p. 36) says they are to be shown."""
    if orientation in (5, 6, 7, 8):  # rows are columns
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):  # shown from the bottom
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):  # shown from the right
        pixels = pixels[:, ::-1]
    return pixels
