"""Building blocks that several families use."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from vaeforge_models.precision import floating
from vaeforge_models.vae import DataSpec

LOGVAR_RANGE = (-12.0, 8.0)


class Standardise(nn.Module):
    """(raw - mean) / std per value, with statistics of the training data that travel with the weights.

    Shapes: raw [B, *event]; `mean` and `std` of the constants broadcast against it. Values of no spread keep std 1.
    Missing values (NaN) stay missing; where data have some, the constant `fill` [*event] is what the training values
    are on average, and `filled` puts that in their place.
    """

    mean: Tensor
    std: Tensor
    fill: Tensor | None

    def __init__(self, spec: DataSpec):
        super().__init__()
        mean, std = (spec.constants.get(name) for name in ("mean", "std"))
        mean = torch.zeros(spec.event_shape) if mean is None else floating(mean)
        std = torch.ones(spec.event_shape) if std is None else floating(std)
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", torch.where(std > 0, std, torch.ones_like(std)))
        fill = spec.constants.get("fill")
        self.register_buffer("fill", None if fill is None else self(fill))

    def forward(self, raw: Tensor) -> Tensor:
        return (floating(raw) - self.mean) / self.std

    def filled(self, x: Tensor) -> Tensor:
        """x [B, *event] in model units with the training mean in place of missing values."""
        return x if self.fill is None else torch.where(x.isnan(), self.fill, x)

    def inverse(self, x: Tensor) -> Tensor:
        """Back to raw units."""
        return x * self.std + self.mean


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks; its gradient is the sum of the ranks' gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


_sum_over_ranks = cast(Callable[[Tensor], Tensor], _SumOverRanks.apply)


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation [B, F] whose statistics in training are those of the whole batch over all ranks.

    Ioffe and Szegedy 2015; torch's SyncBatchNorm does this on GPUs only. Ranks may hold shares of any size, also none.
    A whole batch of one sample is normalised with the running statistics: its own spread is zero.
    """

    def forward(self, values: Tensor) -> Tensor:
        synchronised = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        if not self.training or (not synchronised and len(values) == 1):
            return functional.batch_norm(
                values, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return self._synchronised(values) if synchronised else super().forward(values)

    def _synchronised(self, values: Tensor) -> Tensor:
        wide = values.to(torch.float64)
        sums = torch.cat([wide.sum(0), wide.square().sum(0), wide.new_tensor([float(len(values))])])
        total = _sum_over_ranks(sums)
        count = total[-1].detach()
        mean = total[: self.num_features] / count
        variance = total[self.num_features : -1] / count - mean.square()
        if count > 1:
            self._track(mean.detach(), variance.detach(), float(count))
        else:
            assert self.running_mean is not None and self.running_var is not None
            mean, variance = self.running_mean.double(), self.running_var.double()
        normalised: Tensor = ((wide - mean) / (variance + self.eps).sqrt()).to(values.dtype)
        return normalised * self.weight + self.bias

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: float) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        unbiased = variance * count / (count - 1)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def constant_or(constants: Mapping[str, Tensor], name: str, fallback: Tensor) -> Tensor:
    """The named constant, or `fallback` for a model that is built to take its weights from a checkpoint."""
    return floating(constants.get(name, fallback)).clone()
