"""The parts of the rate against a slow loop over the definition, and against distributions with known parts."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from vaeforge_models.total_correlation import decompose

N = 500


def posterior(samples: int = 7, latent: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    mu = torch.randn(samples, latent, generator=draw, dtype=torch.float64)
    logvar = torch.randn(samples, latent, generator=draw, dtype=torch.float64) - 1.0
    eps = torch.randn(samples, latent, generator=draw, dtype=torch.float64)
    return mu + (0.5 * logvar).exp() * eps, mu, logvar


def density(x: float, mean: float, variance: float) -> float:
    return math.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def slow(z: list[list[float]], mu: list[list[float]], variance: list[list[float]], size: int) -> tuple[float, ...]:
    """Minibatch-weighted sampling as the paper writes it, one number at a time."""
    batch, latent = len(z), len(z[0])
    information = correlation = dimension_wise = 0.0
    for i in range(batch):
        own = [density(z[i][j], mu[i][j], variance[i][j]) for j in range(latent)]
        prior = [density(z[i][j], 0.0, 1.0) for j in range(latent)]
        joint = sum(
            math.prod(density(z[i][j], mu[k][j], variance[k][j]) for j in range(latent)) for k in range(batch)
        ) / (size * batch)
        marginals = [
            sum(density(z[i][j], mu[k][j], variance[k][j]) for k in range(batch)) / (size * batch)
            for j in range(latent)
        ]
        information += math.log(math.prod(own) / joint) / batch
        correlation += math.log(joint / math.prod(marginals)) / batch
        dimension_wise += math.log(math.prod(marginals) / math.prod(prior)) / batch
    return information, correlation, dimension_wise


@pytest.mark.parametrize(("samples", "latent"), [(7, 3), (1, 2), (4, 1)])
def test_the_slow_loop(samples: int, latent: int) -> None:
    z, mu, logvar = posterior(samples, latent)
    expected = slow(z.tolist(), mu.tolist(), logvar.exp().tolist(), N)
    assert [part.item() for part in decompose(z, mu, logvar, N)] == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_the_parts_add_up_to_the_one_sample_estimate_of_the_rate() -> None:
    z, mu, logvar = posterior()
    own = Independent(Normal(mu, (0.5 * logvar).exp()), 1).log_prob(z)
    prior = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1).log_prob(z)
    torch.testing.assert_close(torch.stack(decompose(z, mu, logvar, N)).sum(), (own - prior).mean())


def test_the_sum_is_the_rate_on_average() -> None:
    _, mu, logvar = posterior()
    draw = torch.Generator().manual_seed(4)
    sums = []
    for _ in range(2000):
        z = mu + (0.5 * logvar).exp() * torch.randn(mu.shape, generator=draw, dtype=torch.float64)
        sums.append(torch.stack(decompose(z, mu, logvar, N)).sum())
    rate = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(1).mean()
    found = torch.stack(sums)
    assert abs(found.mean() - rate) < 4 * found.std() / math.sqrt(len(found))


def test_a_collapsed_posterior_shows_the_documented_bias() -> None:
    # every q(z|x) is the prior, all parts should be 0: joint = p(z) / N, each marginal = p(z_j) / N
    z = torch.randn(16, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parts = decompose(z, torch.zeros_like(z), torch.zeros_like(z), N)
    expected = (math.log(N), 4 * math.log(N), -5 * math.log(N))
    assert [part.item() for part in parts] == pytest.approx(expected)


def test_total_correlation_tells_dependent_dimensions_from_independent_ones() -> None:
    draw = torch.Generator().manual_seed(8)
    first, second = torch.randn(2, 256, generator=draw, dtype=torch.float64)
    logvar = torch.full((256, 2), -3.0, dtype=torch.float64)
    eps = torch.randn(256, 2, generator=draw, dtype=torch.float64)
    found = {}
    for name, other in (("independent", second), ("dependent", 0.95 * first + math.sqrt(1 - 0.95**2) * second)):
        mu = torch.stack([first, other], dim=1)
        found[name] = decompose(mu + (0.5 * logvar).exp() * eps, mu, logvar, 256).total_correlation.item()
    # of a Gaussian with variances 1 + s and covariance 0.95: -1/2 log(1 - (0.95 / (1 + s))^2), s = exp(-3)
    exact = -0.5 * math.log(1 - (0.95 / (1 + math.exp(-3))) ** 2)
    assert found["dependent"] - found["independent"] == pytest.approx(exact, rel=0.25)


def test_gradients_reach_all_inputs() -> None:
    inputs = [tensor.requires_grad_() for tensor in posterior()]
    for gradient in torch.autograd.grad(decompose(*inputs, N).total_correlation, inputs):
        assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0


def test_far_apart_posteriors_do_not_overflow() -> None:
    mu = torch.arange(6.0).reshape(3, 2) * 1e3
    parts = decompose(mu, mu, torch.full_like(mu, -10.0), N)
    assert all(torch.isfinite(part) for part in parts)


def test_wrong_inputs_are_refused() -> None:
    z, mu, logvar = posterior()
    with pytest.raises(ValueError, match=r"shapes \(7, 3\), \(6, 3\), \(7, 3\), must be one shape \[B, L\]"):
        decompose(z, mu[:6], logvar, N)
    with pytest.raises(ValueError, match="got dataset_size=0, must be >= 1"):
        decompose(z, mu, logvar, 0)
