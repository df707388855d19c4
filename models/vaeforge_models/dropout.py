"""Dropout whose masks follow from the step, the layer and the sample, so that neither ranks nor micro-batches matter.

Shapes: a layer's values [b, ...] are a rank's share of B samples of a micro-batch; an optimiser step may have several.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaeforge_models.counter_random import Key, chance, derived, threshold

CALLS = 64  # more than a forward pass comes by one layer


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014) of values [b, ...]: each is 0 with probability p, else divided by 1 - p.

    In a training loop (`begin_step`, `begin_micro_batch`) the mask of a sample follows from the step's key, the layer,
    the place of the sample within the step, and how often this forward pass has come by. Elsewhere it is torch's own
    dropout.

    Args:
        p: probability.
        shared: the values are those of all samples together, and not one row for each: the mask is the same throughout
            a step.
    """

    def __init__(self, p: float, shared: bool = False):
        super().__init__(p)
        self.shared = shared
        self._keys: Tensor | None = None
        self._rate: Rate | None = None
        self._calls, self._start, self._following = 0, 0, 0

    def begin_step(self, keys: Tensor, rate: "Rate | None" = None) -> None:
        """Draw what follows from `keys` [CALLS], from the step's first sample; `rate` takes the place of p."""
        self._keys, self._rate, self._start, self._following = keys, rate, 0, 0

    def begin_micro_batch(self, total: int, share: slice) -> None:
        """What follows is the rows `share` of the next `total` samples of the step."""
        self._calls, self._start = 0, self._following + share.start
        self._following += total

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or not self.p or self._keys is None:
            return super().forward(values)
        start = 0 if self.shared else self._start
        rows = torch.arange(start, start + len(values), device=values.device)
        rate = self._rate or Rate.of(self.p)
        dropped = chance(self._keys[self._calls], rows, values[0].numel() if len(values) else 0, rate.threshold)
        self._calls += 1
        return values.masked_fill(dropped.view(values.shape), 0.0) / rate.kept


@dataclass(frozen=True)
class Rate:
    """How much a layer drops: a number, or a tensor where each of several lanes has its own.

    Attributes:
        threshold: of what is dropped; see `counter_random.threshold`.
        kept: 1 - p.
    """

    threshold: Key
    kept: float | Tensor

    @classmethod
    def of(cls, p: float) -> "Rate":
        return cls(threshold(p), 1.0 - p)


def begin_step(model: nn.Module, key: Key, rates: Sequence[Rate] | None = None) -> None:
    """Begin the optimiser step of `key`, or the same one again, in every layer of `model`.

    `rates` take the places of the layers' own, in the order of `layers_of`.
    """
    layers = layers_of(model)
    if not layers:
        return
    device = next(model.parameters()).device
    keys = derived(key, torch.arange(len(layers) * CALLS, device=device), device)
    for place, (layer, own) in enumerate(zip(layers, torch.split(keys, CALLS), strict=True)):
        layer.begin_step(own, None if rates is None else rates[place])


def begin_micro_batch(model: nn.Module, total: int, share: slice) -> None:
    """Begin a micro-batch of `total` samples, of which this rank has the rows `share`."""
    for layer in layers_of(model):
        layer.begin_micro_batch(total, share)


def layers_of(model: nn.Module) -> list[Dropout]:
    """Its layers of this kind, in the order in which it holds them."""
    return [module for module in model.modules() if isinstance(module, Dropout)]
