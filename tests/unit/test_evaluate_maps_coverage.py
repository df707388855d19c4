"""Coverage of models that are exactly right: 95 % intervals hold 95 % of the values, however wide the posterior is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from vaeforge.evaluation.tasks.maps.coverage import imputation_coverage, reconstruction_coverage
from vaeforge.evaluation.tasks.maps.imputation import noise_of, normalised, posterior_draws, prior_spread
from vaeforge.samples import Samples
from vaeforge_models.vae import VAE, Posterior

SIGMA = 0.5


class Exact(VAE):
    """x = f(z) + N(0, SIGMA^2) in two values, z = N(0, 1), q the posterior itself.

    Args:
        decoder: f, of z [B, 1] to x_hat [B, 2].
        posterior: the mean and the standard deviation of p(z|x), [B, 1] each.
    """

    latent_dim, event_shape = 1, (2,)

    def __init__(self, decoder: Callable[[Tensor], Tensor], posterior: Callable[[Tensor], tuple[Tensor, Tensor]]):
        super().__init__()
        self.decoder, self.posterior = decoder, posterior

    def normalise(self, raw: Tensor) -> Tensor:
        return raw

    def denormalise(self, x: Tensor) -> Tensor:
        return x

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        mean, sd = self.posterior(x)
        return Posterior(mean, 2 * sd.log())

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        return self.decoder(z)

    def mean(self, output: Tensor) -> Tensor:
        return output

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        return (x - output).square().sum(1) / (2 * SIGMA**2)


def linear(weight: float) -> Exact:
    """f = (w z, -w z): p(z|x) = N(w (x_1 - x_2) / (2 w^2 + s^2), s^2 / (2 w^2 + s^2))."""
    precision = 2 * weight**2 + SIGMA**2

    def posterior(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = weight * (x[:, :1] - x[:, 1:]) / precision
        return mean, torch.full_like(mean, SIGMA / precision**0.5)

    return Exact(lambda z: torch.cat([weight * z, -weight * z], dim=1), posterior)


@dataclass(frozen=True)
class SignPosterior(Posterior):
    """p(z|x) of f = (sign z, -sign z) / 2: half a normal distribution on each side of 0, weighted by p(+|x)."""

    positive: Tensor

    def sample(self, eps: Tensor) -> Tensor:
        u = torch.special.ndtr(eps)
        below, above = u / (1 - self.positive), (u - 1 + self.positive) / self.positive
        share = torch.where(u < 1 - self.positive, below / 2, 0.5 + above / 2)
        return torch.special.ndtri(share.clamp(1e-6, 1 - 1e-6))


class Signs(Exact):
    """log p(x|+) - log p(x|-) = (x_1 - x_2) / s^2, as |x - f|^2 differs by 2 (x_1 - x_2) between the signs."""

    def __init__(self) -> None:
        super().__init__(lambda z: torch.cat([z.sign(), -z.sign()], dim=1) / 2, lambda x: (x, x))

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        first = torch.zeros(len(x), 1)
        return SignPosterior(first, first, torch.sigmoid((x[:, :1] - x[:, 1:]) / SIGMA**2).clamp(1e-6, 1 - 1e-6))


def samples_of(model: Exact, count: int, seed: int) -> Samples:
    """Draws of the model."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, 1)).astype(np.float32)
    x = model.decoder(torch.from_numpy(z)).numpy() + SIGMA * rng.normal(size=(len(z), 2)).astype(np.float32)
    return Samples.unconditional(x.astype(np.float32))


def coverage(model: Exact, samples: Samples, validation: Samples) -> tuple[float, np.ndarray]:
    noise = noise_of(model, validation, each=True)
    np.testing.assert_allclose(noise, SIGMA, rtol=0.02)
    found = reconstruction_coverage(posterior_draws(model, samples), noise)
    return float(found.held.mean()), found.curve[1] - found.curve[0]


# with the posterior's spread counted twice: 0.999, 0.988 and 0.958
@pytest.mark.parametrize("weight", [2.0, 0.35, 0.1])
def test_reconstructions_of_an_exactly_right_linear_model(weight: float) -> None:
    model = linear(weight)
    held, off = coverage(model, samples_of(model, 20_000, seed=1), samples_of(model, 20_000, seed=2))
    assert held == pytest.approx(0.95, abs=0.005)
    np.testing.assert_allclose(off, 0, atol=0.01)


def test_reconstructions_of_an_exactly_right_model_whose_decoder_is_not_linear() -> None:
    model = Signs()
    held, off = coverage(model, samples_of(model, 20_000, seed=1), samples_of(model, 20_000, seed=2))
    assert held == pytest.approx(0.95, abs=0.005)
    np.testing.assert_allclose(off, 0, atol=0.01)


def test_imputation_by_an_exactly_right_model() -> None:
    model = linear(1.0)
    samples = samples_of(model, 20_000, seed=1)
    spread = prior_spread(model, np.zeros((len(samples), 0), np.float32), draws=64)
    found = imputation_coverage(spread, normalised(model, samples), noise_of(model, samples, each=True))
    assert found.held.mean() == pytest.approx(0.95, abs=0.005)


def test_a_model_that_is_too_sure_holds_less() -> None:
    model = linear(1.0)
    quiet, loud = samples_of(model, 20_000, seed=1), samples_of(model, 20_000, seed=2)
    loud = Samples.unconditional(2 * loud.x)
    noise = noise_of(model, quiet, each=True)
    assert reconstruction_coverage(posterior_draws(model, loud), noise).held.mean() < 0.85


def test_values_without_noise_are_held_by_intervals_of_no_width() -> None:
    x = torch.tensor([[1.0, 2.0]])
    found = reconstruction_coverage([(x, x[None].repeat(3, 1, 1))], np.array([0.0, 1.0]))
    assert found.held.tolist() == [[1.0, 1.0]]
