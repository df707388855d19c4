"""The weights of `--preset published`: each source's loss, written as the source writes it, is ours times a constant.

With that constant the source and we have the same minima. What a loss has beside distortion and rate is left out, and
so are the constants of likelihoods.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from vaeforge.config.loader import load

Values = NDArray[np.float64]
Loss = Callable[[Values, Values, float], float]  # of x [D], its reconstruction [D] and the KL divergence


def normal_unit_variance(x: Values, f: Values, kl: float) -> float:
    """Lipid, text: p(x|z, c) = N(f, I), weight 0.5 at the end of a cycle."""
    constant = len(x) / 2 * np.log(2 * np.pi)
    log_likelihood = torch.distributions.Normal(torch.from_numpy(f), 1.0).log_prob(torch.from_numpy(x)).sum()
    return -float(log_likelihood) - constant + 0.5 * kl


def mean_squared_error(x: Values, f: Values, kl: float) -> float:
    """fMRI, code: the mean over voxels, weight 1."""
    return float(functional.mse_loss(torch.from_numpy(f), torch.from_numpy(x), reduction="mean")) + 1.0 * kl


def summed_squares(x: Values, f: Values, kl: float) -> float:
    """Cilia, code: the sum over pixels, no weight."""
    return float(np.square(x - f).sum() + kl)


def cross_entropy(x: Values, f: Values, kl: float) -> float:
    """Endoscopy: the sum over values, weight 1."""
    found = functional.binary_cross_entropy(torch.from_numpy(f), torch.from_numpy(x), reduction="sum")
    return float(found) + 1.0 * kl


def squares(x: Values, f: Values) -> float:
    """Our distortion of the likelihood `squared_error`."""
    return float(np.square(x - f).sum())


def bernoulli(x: Values, f: Values) -> float:
    """Our distortion of the likelihood `bernoulli`."""
    return float(-(x * np.log(f) + (1 - x) * np.log(1 - f)).sum())


@pytest.mark.parametrize(
    ("family", "preset", "values", "theirs", "ours", "factor", "beta"),
    [
        ("lipid", "published", 6, normal_unit_variance, squares, 2.0, 2 * 0.5),
        ("fmri", "published", 3092, mean_squared_error, squares, 3092.0, 3092 * 1.0),
        ("cilia", "published", 224 * 224, summed_squares, squares, 1.0, 1.0),
        ("cilia", "published_448", 448 * 448, summed_squares, squares, 1.0, 1.0),
        ("endoscopy", "published", 3 * 96 * 96, cross_entropy, bernoulli, 1.0, 1.0),
    ],
)
def test_the_published_weight_is_the_sources_in_our_sums(
    family: str,
    preset: str,
    values: int,
    theirs: Loss,
    ours: Callable[[Values, Values], float],
    factor: float,
    beta: float,
    tmp_path: Path,
) -> None:
    experiment = load(tmp_path, family, preset).experiment
    schedule = experiment.beta.model_dump()
    found = schedule["max"] if family == "lipid" else schedule["value"]
    assert found == beta
    assert experiment.model.model_dump()["likelihood"] == ("bernoulli" if ours is bernoulli else "squared_error")
    rng = np.random.default_rng(0)
    for kl in (0.0, 7.5):
        x, f = rng.uniform(0.05, 0.95, (2, values))
        assert ours(x, f) + found * kl == pytest.approx(factor * theirs(x, f, kl))


def test_speckle_has_a_weight_of_ours_as_its_source_tells_none(tmp_path: Path) -> None:
    """0.01 on sums over 96 x 96 values is 0.01 / 9216 on means."""
    weight = load(tmp_path, "speckle", "published").experiment.beta.model_dump()["value"]
    assert weight == 0.01 and weight / 96**2 == pytest.approx(1.085e-6, rel=1e-3)
