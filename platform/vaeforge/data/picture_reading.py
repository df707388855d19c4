"""Reading of the pictures of a data set: white level, pages and channels; the same at every door.

Found or stated at import, kept in `pictures.json` beside the pictures, and part of a model's contract.

Shapes: P planes, C channels; pixels [P, H, W, C].
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.prepare import AUTO, PicturePrepare
from vaeforge.data.grey_levels import SAMPLE_DEPTHS, WHITE, extent_of, is_deep, to_levels, white_of
from vaeforge.data.picture_file import RawPicture
from vaeforge.data.pixels import Pixels
from vaeforge.errors import ConfigError, DataError, QuestionError
from vaeforge.paths import read_json, write_json

FILE = "pictures.json"
PAGES = ("frames", "first", "max", "mean", "channels")
AXES = {"T": "time points", "Z": "slices of a stack", "I": "pages"}
ASK_PAGES = "say what they are: --pages frames (each a picture), first, max or mean (of all), or channels"


@dataclass(frozen=True)
class PictureReading:
    """How pictures become levels, grey or RGB.

    Attributes:
        black: value that becomes 0, for pictures with more than 8 bits.
        white: value that becomes the largest level, for pictures with more than 8 bits; none: found, see `grey_levels`.
        pages: what the pages of a file are, one of `PAGES`; empty: files have one.
        channels: those that are taken, by number (from 0) or name, in order; empty: all.
        depth: bits of a level: 8, or 16, of all pictures.
        clip: whether values outside of black and white are meant to become these, as a window on CT has it; else
            pictures with more than 1 % of such values are refused.
    """

    black: float = 0.0
    white: float | None = None
    pages: str = ""
    channels: tuple[str, ...] = ()
    depth: int = 8
    clip: bool = False

    def __post_init__(self) -> None:
        if self.clip and self.white is None:
            raise ConfigError("pictures are clipped, but nothing says at which black and white")
        if self.depth not in SAMPLE_DEPTHS:
            raise ConfigError(f"--depth: got {self.depth}, must be auto, 8 or 16")
        if self.pages and self.pages not in PAGES:
            raise ConfigError(f"--pages: got {self.pages!r}, must be one of {', '.join(PAGES)}")
        if self.white is not None and not self.white > self.black:
            raise ConfigError(f"--white: got {self.white:g}, must be above black, {self.black:g}")
        if self.white is None and self.black:
            raise ConfigError(f"--black: got {self.black:g} without --white; give both")

    def of_set(self, white: float | None) -> "PictureReading":
        """This one with the white level of its data set, unless one was stated."""
        return self if self.white is not None or white is None else replace(self, white=white)

    def selected(self, raw: RawPicture, most: int) -> RawPicture:
        """The planes and channels that are taken: [P, H, W, C], C at most `most`; P is 1 unless pages are frames.

        Raises:
            DataError: if there are several pages and nothing says what they are, or more channels than are taken.
        """
        return _one_or_few(_paged(raw, self), self.channels, most)

    def levels(self, raw: RawPicture) -> Pixels:
        """Selected planes as levels [P, H, W, C], on white where they are transparent.

        Raises:
            DataError: if the white level is not known, or is another one.
        """
        pixels, white = raw.pixels, self.white
        if not is_deep(pixels.dtype):
            levels = to_levels(pixels, 0, WHITE, raw.inverted, self.depth)
        else:
            extent = extent_of(pixels, raw.bits)
            white = white_of([extent]) if white is None else white
            ends = (self.black, WHITE if white is None else white)
            levels = to_levels(pixels, *ends, raw.inverted, self.depth, self.clip)
        if raw.alpha is None:
            return levels
        opaque, top = raw.alpha[..., None], float(np.iinfo(levels.dtype).max)
        return np.round(levels * opaque + top * (1 - opaque)).astype(levels.dtype)

    def levels_of_array(self, pixels: NDArray[Any]) -> Pixels:
        """Grey pictures of an array, uint8 or uint16 of any shape, as levels: those of 8 bits have a white of 255.

        Raises:
            DataError: if more than 1 % of the values lie outside of the range, which is then not theirs.
        """
        black, white = (0.0, WHITE) if pixels.dtype == np.uint8 else (self.black, self.white or WHITE)
        return to_levels(pixels, black, white, depth=self.depth, clip=self.clip)


PLAIN = PictureReading()
LATER = ("depth", "clip")  # are left out where they say nothing, so that sets from before they were there say the same


def _paged(raw: RawPicture, reading: PictureReading) -> RawPicture:
    count = len(raw.pixels)
    if count == 1 or reading.pages == "frames" or (raw.axis == "T" and not reading.pages):
        return raw
    if not reading.pages:
        raise QuestionError(f"holds {count} {AXES[raw.axis]}; {ASK_PAGES}", pages=PAGES[1])
    pixels, alpha = raw.pixels, None if raw.alpha is None else raw.alpha[:1]
    if reading.pages == "first":
        return replace(raw, pixels=pixels[:1], alpha=alpha)
    if reading.pages == "channels":
        if pixels.shape[-1] != 1:
            raise DataError(f"holds {count} pages of {pixels.shape[-1]} channels each, which cannot be channels")
        return replace(raw, pixels=np.moveaxis(pixels, 0, -1)[..., 0, :][None], alpha=None, names=())
    joined = pixels.max(0) if reading.pages == "max" else pixels.mean(0)
    if pixels.dtype.kind in "iu":
        joined = np.round(joined).astype(pixels.dtype)
    return replace(raw, pixels=joined[None], alpha=None)


def _one_or_few(raw: RawPicture, chosen: tuple[str, ...], most: int) -> RawPicture:
    count = raw.pixels.shape[-1]
    if chosen and count != len(chosen) and not (raw.colour and len(chosen) > 1):
        taken = [_channel(name, raw) for name in chosen]
        raw = replace(raw, pixels=raw.pixels[..., taken], colour=False, names=tuple(chosen))
        count = len(taken)
    if not raw.colour and count > most:
        names = f" ({', '.join(raw.names)})" if any(raw.names) else ""
        raise QuestionError(
            f"has {count} channels{names}, the family takes {most}; say which, by number from 0 or by name: "
            f"--channels {','.join(map(str, range(most)))}",
            channels=tuple(map(str, range(most))),
        )
    return raw


def _channel(name: str, raw: RawPicture) -> int:
    count = raw.pixels.shape[-1]
    if name in raw.names:
        return raw.names.index(name)
    if name.isdecimal() and int(name) < count:
        return int(name)
    known = f", or {', '.join(filter(None, raw.names))}" if any(raw.names) else ""
    raise DataError(f"has no channel {name!r}; --channels must be 0 to {count - 1}{known}")


def write_reading(folder: Path, reading: PictureReading) -> None:
    """Write `pictures.json` into a data set, unless all its pictures are plain ones of 8 bits."""
    if reading != PictureReading():
        write_json(folder / FILE, to_plain(reading))


def to_plain(reading: PictureReading) -> dict[str, Any]:
    """As JSON has it."""
    own = {name: value for name, value in vars(reading).items() if name not in LATER or value != vars(PLAIN)[name]}
    return {**own, "channels": list(reading.channels)}


def from_plain(given: Mapping[str, Any], where: str) -> PictureReading:
    """What `to_plain` wrote.

    Raises:
        DataError: if it is something else.
    """
    try:
        white = given["white"]
        return PictureReading(
            float(given["black"]),
            None if white is None else float(white),
            str(given["pages"]),
            tuple(map(str, given["channels"])),
            int(given.get("depth", SAMPLE_DEPTHS[0])),
            given.get("clip", False) is True,
        )
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise DataError(f"{where}: is not how pictures are read ({error!r}); import the data again") from None


def reading_of(folder: Path, settings: PicturePrepare) -> PictureReading:
    """How the pictures below `folder` are read, by its `pictures.json`; what `settings` state goes first.

    Raises:
        DataError: if it holds several, or one that cannot be read.
    """
    found = [path for path in sorted(folder.rglob(FILE)) if not path.parent.name.startswith(".")]
    if len(found) > 1:
        raise DataError(f"{folder}: holds {len(found)} files {FILE}, of as many data sets; move the others away")
    known = PictureReading()
    if found:
        known = from_plain(read_json(found[0], "import the data again"), str(found[0]))
    if settings.depth != AUTO:
        known = replace(known, depth=settings.depth)
    return known if settings.white is None else replace(known, black=settings.black, white=settings.white)
