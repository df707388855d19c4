"""Names of items that differ in one part only: runs of a person, channels of a picture, frames of a film.

Nothing says for sure that such items belong together, but they most often do, so that it is asked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

PERSON = (
    r"are they of one person each? Say --groups '^(.+?)[ _.-](run|ses|visit)' or another pattern whose first "
    "parenthesis is the person, --group-column NAME, or --groups none if each is a person"
)
PICTURE = (
    "are they channels of one picture each? Save these as one file (OME-TIFF) and give --channels, or import the files "
    "of one channel alone; else say --groups none"
)
COPIES = (
    "are they augmented copies of one picture each? Leave the copies out of the source, as training augments pictures "
    r"itself; else say --groups '^(.+?)[ _.-](flip|rot|aug)' or another pattern whose first parenthesis is the "
    "picture, or --groups none if each is by itself"
)
FILM = (
    r"are they of one film, stack or slide each? Say --groups '^(.+?)[ _.-](frame|slice|tile)' or another pattern "
    "whose first parenthesis is the film, --group-column NAME, or --groups none if each is by itself"
)
STAINS = (
    r"dapi|hoechst\w*|e?gfp|e?yfp|rfp|cfp|mcherry|tdtomato|fitc|tritc|cy[357]|texas ?red|alexa\d+|brightfield|bf|dic|"
    "phase"
)


@dataclass(frozen=True)
class Repeated:
    """A part of names by which those of one group differ.

    Attributes:
        part: of a name.
        what: differs, in words.
        asked: of those that differ in nothing else, with the answers.
        assumed: of them where nobody answers.
        least: groups of several that there must be: of fewer, the rest of the name is rather a class.
        most: items of a group: of more, the part rather counts something else; none: any number.
    """

    part: re.Pattern[str]
    what: str
    asked: str
    assumed: str
    least: int = 1
    most: int | None = None


CHANNEL = Repeated(
    re.compile(rf"[ _.-](ch(annel)?[ _-]?\d+|c\d{{1,2}}|{STAINS})(?=[ _.-]|$)", re.IGNORECASE),
    "the channel",
    PICTURE,
    "each file is a picture, and those of one name are one group",
    least=2,
    most=6,
)
HEMISPHERE = Repeated(
    re.compile(r"(^|[ _.-])(hemi-)?(lh|rh|l|r|left|right)(?=[ _.-]|$)", re.IGNORECASE),
    "the hemisphere",
    "are they the two hemispheres of one brain each? Say --hemispheres joined if so, --hemispheres apart if each file "
    "is a brain",
    "each file is a series of the same voxels",
)
REPEATS = (
    Repeated(
        re.compile(r"[ _.-](run|ses|session|visit|scan|repeat|rep|day|part)[ _-]?\d+", re.IGNORECASE),
        "the number of a run, session or visit",
        PERSON,
        "they are of one person each",
    ),
    CHANNEL,
    Repeated(
        re.compile(
            r"[ _.-]([hv]?flip(ped)?|mirror(ed)?|rot(ated?)?[ _-]?\d*|aug(mented)?[ _-]?\d*)(?=[ _.-]|$)", re.IGNORECASE
        ),
        "a flip, a rotation or the like",
        COPIES,
        "they are of one picture each",
    ),
    Repeated(
        re.compile(r"[ _.-](frame|slice|tile|patch|crop|view)[ _-]?\d+", re.IGNORECASE),
        "the number of a frame, slice or tile",
        FILM,
        "they are of one film, stack or slide each",
        least=3,
    ),
)


def differing(items: Sequence[str], kind: Repeated) -> dict[str, list[str]]:
    """The items by what is left of their names without the part; empty where they are rather called otherwise."""
    stems: dict[str, list[str]] = {}
    for item in items:
        stems.setdefault(kind.part.sub("", item), []).append(item)
    several = [len(members) for members in stems.values() if len(members) > 1]
    if len(several) < kind.least or (kind.most is not None and max(several) > kind.most):
        return {}
    return stems
