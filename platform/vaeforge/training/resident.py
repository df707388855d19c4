"""Samples that lie on the device, so that no batch is read, copied or waited for.

Shapes: N samples, x [N, *event] as it is stored (uint8 stays uint8), condition [N, C].
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaeforge.samples import FINE, Samples

MEMORY_SHARE = 0.5  # of a GPU's free memory that training and validation samples may take together


@dataclass(frozen=True)
class ResidentSamples:
    """Samples on a device; read as `Samples` are.

    Attributes:
        stored: as they are stored; pictures of 16 bits as int16 of the same bits, which every device can index.
        condition: float32 [N, C].
        fine: whether they are pictures of 16 bits.
    """

    stored: Tensor
    condition: Tensor
    fine: bool

    @classmethod
    def of(cls, samples: Samples, device: torch.device) -> "ResidentSamples":
        """A copy of all of `samples` on `device`."""
        stored = np.array(samples.stored)
        bits = torch.from_numpy(stored.view(np.int16) if samples.fine else stored)
        return cls(bits.to(device), torch.from_numpy(np.array(samples.condition)).to(device), samples.fine)

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, chosen: Any) -> "ResidentSamples":
        """The samples that a slice or indices on the device choose."""
        return ResidentSamples(self.stored[chosen], self.condition[chosen], self.fine)

    def tensors(self, chosen: Any) -> tuple[Tensor, Tensor]:
        """x in raw units and condition of the chosen samples."""
        x = self.stored[chosen]
        if self.fine:
            x = (x.to(torch.int32) & 0xFFFF).to(torch.float32) / FINE
        return x, self.condition[chosen]


def fits(parts: list[Samples], device: torch.device) -> bool:
    """Whether samples may stay on a GPU: they take at most half of the memory that is free there."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return sum(part.stored.nbytes + part.condition.nbytes for part in parts) <= MEMORY_SHARE * free
