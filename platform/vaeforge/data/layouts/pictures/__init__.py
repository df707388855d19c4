"""Pictures of normal and anomalous things, or of normal ones alone: annotated images in patches, or class folders."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaeforge.config.layouts import Layout
from vaeforge.data.framing import cropped_remark, fitting_size, margin_of
from vaeforge.data.layouts.pictures.annotated_images import annotated_folders, mark_no_anomaly, read_annotated
from vaeforge.data.layouts.pictures.class_folders import is_normal, read_folders
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.data.layouts.pictures.split import Split
from vaeforge.data.picture_reading import reading_of
from vaeforge.data.pixels import Pixels
from vaeforge.data.resize import centre_of, crop_square
from vaeforge.errors import DataError
from vaeforge.samples import DataSet


def read(folder: Path, settings: PictureSettings) -> DataSet:
    """All items below `folder`, from annotated images or from class folders.

    Raises:
        DataError: naming the part that is empty, or the pictures that occur twice.
    """
    split = read_split(folder, settings)
    sizes = [(image.width, image.height) for image in split.images]
    remark = "" if split.cut else LAYOUT.framing(sizes, settings)
    data = split.data_set()
    return replace(data, info={**data.info, "framing": remark}) if remark else data


def read_split(folder: Path, settings: PictureSettings) -> Split:
    """All items below `folder`, from annotated images and from class folders."""
    annotated = annotated_folders(folder)
    only_normal, split = mark_no_anomaly(annotated), Split()
    for image in annotated:
        split.extend(read_annotated(image, settings, reading_of(folder, settings), only_normal))
    pictures = read_folders(folder, settings, skip=set(annotated))
    if annotated and pictures.train:
        named = ", ".join(str(path.relative_to(folder)) for path in annotated)
        raise DataError(
            f"{folder}: holds annotated images ({named}) beside class folders; they would be mixed into one data set: "
            "remove one of them (the sample is in `skin`; `vaeforge data drop skin` removes it)"
        )
    split.extend(pictures)
    only_normal |= bool(split.images) and all(is_normal(image.label) for image in split.images)
    _require_all(folder, split, only_normal)
    return split


def _require_all(folder: Path, split: Split, only_normal: bool) -> None:
    """Refuse an empty part; anomalous images must be in the test where there are any."""
    counts = split.counts()
    needed = ("train", "validation", "test_normal", *(() if only_normal else ("test_anomalous",)))
    empty = [name for name in needed if not counts[name]]
    if empty:
        listed = "; ".join(f"{name}: {reason}" for name, reason in list(split.quarantined.items())[:5])
        raise DataError(
            f"{folder}: nothing for {', '.join(empty)} (counts {counts}{'; left out: ' + listed if listed else ''}); "
            "add images, or change the shares and sizes of the section `prepare`"
        )


class PicturesLayout(Layout):
    """Colour images of normal and anomalous things."""

    name = "pictures"
    settings = PictureSettings
    picture_modes = ("whole", "sample", "patches")

    def read(self, folder: Path, settings: PictureSettings) -> DataSet:
        return read(folder, settings)

    def fitting_size(self, sizes: Sequence[tuple[int, int]], settings: PictureSettings) -> int:
        return fitting_size([min(size) for size in sizes], settings.size)

    def settings_of_size(self, size: int) -> dict[str, Any]:
        return {"size": size, "margin": margin_of(size)}

    def framing(self, sizes: Sequence[tuple[int, int]], settings: PictureSettings) -> str:
        return cropped_remark(sizes, settings.size, settings.margin, self.fitting_size(sizes, settings))

    def sample_of(self, picture: Pixels, side: int, prepare: Mapping[str, Any]) -> Pixels:
        return centre_of(crop_square(picture, side + int(prepare["margin"])), side)


LAYOUT = PicturesLayout()
