"""Reconstruction likelihoods and the number that models are compared by. All in nats.

Shapes: B samples, D = product of the event shape.
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


def gaussian_nll(squared_error: Tensor | float, dimensions: int, variance: float) -> Tensor | float:
    """-log N(x; reconstruction, variance * I) for a summed squared error over `dimensions` values.

    D/2 log(2 pi variance) + SSE / (2 variance).

    Raises:
        ValueError: if `variance` is not positive.
    """
    if not variance > 0:
        raise ValueError(f"the variance of a Gaussian likelihood is {variance}, must be > 0")
    return 0.5 * dimensions * math.log(2 * math.pi * variance) + squared_error / (2 * variance)


def calibrated_nelbo(mean_squared_error: float, rate: float, dimensions: int) -> float:
    """The beta-free selection number: calibrated Gaussian negative log-likelihood plus rate, nats per sample.

    With the variance at its maximum-likelihood value, the mean squared error per value (sigma-VAE, Rybkin et al. 2021),
    this is D/2 (log(2 pi MSE) + 1) + rate. A perfect reconstruction gives -inf and a non-finite input NaN, which
    callers treat as a failed trial.
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
