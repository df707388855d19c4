"""The interface of every model: encoder, decoder, training likelihood, and what a model must know of its data.

Shapes: B samples, L latent dimensions, x of shape [B, *event], condition [B, C] with C = 0 where a family has none.
`raw` is x in the units of the data; inside the model x is normalised, and normalisation is part of the module, so that
an exported graph takes raw units. Conditions are in raw units too (coordinates, one-hot classes).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from vaeforge_models.likelihoods import observed_difference, observed_values

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class DataSpec:
    """What a model must know of its data before it is built.

    Attributes:
        event_shape: of one sample.
        condition_dim: C; 0 for none.
        constants: what was fitted on the training data alone (`mean`, `std`, ...), by name; a model copies what it
            needs into buffers, so that it travels with the weights and into the exported graph.
    """

    event_shape: tuple[int, ...]
    condition_dim: int = 0
    constants: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def dimensions(self) -> int:
        """D, the values of one sample."""
        return math.prod(self.event_shape)


@dataclass(frozen=True)
class Posterior:
    """A diagonal Gaussian q(z|x): mean and log-variance, both [B, L]."""

    mu: Tensor
    logvar: Tensor

    def sample(self, eps: Tensor) -> Tensor:
        """z = mu + sigma * eps for standard normal noise `eps` [B, L] (Kingma and Welling 2014)."""
        return self.mu + (0.5 * self.logvar).exp() * eps

    def rate(self) -> Tensor:
        """KL(q(z|x) || N(0, I)) in nats, one per sample and dimension: [B, L]."""
        return 0.5 * (self.mu.square() + self.logvar.exp() - 1.0 - self.logvar)


class VAE(nn.Module, ABC):
    """An encoder, a decoder and a training likelihood.

    `decode` returns the decoder's output before its last non-linearity; `mean` turns that into the reconstruction,
    and `distortion` reads it directly, because a cross-entropy on logits is stable where one on probabilities is not.
    """

    latent_dim: int
    event_shape: tuple[int, ...]
    calibrated = False  # `distortion` is a squared error whose likelihood is D/2 log MSE of the whole batch
    batch_coupled = False  # `batch_penalty` is part of the training loss
    masked = False  # values may be missing: NaN in x, which `encode` replaces and no likelihood looks at

    @abstractmethod
    def normalise(self, raw: Tensor) -> Tensor:
        """Data units to model units, [B, *event] to [B, *event]; what is missing stays missing (NaN)."""

    @abstractmethod
    def denormalise(self, x: Tensor) -> Tensor:
        """The inverse of `normalise`."""

    @abstractmethod
    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        """q(z|x, condition) for normalised x."""

    @abstractmethod
    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        """The decoder's output for z [B, L], before `mean`."""

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """The reconstruction in model units for a decoder output."""

    @abstractmethod
    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        """-log p(x|z) of the training likelihood in nats, summed over dimensions: [B]."""

    def score(self, x: Tensor, reconstruction: Tensor, posterior: Posterior) -> Tensor:
        """How unusual each sample is, larger for stranger: the mean squared error per value at z = mu. [B]."""
        return self.mean_squared_error(x, reconstruction)

    def filled(self, x: Tensor) -> Tensor:
        """x in model units with something in place of missing values, for what must have numbers; see `masked`."""
        return x

    def difference(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """x - reconstruction in model units, 0 where x is missing: [B, *event]."""
        return observed_difference(x, reconstruction) if self.masked else x - reconstruction

    def dimensions(self, x: Tensor) -> Tensor:
        """How many values of each sample are observed: [B]."""
        if self.masked:
            return observed_values(x)
        return torch.full((len(x),), math.prod(x.shape[1:]), dtype=torch.int64, device=x.device)

    def mean_squared_error(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """Per observed value, in model units: [B]."""
        if not self.masked:
            return (x - reconstruction).square().flatten(1).mean(1)
        return self.difference(x, reconstruction).square().flatten(1).sum(1) / observed_values(x)

    def penalty(self, output: Tensor, posterior: Posterior) -> Tensor:
        """What the family adds to each sample's training loss beside distortion and rate: [B]."""
        return output.new_zeros(len(output))

    def batch_penalty(self, reconstruction: Tensor, condition: Tensor) -> Tensor:
        """What couples the samples of a whole batch in the training loss, per sample: a scalar; see `batch_coupled`."""
        return reconstruction.new_zeros(())

    def forward(self, raw: Tensor, condition: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normalised x, decoder output at z = mu + sigma * eps, mu and logvar."""
        x = self.normalise(raw)
        posterior = self.encode(x, condition)
        return x, self.decode(posterior.sample(eps), condition), posterior.mu, posterior.logvar

    def reconstruct(self, raw: Tensor, condition: Tensor) -> tuple[Tensor, Posterior, Tensor]:
        """Reconstruction at z = mu (model units), the posterior, and the score."""
        x = self.normalise(raw)
        posterior = self.encode(x, condition)
        reconstruction = self.mean(self.decode(posterior.mu, condition))
        return reconstruction, posterior, self.score(x, reconstruction, posterior)


def parameter_count(model: nn.Module) -> int:
    """Trainable parameters of `model`."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def build_seeded(build: Callable[..., M], *arguments: object, seed: int) -> M:
    """`build(*arguments)` with weights that depend on `seed` alone, leaving the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(*arguments)
