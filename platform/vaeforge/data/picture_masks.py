"""Masks among pictures: files that mark pixels of another picture, and would be anomalous pictures if they were taken.

A mask lies in a folder called `ground_truth`, `masks` or the like, or its name ends with `_mask`; a picture elsewhere
has its stem (`ground_truth/broken/000_mask.png` is of `test/broken/000.png`); and it has two levels, up to what JPEG
makes of them. What is named so and has more levels is doubtful.

A data set holds masks as `masks/<class>/<stem>.png`, which prepare finds by the same rule.

Shapes: grey levels uint8 [H, W]; masks bool [H, W], squares uint8 [S, S].
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.data.images import open_grey
from vaeforge.data.resize import centre_of
from vaeforge.errors import DataError

FOLDERS = {"ground_truth", "groundtruth", "gt", "mask", "masks", "segmentation", "segmentations"}
ENDING = re.compile(r"[_-](mask|gt|segmentation)$", re.IGNORECASE)
NEAR = 16  # levels from the smallest or largest one, which JPEG adds at edges
SHARE = 0.99  # of the pixels must be so near
KEPT = "masks"  # the folder in a data set
NORMAL, ANOMALOUS, UNKNOWN = 0, 1, 255
Mask = NDArray[np.bool_]
Square = NDArray[np.uint8]


@dataclass(frozen=True)
class Masks:
    """Masks with the picture that each is of, and what is named like one without looking like it."""

    of: dict[Path, Path] = field(default_factory=dict)
    doubtful: list[Path] = field(default_factory=list)


def find_masks(paths: Sequence[Path], root: Path) -> Masks:
    """The masks among the pictures at `paths` below `root`; only what is named like one is opened."""
    named = [path for path in paths if _is_named_so(path.relative_to(root))]
    others: dict[str, list[Path]] = {}
    for path in set(paths) - set(named):
        others.setdefault(path.stem, []).append(path)
    found = Masks()
    for path in named:
        pictures = sorted(others.get(ENDING.sub("", path.stem), ()))
        if not pictures:
            continue
        if _has_two_levels(path):
            found.of[path] = max(pictures, key=lambda picture: picture.parent.name == path.parent.name)
        else:
            found.doubtful.append(path)
    return found


def read_mask(path: Path) -> Mask:
    """The marked pixels of the mask at `path`: those nearer to its largest level, or all of one level above 0.

    Raises:
        DataError: if it cannot be read.
    """
    levels = open_grey(path).astype(np.float64)
    low, high = levels.min(), levels.max()
    return levels > (low + high) / 2 if high > low else levels > 0


def square_of(mask: Mask, side: int, size: int) -> Square:
    """The mask of a sample, framed as its picture is: the centre square resized to `side`, the middle `size` of it.

    A pixel is anomalous where at least half of what it was resized from is.
    """
    edge = min(mask.shape)
    top, left = (mask.shape[0] - edge) // 2, (mask.shape[1] - edge) // 2
    levels = Image.fromarray(mask[top : top + edge, left : left + edge].astype(np.uint8) * np.uint8(255))
    small = np.asarray(levels.resize((side, side), Image.Resampling.BOX))
    square: Square = centre_of(np.where(small >= 128, ANOMALOUS, NORMAL).astype(np.uint8)[None], size)[0]
    return square


def _is_named_so(path: Path) -> bool:
    return bool(ENDING.search(path.stem)) or any(part.lower() in FOLDERS for part in path.parts[:-1])


def _has_two_levels(path: Path) -> bool:
    try:
        levels = open_grey(path)
    except DataError:
        return False  # it is named where it is read
    low, high = int(levels.min()), int(levels.max())
    near = (levels <= low + NEAR) | (levels >= high - NEAR)
    apart = high - low > 2 * NEAR  # else levels of several kinds, 0, 1 and 2, lie near both ends
    return len(np.unique(levels)) <= 2 or (apart and float(near.mean()) >= SHARE)
