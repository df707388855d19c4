"""A split of pictures of normal and anomalous things, as it is collected from folders and annotated images."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.large_arrays import stacked
from vaeforge.data.picture_masks import ANOMALOUS
from vaeforge.data.picture_reading import PictureReading, to_plain
from vaeforge.data.pixels import Pixels
from vaeforge.samples import TRAIN_SIZES, DataSet, RawImage, Samples


@dataclass
class Split:
    """Pictures of normal and anomalous things, as they are collected.

    Attributes:
        train: uint8 or uint16 [N, 3, size + margin, size + margin], normal.
        validation: likewise [M, 3, size, size], normal.
        test: likewise [T, 3, size, size].
        labels: [T], 0 normal, 1 anomalous.
        groups: [T], names of the independent blocks that test items belong to.
        quarantined: files that could not be used, with the reason.
        images: the pictures as they came.
        train_sizes: the widths and heights that occur among the pictures that became training items.
        cut: whether items are patches of larger pictures.
        apart: anomalous pictures left out, since their group trains or validates.
        masks: of the test, uint8 [S, S] each: 0 normal, 1 anomalous, 255 unknown; empty where the data have none.
        reading: of the pictures, with the white level of all of them.
    """

    train: list[Pixels] = field(default_factory=list)
    validation: list[Pixels] = field(default_factory=list)
    test: list[Pixels] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    images: list[RawImage] = field(default_factory=list)
    train_sizes: set[tuple[int, int]] = field(default_factory=set)
    cut: bool = False
    reading: PictureReading = field(default_factory=PictureReading)
    apart: int = 0
    masks: list[NDArray[np.uint8]] = field(default_factory=list)

    def extend(self, other: "Split") -> None:
        """Add another source's items."""
        self.train += other.train
        self.validation += other.validation
        self.test += other.test
        self.labels += other.labels
        self.groups += other.groups
        self.quarantined |= other.quarantined
        self.images += other.images
        self.train_sizes |= other.train_sizes
        self.cut |= other.cut
        self.reading = other.reading
        self.apart += other.apart
        self.masks += other.masks

    def counts(self) -> dict[str, int]:
        """How many items there are of each kind, and how many independent groups."""
        by_label = {label: sum(known == label for known in self.labels) for label in (0, 1)}
        groups = {
            label: len({g for g, k in zip(self.groups, self.labels, strict=True) if k == label}) for label in (0, 1)
        }
        return {
            "train": len(self.train),
            "validation": len(self.validation),
            "test_normal": by_label[0],
            "test_anomalous": by_label[1],
            "test_normal_groups": groups[0],
            "test_anomalous_groups": groups[1],
            **({"left_out_of_test": self.apart} if self.apart else {}),
            **({"test_masks": sum(bool((mask == ANOMALOUS).any()) for mask in self.masks)} if self.masks else {}),
        }

    def data_set(self) -> DataSet:
        """The items stacked."""
        train, validation, test = (
            Samples.unconditional(stacked(items)) for items in (self.train, self.validation, self.test)
        )
        labels = np.array(self.labels, dtype=np.int64)
        info: dict[str, Any] = {"cut": self.cut, "pictures": to_plain(self.reading)}
        info[TRAIN_SIZES] = sorted(map(list, self.train_sizes))
        told: dict[str, Any] = {"counts": self.counts(), "info": info, "quarantined": self.quarantined}
        told["masks"] = np.stack(self.masks) if self.masks else None
        return DataSet(train, validation, test, labels, self.groups, images=self.images, **told)
