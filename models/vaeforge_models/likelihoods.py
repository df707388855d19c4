"""Reconstruction likelihoods and the number that models are compared by. All in nats.

Shapes: B samples, D = product of the event shape.

Where values are missing (NaN in x), the likelihood is that of the observed ones: given z, the values of a sample are
independent, so that log p(x_obs | z) = sum over observed v of log p(x_v | z), and nothing is said of the others
(Nazabal et al. 2020, arXiv:1807.03653; Mattei and Frellsen 2019, arXiv:1812.02633). D is then the number of observed
values.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def bernoulli_distortion(x: Tensor, logits: Tensor) -> Tensor:
    """Summed binary cross-entropy of x in [0, 1] given logits: [B]."""
    return functional.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def squared_error_distortion(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Summed squared error, a Gaussian with variance 1/2 without its constant: [B]."""
    return (x - reconstruction).square().flatten(1).sum(1)


def observed_difference(x: Tensor, reconstruction: Tensor) -> Tensor:
    """x - reconstruction, and 0 where x is missing (NaN), with no gradient there: [B, *event]."""
    difference = x - reconstruction
    return torch.where(x.isnan(), torch.zeros_like(difference), difference)


def observed_values(x: Tensor) -> Tensor:
    """How many values of each sample are not missing: [B]."""
    return x.isnan().logical_not().flatten(1).sum(1)


def gaussian_nll(squared_error: Tensor | float, dimensions: Tensor | float, variance: float) -> Tensor | float:
    """-log N(x; reconstruction, variance * I) for a summed squared error over `dimensions` observed values.

    D/2 log(2 pi variance) + SSE / (2 variance).

    Raises:
        ValueError: if `variance` is not positive.
    """
    if not variance > 0:
        raise ValueError(f"the variance of a Gaussian likelihood is {variance}, must be > 0")
    return 0.5 * dimensions * math.log(2 * math.pi * variance) + squared_error / (2 * variance)


def calibrated_nelbo(mean_squared_error: float, rate: float, dimensions: float) -> float:
    """The beta-free selection number: calibrated Gaussian negative log-likelihood plus rate, nats per sample.

    With the variance at its maximum-likelihood value, the mean squared error per value (sigma-VAE, Rybkin et al. 2021),
    this is D/2 (log(2 pi MSE) + 1) + rate, D the mean number of observed values of a sample. A perfect reconstruction
    gives -inf and a non-finite input NaN, which callers treat as a failed trial.
    """
    if not math.isfinite(mean_squared_error) or not math.isfinite(rate):
        return math.nan
    if mean_squared_error <= 0:
        return -math.inf
    return 0.5 * dimensions * (math.log(2 * math.pi * mean_squared_error) + 1) + rate


def importance_weighted_nll(log_joint_minus_posterior: Tensor) -> Tensor:
    """-log 1/K sum_k p(x, z_k) / q(z_k|x) from its log weights [K, B] (Burda et al. 2016): [B]."""
    samples = log_joint_minus_posterior.shape[0]
    return math.log(samples) - torch.logsumexp(log_joint_minus_posterior, dim=0)
