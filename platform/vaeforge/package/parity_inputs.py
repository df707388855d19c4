"""Inputs of graphs for the comparison with torch: held-out data in batches of several sizes, and edge cases.

Edge cases are batches of one constant value: the smallest and the largest one of the data (black and white for images),
and values ten spans of the data beyond both, with latents and noise ten standard deviations out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaeforge.package.graphs import IMAGE_AXES
from vaeforge.samples import Samples, evenly_spaced
from vaeforge.seeds import derive
from vaeforge.trained import PATTERN_SCALE, patterns_of
from vaeforge_models.vae import VAE

BATCHES = (64, 7, 2, 1)
SMALL_BATCH_SAMPLES = 64
MOST_SAMPLES = 2048
FAR = 10.0
EDGES = "edges"
NamedInputs = dict[str, Tensor]


@dataclass(frozen=True)
class ParityInputs:
    """Makes named inputs for every graph of `model` out of held-out samples; the same ones every time.

    Attributes:
        model: in evaluation mode on the CPU.
        held_out: at least one sample.
        limits: how many values each integer input has, by name.
    """

    model: VAE
    held_out: Samples
    limits: dict[str, int] = field(default_factory=dict)

    def batches(self, size: int) -> Iterator[NamedInputs]:
        """All samples at the largest size, the first 64 or so at smaller ones, always `size` at a time."""
        generator = self._generator()
        count = len(self.held_out) if size == max(BATCHES) else min(len(self.held_out), SMALL_BATCH_SAMPLES)
        for start in range(0, count, size):
            raw, condition = self._take(range(start, start + size))
            yield self._named(raw, condition, torch.randn(3, size, self.model.latent_dim, generator=generator))

    def edges(self, out_of_range: bool) -> Iterator[NamedInputs]:
        """See the module's docstring; each at all batch sizes, those beyond the data only if `out_of_range`."""
        generator = self._generator()
        low, high = extremes(self.held_out)
        span = (high - low) or 1.0
        beyond = ((low - FAR * span, -FAR), (high + FAR * span, FAR)) if out_of_range else ()
        for size in BATCHES:
            condition = self._take(range(size))[1]
            for value, reach in ((low, None), (high, None), *beyond):
                noise = torch.randn(3, size, self.model.latent_dim, generator=generator)
                noise = noise if reach is None else torch.full_like(noise, reach)
                yield self._named(torch.full((size, *self.model.event_shape), value), condition, noise)

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(derive(0, "parity noise"))

    def _take(self, places: range) -> tuple[Tensor, Tensor]:
        """float32 values and conditions; places past the end start over, so that few samples still fill a batch."""
        raw, condition = self.held_out.tensors(np.array([place % len(self.held_out) for place in places]))
        return raw.float(), condition

    def _named(self, raw: Tensor, condition: Tensor, noise: Tensor) -> NamedInputs:
        z, eps, latent = noise
        named = {"x": raw, "z": z, "eps": eps, "latent": latent, "condition": condition}
        for name, limit in self.limits.items():
            named[name] = torch.linspace(0, limit - 1, len(raw)).round().long()
        if len(self.model.event_shape) == IMAGE_AXES and min(self.model.event_shape[1:]) >= PATTERN_SCALE:
            named["pattern"] = patterns_of(self.model.normalise(raw))
        return named


def main_feeds(raw: Tensor, condition: Tensor) -> dict[str, NDArray[np.float32]]:
    """Samples and conditions [B, C] as onnxruntime takes them for the main graph, which has no input for C = 0."""
    return {"x": raw.float().numpy()} | ({"condition": condition.numpy()} if condition.shape[1] else {})


def extremes(samples: Samples) -> tuple[float, float]:
    """Black and white for images, the smallest and largest value for anything else."""
    if samples.stored.dtype.kind == "u":
        return 0.0, 255.0
    return float(np.nanmin(samples.x)), float(np.nanmax(samples.x))


def subsample_evenly(samples: Samples, most: int = MOST_SAMPLES) -> Samples:
    """All samples, or `most` of them at even distances."""
    if len(samples) <= most:
        return samples
    return samples[evenly_spaced(len(samples), most)]
