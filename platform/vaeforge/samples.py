"""Samples in arrays, as prepare writes them and training and evaluation read them.

Shapes: N samples; stored [N, *event] uint8, uint16 or float32; x the same in raw units, uint8 or float32; condition
float32 [N, C], C = 0 for none. Raw units of pictures are grey levels from 0 to 255: stored uint16 are 257ths of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # layouts of data are read, and scored, without torch
    import torch
    from torch import Tensor

CHUNK = 64
FINE = 257  # steps of 16 bits in a grey level of 8: 65,535 = 255 * 257
TRAIN_SIZES = "train_sizes"  # in a data set's info: sizes of the pictures that training samples were made of


def raw_units(stored: NDArray[Any]) -> NDArray[Any]:
    """Stored values in raw units: pictures of 16 bits as float32 grey levels from 0 to 255, others as they are."""
    return stored.astype(np.float32) / np.float32(FINE) if stored.dtype == np.uint16 else stored


@dataclass(frozen=True)
class Samples:
    """Values and conditions of the same samples; memory maps are read where they are indexed.

    Choose samples before `x` is asked for: it converts all of them where they are stored in 16 bits.
    """

    stored: NDArray[Any]
    condition: NDArray[np.float32]

    @property
    def fine(self) -> bool:
        """Whether they are pictures of 16 bits."""
        return bool(self.stored.dtype == np.uint16)

    @property
    def x(self) -> NDArray[Any]:
        """All values in raw units."""
        return raw_units(self.stored)

    @classmethod
    def unconditional(cls, x: NDArray[Any]) -> "Samples":
        """Samples of a family without a condition."""
        return cls(x, np.zeros((len(x), 0), dtype=np.float32))

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, chosen: Any) -> "Samples":
        """The samples that a slice, a mask or indices choose."""
        return Samples(self.stored[chosen], self.condition[chosen])

    def tensors(self, chosen: Any, device: "torch.device | str" = "cpu") -> "tuple[Tensor, Tensor]":
        """Copies of the chosen samples' x and condition on `device`."""
        import torch

        x, condition = raw_units(np.array(self.stored[chosen])), np.array(self.condition[chosen])
        return torch.from_numpy(x).to(device), torch.from_numpy(condition).to(device)

    def batches(self, size: int = CHUNK, device: "torch.device | str" = "cpu") -> "Iterator[tuple[Tensor, Tensor]]":
        """All samples in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            yield self.tensors(slice(start, start + size), device)

    def joined(self, other: "Samples") -> "Samples":
        """These samples and then the other's, copied."""
        return Samples(
            np.concatenate([np.asarray(self.stored), np.asarray(other.stored)]),
            np.concatenate([np.asarray(self.condition), np.asarray(other.condition)]),
        )


@dataclass(frozen=True)
class RawImage:
    """An image as it came: its name in the data, its class, its size in pixels."""

    name: str
    label: str
    width: int
    height: int

    @property
    def aspect_ratio(self) -> float:
        """Width / height."""
        return self.width / self.height


@dataclass(frozen=True)
class DataSet:
    """A family's data, divided.

    Attributes:
        train: what models learn from; images may have room for random crops around the event shape.
        validation: what trials are compared on.
        test: what a finished model is measured on.
        labels: int64 [T], a class of each test sample; zeros where there are none.
        groups: [T], names of the independent blocks that test samples belong to: what intervals are over.
        constants: float32 arrays fitted on `train` alone, that models take (see `DataSpec`).
        counts: how many there are of what, for people; `quarantined` is added.
        info: what evaluation and people need beside the arrays (names of classes, channels), as JSON.
        quarantined: files or items that could not be used, with the reason.
        masks: uint8 [T, H, W] of the test images: 0 normal, 1 anomalous, 255 unknown; none where nobody marked them.
        images: as they came, where the data are images whose layout notes it.
    """

    train: Samples
    validation: Samples
    test: Samples
    labels: NDArray[np.int64]
    groups: list[str]
    constants: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    quarantined: dict[str, str] = field(default_factory=dict)
    images: list[RawImage] = field(default_factory=list)
    masks: NDArray[np.uint8] | None = None


def evenly_spaced(count: int, most: int) -> NDArray[np.int64]:
    """The numbers below `count`, or `most` of them at even distances, both ends among them."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
