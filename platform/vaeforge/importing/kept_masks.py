"""Masks of an import's pictures: compared with their pictures, and written beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaeforge.data.picture_masks import KEPT, read_mask
from vaeforge.errors import DataError
from vaeforge.importing.measured_images import MeasuredImage, write_pixels
from vaeforge.importing.parsed_source import ImportLog, shown


@dataclass(frozen=True)
class KeptMask:
    """A mask of the source and where it is written in a data set."""

    path: Path
    target: Path

    def write(self, folder: Path) -> None:
        """Write it below `folder` as PNG of 0 and 255."""
        place = folder / self.target
        place.parent.mkdir(parents=True, exist_ok=True)
        write_pixels(read_mask(self.path).astype(np.uint8) * np.uint8(255), place)


def kept_masks(
    source: Path, masks: Mapping[Path, Path], measured: Sequence[MeasuredImage], log: ImportLog
) -> list[KeptMask]:
    """Those of the masks that can be used; the others go into the quarantine.

    Args:
        source: what is being read.
        masks: the picture of each.
        measured: pictures that can be used.
        log: takes a note, and what is left out.
    """
    items = {item.candidate.path: item for item in measured if item.plane is None}
    kept = []
    for mask, picture in masks.items():
        problem = "its picture is left out" if picture not in items else _problem(mask, items[picture])
        if problem:
            log.quarantine(shown(mask, source), f"a mask of {shown(picture, source)}: {problem}")
        else:
            kept.append(KeptMask(mask, KEPT / items[picture].target.with_suffix(".png")))
    if kept:
        log.notes.append(f"{len(kept)} masks of pictures: kept as masks, for pixel AUROC and PRO, and no pictures")
    return kept


def _problem(mask: Path, item: MeasuredImage) -> str:
    try:
        height, width = read_mask(mask).shape
    except DataError as error:
        return str(error)
    size = (item.row["width"], item.row["height"])
    return "" if (width, height) == size else f"is {width} x {height} pixels, must be {size[0]} x {size[1]}"
