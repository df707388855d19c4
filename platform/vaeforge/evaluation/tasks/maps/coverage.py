"""Coverage: how often a model's predictive intervals hold the true value, for reconstructions and for imputation.

x = x_hat(z) + e with e ~ N(0, sigma^2), sigma the observation noise of `imputation.noise_of`. A model that is exactly
right holds 0.95 of the values in 95 % intervals; which intervals these are depends on where z comes from.

- Imputation, z from the prior: z knows nothing of x, which has the mean E x_hat and the variance Var x_hat + sigma^2.
- Reconstruction, z from q(z|x): z was inferred from this very x. Where q is the posterior, (x, z) is a draw of
  p(x, z), in which x - x_hat(z) is N(0, sigma^2) whatever the decoder: the interval is x_hat(z) +- 1.96 sigma for each
  draw of z. About the mean of the draws the variance of x is sigma^2 - Var_q x_hat (law of total variance), not
  sigma^2 + Var_q x_hat, which counts the posterior's spread twice.

Shapes: N samples, E values of a sample, K draws, Q nominal levels. Everything in the units of the model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor

from vaeforge.data.missing import mean_of

Floats = NDArray[np.float64]
LEVEL = 0.95
NOMINAL = (0.5, 0.8, 0.9, LEVEL, 0.99)


@dataclass(frozen=True)
class Spread:
    """What K draws say of each value: their mean and standard deviation, [N, E] each, in the same units."""

    mean: Floats
    sd: Floats


@dataclass(frozen=True)
class Coverage:
    """Which values intervals hold.

    Attributes:
        held: [N, E], the share of each value's 95 % intervals that hold it; 0 or 1 where there is one interval, NaN
            where the value is missing.
        curve: the nominal levels [Q], and the share of all values that intervals of these levels hold [Q].
    """

    held: Floats
    curve: tuple[Floats, Floats]


def imputation_coverage(spread: Spread, truth: NDArray[Any], noise: Floats) -> Coverage:
    """Of values [N, E] that were predicted by draws from the prior.

    The interval is Gaussian, about the draws' mean, with the draws' variance and the noise's.

    Args:
        spread: of the draws.
        truth: [N, E].
        noise: standard deviation of the observation noise, [E] or one for all.
    """
    return _coverage([np.abs(truth - spread.mean)[None]], np.sqrt(spread.sd**2 + noise**2))


def reconstruction_coverage(draws: Iterable[tuple[Tensor, Tensor]], noise: Floats) -> Coverage:
    """Of values that were reconstructed.

    Args:
        draws: batches of x [n, E] and of its reconstructions [K, n, E] with z from q(z|x).
        noise: standard deviation of the observation noise, [E] or one for all.
    """
    return _coverage(((reconstructed - x).abs().double().numpy() for x, reconstructed in draws), noise)


def _coverage(errors: Iterable[Floats], deviation: Floats) -> Coverage:
    """From batches of absolute errors [K, n, E] and the predictive standard deviation, [n, E] or what becomes that."""
    limits = [norm.ppf(0.5 + level / 2) * deviation for level in NOMINAL]

    def parts() -> Iterator[tuple[Floats, Floats]]:
        for batch in errors:
            missing = np.isnan(batch[0])
            inside = [np.where(missing, np.nan, (batch <= limit).mean(0)) for limit in limits]
            yield inside[NOMINAL.index(LEVEL)], np.array([mean_of(share, 1).sum() for share in inside])

    held, sums = zip(*parts(), strict=True)
    whole = np.concatenate(held)
    return Coverage(whole, (np.array(NOMINAL), np.sum(sums, axis=0) / len(whole)))


@torch.no_grad()
def spread_of(batches: Iterable[Tensor]) -> Spread:
    """Over the first axis of batches [K, n, E]."""
    found = [(drawn.mean(0).double().numpy(), drawn.std(0, correction=0).double().numpy()) for drawn in batches]
    return Spread(np.concatenate([mean for mean, _ in found]), np.concatenate([sd for _, sd in found]))
