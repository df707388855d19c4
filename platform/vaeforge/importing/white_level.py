"""White level and bits of the pictures of an import: found or stated, and said, for files and arrays alike."""

import math
from collections.abc import Sequence
from dataclasses import replace

from vaeforge.config.prepare import AUTO
from vaeforge.data.grey_levels import SAMPLE_DEPTHS, Extent, depth_of, white_note, white_of
from vaeforge.data.picture_reading import PictureReading
from vaeforge.errors import ConfigError, DataError, QuestionError
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog


def depth_asked(options: ImportOptions) -> int | None:
    """The bits of a sample's value that `--depth` says, none for auto.

    Raises:
        ConfigError: if it says something else.
    """
    allowed = {"": None, AUTO: None} | {str(depth): depth for depth in SAMPLE_DEPTHS}
    if options.depth not in allowed:
        raise ConfigError(f"--depth: got {options.depth!r}, must be auto, 8 or 16")
    return allowed[options.depth]


def stated_range(options: ImportOptions) -> PictureReading:
    """Pictures of more than 8 bits read by the black and white, or the window, that options say.

    A window of centre c and width w tells values from c - 0.5 - (w - 1) / 2 to c - 0.5 + (w - 1) / 2 apart (DICOM
    PS3.3, C.11.2.1.2.1).

    Raises:
        ConfigError: if the window is none, or white or black are said beside it.
    """
    if not options.window:
        return PictureReading(options.black, options.white)
    if options.white is not None or options.black:
        raise ConfigError(f"--window: got {options.window!r} beside --white or --black; give one or the other")
    try:
        centre, width = (float(number) for number in options.window.split(","))
        if not (math.isfinite(centre) and 1 < width < math.inf):
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"--window: got {options.window!r}, must be its centre and its width, which is above 1, for example 40,400"
        ) from None
    middle, half = centre - 0.5, (width - 1) / 2
    return PictureReading(middle - half, middle + half, clip=True)


def with_white(
    where: str, stated: PictureReading, extents: Sequence[Extent], count: int, depth: int | None, log: ImportLog
) -> PictureReading:
    """`stated` with the white level that is found, and the bits that are kept.

    Args:
        where: the pictures are, for messages.
        stated: how they are read as far as the user says.
        extents: of those of more than 8 bits.
        count: how many pictures of more than 8 bits there are, for the note.
        depth: the bits that are kept; none: what these need.
        log: takes the note.

    Raises:
        DataError: if no white can be found.
    """
    if not extents:
        return replace(stated, depth=depth or stated.depth)
    try:
        white = white_of(extents) if stated.white is None else stated.white
    except QuestionError as error:
        raise QuestionError(f"{where} {error}", **error.likely) from None
    except DataError as error:
        raise DataError(f"{where} {error}") from None
    joined = extents[0]
    for extent in extents[1:]:
        joined = joined.joined(extent)
    assert white is not None  # there are deep pictures
    reading = replace(stated.of_set(white), depth=depth or depth_of(extents, stated.black, white))
    log.notes.append(white_note(white, joined, count, stated=stated.white is not None, depth=reading.depth))
    return reading
