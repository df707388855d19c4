"""The importance-weighted likelihood where it is known exactly: probabilistic PCA, whose p(x) is a Gaussian."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import Normal

from vaeforge_models.likelihoods import importance_weighted_nll

VALUES, LATENTS, NOISE, SAMPLES = 8, 3, 0.5, 400


class Pca:
    """x = W z + e, and a q(z|x) with the posterior's means but independent latents, a little too wide.

    Attributes:
        exact: -log p(x) of the samples [N], by scipy.
        divergence: KL(q || posterior), the same for all x.
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        loadings = rng.normal(size=(VALUES, LATENTS))
        x = rng.normal(size=(SAMPLES, LATENTS)) @ loadings.T + NOISE * rng.normal(size=(SAMPLES, VALUES))
        covariance = loadings @ loadings.T + NOISE**2 * np.eye(VALUES)
        self.exact = -multivariate_normal(np.zeros(VALUES), covariance).logpdf(x)
        precision = np.eye(LATENTS) + loadings.T @ loadings / NOISE**2
        posterior = np.linalg.inv(precision)
        variances = 1.3 * np.diag(posterior)
        self.divergence = 0.5 * float(
            (np.diag(precision) * variances).sum() - LATENTS + np.linalg.slogdet(posterior)[1] - np.log(variances).sum()
        )
        self.x, self.loadings = torch.from_numpy(x), torch.from_numpy(loadings)
        self.q = Normal(torch.from_numpy(x @ loadings @ posterior / NOISE**2), torch.from_numpy(np.sqrt(variances)))

    def log_weights(self, draws: int) -> Tensor:
        """log p(x, z) - log q(z|x) for draws of q: [K, N]."""
        z = self.q.sample((draws,))
        joint = Normal(z @ self.loadings.T, NOISE).log_prob(self.x).sum(-1) + Normal(0.0, 1.0).log_prob(z).sum(-1)
        return joint - self.q.log_prob(z).sum(-1)


@pytest.fixture(scope="module")
def pca() -> Pca:
    torch.manual_seed(0)
    return Pca()


def excess(pca: Pca, draws: int, times: int = 1) -> tuple[float, float]:
    """How far the bound is above the exact number on the mean of all samples, and its standard error."""
    found = torch.stack([importance_weighted_nll(pca.log_weights(draws)) for _ in range(times)]).numpy() - pca.exact
    return float(found.mean()), float(found.std() / math.sqrt(found.size))


def test_with_one_draw_it_is_the_elbo_and_misses_the_divergence_of_q(pca: Pca) -> None:
    mean, error = excess(pca, 1, times=20)
    assert pca.divergence > 10 * error
    assert mean == pytest.approx(pca.divergence, abs=4 * error)


def test_it_comes_down_to_the_exact_number_as_draws_grow(pca: Pca) -> None:
    means, errors = zip(*(excess(pca, draws) for draws in (1, 10, 100, 1000)), strict=True)
    for place, error in enumerate(errors[:-1]):
        assert means[place + 1] < means[place] + 3 * error
    assert all(mean > -4 * error for mean, error in zip(means, errors, strict=True))  # a bound from above, on the mean
    assert means[-1] == pytest.approx(0.0, abs=0.01)


@pytest.mark.slow
def test_its_bias_falls_with_the_number_of_draws(pca: Pca) -> None:
    """Var(w / p) / (2 K) to first order (Nowozin 2018, eq. 6), w / p = 1 on the mean."""
    weights = (pca.log_weights(2_000) + torch.from_numpy(pca.exact)).exp()
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0, dtype=torch.float64), rtol=0, atol=0.01)
    mean, error = excess(pca, 100, times=20)
    assert mean == pytest.approx(float(weights.var(0).mean()) / 200, rel=0.2, abs=4 * error)
