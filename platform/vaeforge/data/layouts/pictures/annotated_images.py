"""Annotated images: a folder with image.png and labels.png of the same size, cut into patches.

The image's columns are divided into three strips, train | validation | test. A patch lies wholly within its strip, so
no pixel is seen in two splits; a training patch, which has room for random crops, does so with that room.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaeforge.data import picture_masks
from vaeforge.data.images import read_labels, read_picture
from vaeforge.data.label_values import ANOMALOUS, ANOMALOUS_ITEM, NORMAL, NORMAL_ITEM
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.data.layouts.pictures.split import Split
from vaeforge.data.picture_reading import PictureReading, reading_of
from vaeforge.data.pixels import Pixels
from vaeforge.errors import DataError
from vaeforge.samples import RawImage

PURE = 0.99  # of a normal patch's pixels are normal
ANNOTATED = "annotated"  # the class of a whole image, which holds both
MOSTLY = 0.75  # of an anomalous patch's pixels are anomalous


@dataclass(frozen=True)
class Patch:
    """A square of an image and its labels, its upper left corner at (row, column)."""

    row: int
    column: int
    pixels: Pixels
    labels: NDArray[np.uint8]

    @property
    def normal(self) -> float:
        """Share of its pixels that are normal."""
        return float((self.labels == NORMAL).mean())

    @property
    def anomalous(self) -> float:
        """Share of its pixels that are anomalous."""
        return float((self.labels == ANOMALOUS).mean())

    def mask(self) -> NDArray[np.uint8]:
        """Its pixels as masks of the test have them; what has no label is unknown."""
        mask = np.full(self.labels.shape, picture_masks.UNKNOWN, dtype=np.uint8)
        mask[self.labels == NORMAL] = picture_masks.NORMAL
        mask[self.labels == ANOMALOUS] = picture_masks.ANOMALOUS
        return mask


def annotated_folders(folder: Path) -> list[Path]:
    """The folders below `folder`, or it itself, that hold an annotated image."""
    return sorted(path.parent for path in folder.rglob("labels.png") if (path.parent / "image.png").is_file())


def mark_no_anomaly(folders: Sequence[Path]) -> bool:
    """Whether the labels of the images in `folders`, one at least, mark no pixel as anomalous.

    Raises:
        DataError: if labels cannot be read, or have a value that means nothing.
    """
    return bool(folders) and not any((read_labels(one / "labels.png") == ANOMALOUS).any() for one in folders)


def read_annotated(
    folder: Path, settings: PictureSettings, reading: PictureReading | None = None, only_normal: bool = False
) -> Split:
    """Patches of the annotated image in `folder`.

    Args:
        folder: with image.png and labels.png.
        settings: how patches are made and divided.
        reading: of the image; none: by what lies in its folder.
        only_normal: no image has anomalous pixels, so that all normal patches of the strip test.

    Raises:
        DataError: if image and labels differ in size, or a label has a value that means nothing.
    """
    image = read_picture(folder / "image.png", reading or reading_of(folder, settings))
    labels = read_labels(folder / "labels.png")
    if image.shape[1:] != labels.shape:
        raise DataError(f"{folder}: image.png is {image.shape[1:]} pixels, labels.png {labels.shape}; they must agree")
    strips = _strips(image.shape[2], settings)
    large = settings.size + settings.margin
    split = Split(cut=True)
    split.images.append(RawImage(f"{folder.name}/image.png", ANNOTATED, image.shape[2], image.shape[1]))
    split.train = [p.pixels for p in _patches(image, labels, strips[0], large, settings.stride) if p.normal >= PURE]
    wide = _patches(image, labels, strips[1], settings.size, settings.stride)
    split.validation = [patch.pixels for patch in wide if patch.normal >= PURE]
    tested = list(_patches(image, labels, strips[2], settings.size, settings.stride))
    normal = [patch for patch in tested if patch.normal >= PURE]
    if only_normal:
        _add_test(split, normal, NORMAL_ITEM, folder.name, settings)
        split.masks = []
        return split
    anomalous = [patch for patch in tested if patch.anomalous >= MOSTLY]
    count = min(len(normal), len(anomalous))
    for label, kind in ((NORMAL_ITEM, normal), (ANOMALOUS_ITEM, anomalous)):
        _add_test(split, _thinned(kind, count), label, folder.name, settings)
    return split


def _strips(width: int, settings: PictureSettings) -> list[tuple[int, int]]:
    """The first and last column of each split's strip."""
    train = round(width * (1 - settings.validation - settings.test))
    validation = round(width * (1 - settings.test))
    return [(0, train), (train, validation), (validation, width)]


def _patches(
    image: Pixels, labels: NDArray[np.uint8], strip: tuple[int, int], side: int, stride: int
) -> Iterator[Patch]:
    for row in range(0, image.shape[1] - side + 1, stride):
        for column in range(strip[0], strip[1] - side + 1, stride):
            window = labels[row : row + side, column : column + side]
            pixels = image[:, row : row + side, column : column + side]
            yield Patch(row, column, pixels, window)


def _thinned(patches: list[Patch], count: int) -> list[Patch]:
    """`count` of the patches, evenly."""
    places = np.linspace(0, len(patches) - 1, count).round().astype(int).tolist() if count else []
    return [patches[place] for place in places]


def _add_test(split: Split, patches: list[Patch], label: int, name: str, settings: PictureSettings) -> None:
    """Patches of one kind as test items, their groups the blocks of a fixed grid in which their centres lie."""
    half = settings.size // 2
    for patch in patches:
        block = ((patch.row + half) // settings.size, (patch.column + half) // settings.size)
        split.test.append(patch.pixels)
        split.masks.append(patch.mask())
        split.labels.append(label)
        split.groups.append(f"{name}/{label}/{block[0]}/{block[1]}")
