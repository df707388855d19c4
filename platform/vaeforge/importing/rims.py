"""Rims that give a class away: transparent parts, or black or white borders, in the pictures of one class alone.

A model learns what tells classes apart most easily: the mask of an instrument, where one class alone has it.

Shapes: grey levels uint8 [H, W].
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.layouts.pictures.class_folders import is_normal
from vaeforge.errors import ConfigError
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog

DARK, BRIGHT = 12, 243  # levels of a border; JPEG makes noise of it
TRANSPARENT = 0.005  # share of a picture's pixels from which on it has transparent parts
APART = 0.5  # difference in the share of pictures with transparent parts between two classes that is asked about
ASK, KEEP = "ask", "keep"
RIMS = (ASK, KEEP)  # what `--rims` may say
GAP = 0.1  # of a rim, between classes that it separates
LEAST_CHANCE = 1000  # so many divisions into classes of these sizes must there be that one that fits is no chance


@dataclass(frozen=True)
class Rim:
    """What a picture has at its rim.

    Attributes:
        transparent: share of all pixels that are less than half opaque.
        dark: share of the outermost pixels that are black, beyond that of the pixels in its middle.
        bright: the same of white ones.
    """

    transparent: float
    dark: float
    bright: float


def rim_of(pixels: NDArray[np.uint8], transparent: float) -> Rim:
    """The rim of a picture [H, W] or [H, W, C], by its channels' mean; its middle is the half of each side."""
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, channels = planes.shape
    ring = _summed(np.concatenate([planes[0], planes[-1], planes[:, 0], planes[:, -1]]))
    middle = _summed(planes[height // 4 : height - height // 4, width // 4 : width - width // 4])
    dark, bright = DARK * channels, BRIGHT * channels
    return Rim(transparent, _beyond(ring <= dark, middle <= dark), _beyond(ring >= bright, middle >= bright))


def _summed(planes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The sum over channels [..., C], one after the other: NumPy is slow along a short last axis."""
    total = planes[..., 0].astype(np.uint16)
    for channel in range(1, planes.shape[-1]):
        total += planes[..., channel]
    return total


def _beyond(ring: NDArray[np.bool_], middle: NDArray[np.bool_]) -> float:
    """The share of the outermost pixels that are marked, less that of the middle; 0 where that has more."""
    return max(0.0, float(ring.mean() - middle.mean()))


def check_rims(
    labels: Sequence[str], names: Sequence[str], rims: Sequence[Rim], options: ImportOptions, log: ImportLog
) -> None:
    """Ask about transparent parts that pictures of some classes have and others have not, and note borders.

    Args:
        labels: the class of each picture.
        names: what each is called.
        rims: of each.
        options: whether transparent parts are kept whatever they tell.
        log: takes what is asked and noted.

    Raises:
        ConfigError: if `--rims` says something that it cannot.
    """
    if options.rims not in RIMS:
        raise ConfigError(f"--rims: got {options.rims!r}, must be one of {', '.join(RIMS)}")
    classes = defaultdict[str, list[int]](list)
    for number, label in enumerate(labels):
        classes[label].append(number)
    if len(classes) > 1 and not _ask_about_transparency(classes, names, rims, options, log):
        _note_borders(classes, rims, log)


def _ask_about_transparency(
    classes: dict[str, list[int]], names: Sequence[str], rims: Sequence[Rim], options: ImportOptions, log: ImportLog
) -> bool:
    holed = {label: [n for n in own if rims[n].transparent > TRANSPARENT] for label, own in classes.items()}
    share = {label: len(own) / len(classes[label]) for label, own in holed.items()}
    most, least = max(share, key=lambda label: share[label]), min(share, key=lambda label: share[label])
    if share[most] - share[least] < APART:
        return False
    first = holed[most][0]
    others = f"{len(holed[least])} of {len(classes[least])} of {least}"
    found = (
        f"{len(holed[most])} of {len(classes[most])} pictures of {most} have transparent parts (the first "
        f"{names[first]}, {rims[first].transparent:.0%} of its pixels), {others}: laid onto white they tell these "
        "classes apart, whatever else the pictures show"
    )
    if options.rims == KEEP:
        log.notes.append(f"warning: {found}; kept, as --rims {KEEP} was given")
    else:
        log.ask(
            f"{found}; crop all pictures to what each one shows, or lay the same mask on all of them, and import "
            f"again, or say --rims {KEEP} if they are meant",
            "transparent parts are white, and a model may learn from them which class a picture is of",
        )
    return True


def _note_borders(classes: dict[str, list[int]], rims: Sequence[Rim], log: ImportLog) -> None:
    """Warn of black or white borders that separate a class, or the normal ones, from all others without exception."""
    normal = [label for label in classes if is_normal(label)]
    sides = [[label] for label in classes] + ([normal] if 1 < len(normal) < len(classes) else [])
    for what, values in (("black", [rim.dark for rim in rims]), ("white", [rim.bright for rim in rims])):
        for side in sides:
            inside = [values[n] for label in side for n in classes[label]]
            outside = [values[n] for label, own in classes.items() if label not in side for n in own]
            if comb(len(values), len(inside)) < LEAST_CHANCE:
                continue
            low, high = sorted((inside, outside), key=lambda some: max(some))
            if min(high) - max(low) < GAP:
                continue
            bordered, others = ("they have", "all others") if high is inside else ("all others have", "they")
            log.notes.append(
                f"warning: borders alone tell {', '.join(side)} from the other classes: {bordered} {what} pixels on at "
                f"least {min(high):.0%} of the rim, {others} on at most {max(low):.0%}; a model may learn the border "
                "(an instrument's mask?) instead of what you look for: crop all pictures alike"
            )
            return
