"""Masks among pictures: files that mark pixels of another picture, and would be anomalous pictures if they were taken.

A mask lies in a folder called `ground_truth`, `masks` or the like, or its name ends with `_mask`; a picture elsewhere
has its stem (`ground_truth/broken/000_mask.png` is of `test/broken/000.png`); and it has two levels, up to what JPEG
makes of them. What is named so and has more levels is doubtful.

Shapes: grey levels uint8 [H, W].
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vaeforge.data.images import open_grey
from vaeforge.errors import DataError

FOLDERS = {"ground_truth", "groundtruth", "gt", "mask", "masks", "segmentation", "segmentations"}
ENDING = re.compile(r"[_-](mask|gt|segmentation)$", re.IGNORECASE)
NEAR = 16  # levels from the smallest or largest one, which JPEG adds at edges
SHARE = 0.99  # of the pixels must be so near


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


def _is_named_so(path: Path) -> bool:
    return bool(ENDING.search(path.stem)) or any(part.lower() in FOLDERS for part in path.parts[:-1])


def _has_two_levels(path: Path) -> bool:
    try:
        levels = open_grey(path)
    except DataError:
        return False  # it is named where it is read
    near = (levels <= levels.min() + NEAR) | (levels >= levels.max() - NEAR)
    return len(np.unique(levels)) <= 2 or float(near.mean()) >= SHARE
