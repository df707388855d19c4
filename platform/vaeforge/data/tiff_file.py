"""TIFF as instruments write it: pages, channels and planes by the file's own axes.

tifffile reads OME-TIFF, ImageJ hyperstacks (also those beyond 4 GB, whose pages have one header), separate planes,
signed and floating-point values and the bits of cameras. What it has no decoder for goes to Pillow.

Shapes: pixels [P, H, W, C], see `picture_file`.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vaeforge.data.picture_file import (
    RawPicture,
    from_pillow,
    joined_planes,
    oriented,
    require_size,
    with_alpha,
)
from vaeforge.errors import DataError

if TYPE_CHECKING:
    import tifffile

ORIENTATION = "Orientation"
OWN = {"MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "YCBCR"}
ALPHA = ("ASSOCALPHA", "UNASSALPHA")
REDUCED = 1  # bit of NewSubfileType: a smaller copy of another page
EIGHT = 8
SIGNED = 2**15


def decode_tiff(path: Path, file: BinaryIO) -> RawPicture:
    """The TIFF in `file`.

    Raises:
        DataError: if it holds pictures of several sizes, or more than the limits allow.
        Exception: what tifffile and Pillow raise on damaged files, see `picture_file.DAMAGE`.
    """
    import tifffile  # a tenth of a second and more, which other pictures do without

    with tifffile.TiffFile(file) as tiff:
        series = _full_series(path, tiff)
        page = series.keyframe
        require_size(path, page.imagewidth, page.imagelength, int(np.prod(series.shape, dtype=np.int64)))
        if page.photometric.name not in OWN:
            return _by_pillow(path, file)
        _require_whole(tiff, series)
        pixels = _calibrated(tiff, series.asarray())
        found = _arranged(path, tiff, series, pixels)
        turn = _tag(page, ORIENTATION) or 1
        return found if turn == 1 else _turned(found, int(turn))


def _full_series(path: Path, tiff: "tifffile.TiffFile") -> Any:
    """The one picture in the file; smaller copies of it, for previews, are not looked at."""
    series = [one for one in tiff.series if not one.keyframe.subfiletype & REDUCED] or list(tiff.series)
    if len(series) != 1:
        sizes = ", ".join(f"{one.name or number}: {one.axes} {one.shape}" for number, one in enumerate(series[:3]))
        raise DataError(f"{path}: holds {len(series)} pictures of different sizes or kinds ({sizes}); divide the file")
    return series[0]


def _require_whole(tiff: "tifffile.TiffFile", series: Any) -> None:
    """Refuse files that are cut off: what is missing would be read as zeros."""
    size = tiff.filehandle.size
    for page in series.pages:
        if page is None:
            raise ValueError("a page is missing")
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
            if offset + count > size:
                raise ValueError("the file is cut off")


def _calibrated(tiff: "tifffile.TiffFile", pixels: NDArray[Any]) -> NDArray[Any]:
    """Signed values that ImageJ wrote as unsigned ones, raised by 32,768: its header says so (`cf=0`, `c0=-32768`)."""
    told = tiff.pages.first.description
    lines = dict(line.split("=", 1) for line in told.splitlines() if "=" in line) if told.startswith("ImageJ=") else {}
    try:
        signed = (int(lines["cf"]), float(lines["c0"]), float(lines["c1"])) == (0, -SIGNED, 1.0)
    except (KeyError, ValueError):
        return pixels
    if not signed or pixels.dtype.kind != "u" or pixels.dtype.itemsize != 2:
        return pixels
    values = pixels.astype(np.int32) - SIGNED
    return values.astype(np.uint16 if values.min(initial=0) >= 0 else np.int16)


def _arranged(path: Path, tiff: "tifffile.TiffFile", series: Any, pixels: NDArray[Any]) -> RawPicture:
    """Axes brought into the order [planes, H, W, channels]."""
    page, axes = series.keyframe, series.axes
    colour = page.photometric.name in ("RGB", "YCBCR") and "S" in axes
    if page.photometric.name == "PALETTE" and page.colormap is not None:
        return _coloured(page, axes, pixels)
    channel = "S" if "S" in axes else "C"
    if "S" in axes and "C" in axes and pixels.shape[axes.index("C")] > 1:
        raise DataError(f"{path}: has axes {axes}, channels of colour pictures, which cannot be told; divide the file")
    planes, names = _planes(axes, pixels, channel)
    extra = [kind.name for kind in page.extrasamples] if "S" in axes else []
    alpha = bool(extra) and extra[-1] in ALPHA
    if colour and alpha is False and planes.shape[-1] == 4 and not page.extrasamples:
        colour = False
    told = {
        "axis": names[0] if names in ("T", "Z") else "I",
        "colour": colour,
        "names": _channel_names(tiff) if not colour else (),
        "inverted": page.photometric.name == "MINISWHITE",
        "bits": _bits(tiff, page),
    }
    return with_alpha(planes, alpha, **told)


def _planes(axes: str, pixels: NDArray[Any], channel: str) -> tuple[NDArray[Any], str]:
    """Pixels as [P, H, W, C], and which axes longer than 1 the planes are."""
    order = [axes.index("Y"), axes.index("X")]
    last = [axes.index(channel)] if channel in axes else []
    rest = [place for place in range(len(axes)) if place not in (*order, *last)]
    moved = pixels.transpose(*rest, *order, *last)
    shape = (-1, *(pixels.shape[place] for place in order), pixels.shape[last[0]] if last else 1)
    return moved.reshape(shape), "".join(axes[place] for place in rest if pixels.shape[place] > 1)


def _coloured(page: Any, axes: str, pixels: NDArray[Any]) -> RawPicture:
    """A palette's colours, of 16 bits each, in 8."""
    planes, _ = _planes(axes, pixels, "S")
    colours = (page.colormap >> EIGHT).astype(np.uint8).T
    return RawPicture(colours[planes[..., 0]], "P", colour=True)


