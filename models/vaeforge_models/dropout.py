"""Dropout whose masks are drawn for the whole batch, so that they depend on neither ranks nor micro-batches.

Shapes: a layer's values [b, ...] are a rank's share of B samples of a micro-batch; an optimiser step may have several.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

CALLS = 64  # distance of the seeds of two layers, more than the calls of one in a forward pass


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014) of values [b, ...]: each is 0 with probability p, else divided by 1 - p.

    In a training loop (`begin_step`, `begin_micro_batch`) the mask comes from a generator of the layer's own, which all
    ranks seed alike: it is drawn for all B samples, and a rank takes its rows. Elsewhere it is torch's own dropout.

    Args:
        p: probability.
        shared: the values are those of all samples together, and not one row for each: the mask is drawn as it is, and
            is the same throughout a step.
    """

    def __init__(self, p: float, shared: bool = False):
        super().__init__(p)
        self.shared = shared
        self._seed: int | None = None
        self._generators: list[torch.Generator] = []  # one for each time that a forward pass comes by
        self._calls, self._total, self._share = 0, 0, slice(0)

    def begin_step(self, seed: int) -> None:
        """Draw what follows from `seed`, from its beginning."""
        self._seed, self._generators = seed, []

    def begin_micro_batch(self, total: int, share: slice) -> None:
        """What follows is the rows `share` of `total` samples."""
        self._calls, self._total, self._share = 0, total, share
        if self.shared:
            self._generators = []

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or not self.p or self._seed is None:
            return super().forward(values)
        shape = values.shape if self.shared else (self._total, *values.shape[1:])
        generator = self._generator(self._seed, values.device)
        kept = torch.rand(shape, generator=generator, device=values.device, dtype=torch.float32) >= self.p
        return values * (kept if self.shared else kept[self._share]) / (1.0 - self.p)

    def _generator(self, seed: int, device: torch.device) -> torch.Generator:
        """The one of this call: a layer that a pass comes by twice has two rows of masks, each for all samples."""
        if self._calls == len(self._generators):
            self._generators.append(torch.Generator(device).manual_seed((seed + self._calls) % 2**32))
        self._calls += 1
        return self._generators[self._calls - 1]


def begin_step(model: nn.Module, seed: int) -> None:
    """Begin an optimiser step, or the same one again, in every layer of `model`."""
    for place, layer in enumerate(_layers(model)):
        layer.begin_step(seed + CALLS * place)


def begin_micro_batch(model: nn.Module, total: int, share: slice) -> None:
    """Begin a micro-batch of `total` samples, of which this rank has the rows `share`."""
    for layer in _layers(model):
        layer.begin_micro_batch(total, share)


def _layers(model: nn.Module) -> Iterator[Dropout]:
    return (module for module in model.modules() if isinstance(module, Dropout))
