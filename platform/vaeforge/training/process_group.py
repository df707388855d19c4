"""The ranks that train one model together, through torch.distributed alone."""

from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class ProcessGroup:
    """One rank's view of its group; the default is a single process.

    Attributes:
        rank: 0..world_size-1.
        world_size: number of ranks.
        device: where this rank's tensors live.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """Whether this rank writes files and talks to others."""
        return self.rank == 0

    def shard(self, total: int) -> slice:
        """This rank's part of `total` items: contiguous, disjoint, sizes that differ by one at most."""
        return slice(total * self.rank // self.world_size, total * (self.rank + 1) // self.world_size)

    def sum(self, values: Tensor) -> Tensor:
        """The element-wise sum of `values` over all ranks, on every rank."""
        total = values.clone()
        if self.world_size > 1:
            dist.all_reduce(total)
        return total

    def gather(self, own: Tensor, total: int) -> Tensor:
        """All `total` rows, in order, of which this rank holds `own`: its `share`."""
        if self.world_size == 1:
            return own
        whole = own.new_zeros((total, *own.shape[1:]))
        whole[self.shard(total)] = own
        return self.sum(whole)

    def any(self, flag: bool) -> bool:
        """Whether `flag` holds on at least one rank; a collective: every rank must call it."""
        if self.world_size == 1:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=self.device)) > 0)

    def ddp(self, model: nn.Module) -> nn.Module:
        """`model` with gradients averaged over ranks; the model itself for a single process."""
        if self.world_size == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)