def _channel_names(tiff: "tifffile.TiffFile") -> tuple[str, ...]:
    if not tiff.ome_metadata:
        return ()
    found = (re.search(r'\bName="([^"]*)"', tag) for tag in re.findall(r"<(?:\w+:)?Channel\b[^>]*>", tiff.ome_metadata))
    return tuple(match[1] if match else "" for match in found)


def _bits(tiff: "tifffile.TiffFile", page: Any) -> int | None:
    """Bits of a value that the header claims: fewer than its type has."""
    found = re.search(r'\bSignificantBits="(\d+)"', tiff.ome_metadata or "")
    bits = int(found[1]) if found else page.bitspersample
    most = _tag(page, "MaxSampleValue")
    if isinstance(most, int) and most > 0 and (most + 1) & most == 0:
        bits = min(bits, most.bit_length())
    return int(bits) if EIGHT < bits < page.dtype.itemsize * EIGHT else None


def _tag(page: Any, name: str) -> Any:
    tag = page.tags.get(name)
    return None if tag is None else tag.value


def _turned(found: RawPicture, turn: int) -> RawPicture:
    pixels = np.stack([oriented(plane, turn) for plane in found.pixels])
    alpha = None if found.alpha is None else np.stack([oriented(plane, turn) for plane in found.alpha])
    return replace(found, pixels=pixels, alpha=alpha)


def _by_pillow(path: Path, file: BinaryIO) -> RawPicture:
    """CMYK, Lab and what else only Pillow converts, page by page."""
    file.seek(0)
    planes = []
    with Image.open(file, formats=["TIFF"]) as opened:
        mode = opened.mode
        for page in range(int(getattr(opened, "n_frames", 1))):
            opened.seek(page)
            require_size(path, *opened.size)
            planes.append(from_pillow(ImageOps.exif_transpose(opened), mode))
    return joined_planes(planes, mode)
