"""Diagnostics of the latent space: active units, and the information that latents hold on samples."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vaeforge_models.vae import Posterior

ACTIVE_THRESHOLD = 0.01


def active_units(total: Tensor, total_of_squares: Tensor, count: int) -> int:
    """#{j : Var_x E[z_j|x] > 0.01} (Burda et al. 2016) from sums of posterior means, each [L], over `count` samples.

    Takes sums so that ranks can add theirs before one of them divides; float64, because the difference of two large
    sums is small.
    """
    mean = total.to(torch.float64) / count
    variance = total_of_squares.to(torch.float64) / count - mean.square()
    return int((variance > ACTIVE_THRESHOLD).sum())


def mutual_information(posterior: Posterior, eps: Tensor) -> float:
    """I(x; z) under the aggregate posterior of N samples, nats, at most log N (Hoffman and Johnson 2016).

    E[log q(z|x) - log 1/N sum_j q(z|x_j)] with z = mu + sigma * eps, all [N, L]; takes O(N^2 L).
    """
    mu, logvar = posterior.mu.double(), posterior.logvar.double()
    z = Posterior(mu, logvar).sample(eps.double())
    own = _log_density(z, mu, logvar)
    mixture = torch.stack([_log_density(one, mu, logvar).logsumexp(0) for one in z]) - math.log(len(z))
    return float((own - mixture).mean())


def _log_density(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return -0.5 * (math.log(2 * math.pi) + logvar + (z - mu).square() / logvar.exp()).sum(-1)


def predicted_active_units(spectrum: Sequence[float], variance: float) -> int:
    """#{i : lambda_i > variance}: the units that a linear VAE keeps (Lucas et al. 2019; Tipping and Bishop 1999).

    Args:
        spectrum: the eigenvalues lambda of the training data's covariance, in the units of the model.
        variance: what beta implies for a linear model: beta / 2 for a summed squared error, beta * D / 2 for a mean
            one, beta for a cross-entropy with data standardised by their Bernoulli spread.
    """
    return sum(value > variance for value in spectrum)


def predicted_active_units_calibrated(spectrum: Sequence[float], total: float, dimensions: int, beta: float) -> int:
    """#{k : lambda_k > beta left_k / (D - beta k)}: the units that a linear VAE keeps under D/2 log MSE + beta * KL.

    Under a variance sigma^2, which is the mean squared error at the optimum, a unit that is kept leaves beta sigma^2 of
    its eigenvalue, one that is not leaves all (Tipping and Bishop 1999; Lucas et al. 2019). With k kept and left_k the
    sum of the other eigenvalues, D sigma^2 = k beta sigma^2 + left_k, so sigma^2 = left_k / (D - beta k), and unit k
    pays while lambda_k > beta sigma^2. left_k / lambda_k + k only grows with k, so the units that pay come first. With
    beta k >= D none pays: k units cost more per nat than all D values gain.

    Args:
        spectrum: eigenvalues lambda_1 >= lambda_2 >= ... of the training data's covariance, the largest of them.
        total: the sum of all eigenvalues.
        dimensions: D, values of a sample.
        beta: weight of the rate.
    """
    left, kept = total, 0
    for k, value in enumerate(spectrum, start=1):
        left = max(0.0, left - value)  # rounding may leave less than nothing
        kept += value * (dimensions - beta * k) > beta * left
    return kept
