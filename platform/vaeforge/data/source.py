"""What a source of images gives: items of each split, and what was left out."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]


@dataclass
class Split:
    """Items cut from a family's files.

    Attributes:
        train: uint8 [N, 3, size + margin, size + margin], normal.
        validation: uint8 [M, 3, size, size], normal.
        test: uint8 [T, 3, size, size].
        labels: [T], 0 normal, 1 anomalous.
        groups: [T], names of the independent blocks that test items belong to.
        quarantined: files that could not be used, with the reason.
    """

    train: list[Images] = field(default_factory=list)
    validation: list[Images] = field(default_factory=list)
    test: list[Images] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)

    def extend(self, other: "Split") -> None:
        """Add another source's items."""
        self.train += other.train
        self.validation += other.validation
        self.test += other.test
        self.labels += other.labels
        self.groups += other.groups
        self.quarantined |= other.quarantined

    def counts(self) -> dict[str, Any]:
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
            "quarantined": len(self.quarantined),
        }


def centre(image: Images, side: int) -> Images:
    """The middle `side` x `side` pixels of an image [3, H, W]."""
    top, left = (image.shape[1] - side) // 2, (image.shape[2] - side) // 2
    return image[:, top : top + side, left : left + side]
