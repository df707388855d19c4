"""Likelihoods, rate and active units against independent implementations."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from vaeforge_models.diagnostics import active_units
from vaeforge_models.likelihoods import (
    bernoulli_distortion,
    calibrated_nelbo,
    gaussian_nll,
    importance_weighted_nll,
    squared_error_distortion,
)
from vaeforge_models.vae import Posterior


def test_rate_is_the_kl_divergence() -> None:
    mu, logvar = torch.randn(7, 5), torch.randn(7, 5)
    reference = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(Posterior(mu, logvar).rate(), reference)


def test_sampling_is_mu_plus_sigma_times_noise() -> None:
    posterior = Posterior(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, math.log(4.0)]]))
    torch.testing.assert_close(posterior.sample(torch.tensor([[0.5, 3.0]])), torch.tensor([[1.5, 4.0]]))


def test_bernoulli_distortion_on_binary_data() -> None:
    x, logits = torch.bernoulli(torch.full((6, 3, 4, 4), 0.4)), torch.randn(6, 3, 4, 4)
    reference = -Independent(Bernoulli(logits=logits), 3).log_prob(x)
    torch.testing.assert_close(bernoulli_distortion(x, logits), reference)


def test_squared_error_is_the_gaussian_of_variance_one_half_without_its_constant() -> None:
    x, mean = torch.rand(5, 3, 2, 2), torch.rand(5, 3, 2, 2)
    reference = -Independent(Normal(mean, math.sqrt(0.5)), 3).log_prob(x) - 12 / 2 * math.log(math.pi)
    torch.testing.assert_close(squared_error_distortion(x, mean), reference)


def test_gaussian_nll() -> None:
    x, mean = torch.rand(5, 12), torch.rand(5, 12)
    squared_error = (x - mean).square().sum(1)
    reference = -Independent(Normal(mean, math.sqrt(0.2)), 1).log_prob(x)
    torch.testing.assert_close(gaussian_nll(squared_error, 12, 0.2), reference)
    with pytest.raises(ValueError, match="must be > 0"):
        gaussian_nll(1.0, 12, 0.0)


def test_calibrated_nelbo_is_the_best_gaussian_plus_the_rate() -> None:
    mse, dimensions, rate = 0.03, 50, 4.0
    best = min(float(gaussian_nll(mse * dimensions, dimensions, mse * s)) for s in (0.5, 0.8, 1.0, 1.2, 2.0))
    assert calibrated_nelbo(mse, rate, dimensions) == pytest.approx(best + rate)
    assert math.isnan(calibrated_nelbo(math.nan, 1.0, 3))
    assert calibrated_nelbo(0.0, 1.0, 3) == -math.inf


def test_importance_weighted_nll_on_a_linear_gaussian() -> None:
    """x = z + noise with p(z) = N(0, 1), p(x|z) = N(z, 1): p(x) = N(0, 2), whatever q is."""
    torch.manual_seed(0)
    x = torch.tensor([0.3, -1.7])
    q = Normal(x / 2, 0.9)
    z = q.sample((20_000,))
    weights = Normal(0.0, 1.0).log_prob(z) + Normal(z, 1.0).log_prob(x) - q.log_prob(z)
    torch.testing.assert_close(
        importance_weighted_nll(weights), -Normal(0.0, math.sqrt(2.0)).log_prob(x), atol=0.01, rtol=0
    )


def test_active_units_counts_dimensions_that_vary() -> None:
    mu = torch.tensor([0.0, 0.05, 0.2, 3.0]) * torch.randn(4000, 1, generator=torch.Generator().manual_seed(1))
    assert active_units(mu.sum(0), mu.square().sum(0), len(mu)) == int((mu.var(0) > 0.01).sum()) == 2
