"""Likelihoods: change of units, more of the same, and batches however they are split."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from drawn import FACTORS, SEEDS, gaussian, shuffled
from vaeforge_models.diagnostics import active_units, predicted_active_units, predicted_active_units_calibrated
from vaeforge_models.likelihoods import (
    bernoulli_distortion,
    calibrated_nelbo,
    gaussian_nll,
    importance_weighted_nll,
    squared_error_distortion,
)
from vaeforge_models.vae import Posterior

DIMENSIONS, ERRORS, RATES = st.integers(1, 5000), st.floats(1e-4, 10.0), st.floats(0.0, 100.0)


@given(DIMENSIONS, ERRORS, RATES, FACTORS)
def test_other_units_add_the_logarithm_of_the_factor(d: int, mse: float, rate: float, factor: float) -> None:
    """A density in x of a x has 1 / a of the density: D log a nats more; the rate has no unit."""
    own, scaled = calibrated_nelbo(mse, rate, d), calibrated_nelbo(factor**2 * mse, rate, d)
    assert scaled - own == pytest.approx(d * math.log(factor), abs=1e-6)
    fixed = [float(gaussian_nll(k**2 * mse * d, d, k**2 * 0.3)) for k in (1.0, factor)]
    assert fixed[1] - fixed[0] == pytest.approx(d * math.log(factor), abs=1e-6)


@given(DIMENSIONS, ERRORS, RATES)
def test_the_calibrated_variance_is_the_best_one(d: int, mse: float, rate: float) -> None:
    best = calibrated_nelbo(mse, rate, d)
    assert best == pytest.approx(float(gaussian_nll(mse * d, d, mse)) + rate)
    for other in (0.5, 0.9, 1.1, 3.0):
        assert float(gaussian_nll(mse * d, d, other * mse)) + rate > best
    assert calibrated_nelbo(mse, 2 * rate, 2 * d) == pytest.approx(2 * best)  # two independent halves alike


@given(st.integers(1, 8), st.integers(1, 5), SEEDS, st.floats(-50, 50))
def test_importance_weights_average_probabilities(k: int, b: int, seed: int, shift: float) -> None:
    weights = torch.from_numpy(20 * gaussian(seed, k, b))
    own, order = importance_weighted_nll(weights), torch.from_numpy(shuffled(seed, k))
    torch.testing.assert_close(importance_weighted_nll(weights[order]), own)
    torch.testing.assert_close(importance_weighted_nll(weights + shift), own - shift)
    torch.testing.assert_close(importance_weighted_nll(torch.cat([weights, weights])), own)
    # between the mean of the logarithms (Jensen) and the largest weight
    assert (own <= -weights.mean(0) + 1e-9).all() and (own >= -weights.max(0).values - 1e-9).all()
    other = torch.from_numpy(20 * gaussian(seed + 1, k, b))
    both = importance_weighted_nll(torch.cat([weights, other]))
    halves = torch.stack([own, importance_weighted_nll(other)])
    torch.testing.assert_close(both, math.log(2) - torch.logsumexp(-halves, 0))


@given(st.integers(2, 10), st.integers(1, 6), SEEDS)
def test_batches_may_be_split_anywhere(n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cut, x = int(rng.integers(1, n)), torch.from_numpy(rng.uniform(size=(n, d)))
    output, mu = torch.from_numpy(rng.normal(size=(n, d))), torch.from_numpy(rng.normal(size=(n, 3)))
    for distortion in (bernoulli_distortion, squared_error_distortion):
        parts = [distortion(x[part], output[part]) for part in (slice(cut), slice(cut, n))]
        torch.testing.assert_close(torch.cat(parts), distortion(x, output))
    sums = [(mu[part].sum(0), mu[part].square().sum(0)) for part in (slice(cut), slice(cut, n))]
    whole = active_units(mu.sum(0), mu.square().sum(0), n)
    assert active_units(sums[0][0] + sums[1][0], sums[0][1] + sums[1][1], n) == whole


@given(st.integers(1, 6), SEEDS)
def test_rates_are_those_of_torch_and_add_up(n: int, seed: int) -> None:
    mu, logvar = torch.from_numpy(gaussian(seed, n, 3)), torch.from_numpy(gaussian(seed + 1, n, 3))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mu, (logvar / 2).exp()), normal(0.0, 1.0))
    torch.testing.assert_close(Posterior(mu, logvar).rate(), expected)
    torch.testing.assert_close(Posterior(-mu, logvar).rate(), expected)
    assert (expected >= 0).all()


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=8), st.floats(0.01, 5), st.sampled_from([0.25, 2.0, 8.0]))
def test_units_that_survive_do_not_depend_on_the_unit_of_the_data(
    spectrum: list[float], beta: float, factor: float
) -> None:
    """Eigenvalues and the variance that beta stands for go with the square of the unit, as a calibrated one does.

    Powers of two, so that what is equal stays equal to the last bit.
    """
    ordered, square, d = sorted(spectrum, reverse=True), factor**2, len(spectrum)
    scaled, total = [square * value for value in ordered], sum(ordered)
    assert predicted_active_units(scaled, square * beta / 2) == predicted_active_units(ordered, beta / 2)
    own = predicted_active_units_calibrated(ordered, total, d, beta)
    assert predicted_active_units_calibrated(scaled, square * total, d, beta) == own
