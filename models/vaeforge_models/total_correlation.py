"""Decomposition of the rate into mutual information, total correlation and dimension-wise KL (beta-TCVAE).

Shapes: B samples of an optimiser step, of all ranks and accumulated batches; L latent dimensions, N samples of the
training set. Units: nats per sample.

    E KL(q(z|x) || p(z)) = I(x; z) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j))    (Chen et al. 2018, eq. 2)

The aggregate posterior is estimated by minibatch-weighted sampling (ibid., section 3.1):

    log q(z_i) ~ log sum_k q(z_i|x_k) - log(N B),  k over the batch, and likewise for each q(z_ij)

It is biased. Where all posteriors coincide and the parts should be zero, mutual information is off by log N, total
correlation by (L - 1) log N and dimension-wise KL by -L log N. Constants have no gradient; compare the numbers between
models of the same B, N and L only.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Decomposition(NamedTuple):
    """Scalars in nats per sample; their sum is the one-sample estimate of the rate, mean log q(z|x) - log p(z)."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def decompose(z: Tensor, mu: Tensor, logvar: Tensor, dataset_size: int, units: Tensor | None = None) -> Decomposition:
    """The three parts of the rate of a whole batch, differentiable; memory B * B * L numbers.

    The parts are not sums over samples: of a batch that is spread over ranks, every rank's z, mu and logvar are needed.

    Args:
        z: a sample of each posterior, [B, L].
        mu: means, [B, L].
        logvar: log-variances, [B, L].
        dataset_size: N, the samples of the training set.
        units: bool [L], the latent dimensions that count; all where none is given.

    Raises:
        ValueError: if the shapes differ, or the data set is smaller than one sample.
    """
    if not z.shape == mu.shape == logvar.shape or z.dim() != 2:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (z, mu, logvar))
        raise ValueError(f"decompose: got z, mu and logvar of shapes {shapes}, must be one shape [B, L]")
    if dataset_size < 1:
        raise ValueError(f"decompose: got dataset_size={dataset_size}, must be >= 1")
    counted = 1.0 if units is None else units.to(z)
    conditional = (_log_normal(z, mu, logvar) * counted).sum(1)
    prior = (_log_normal(z, torch.zeros_like(z), torch.zeros_like(z)) * counted).sum(1)
    pairs = _log_normal(z.unsqueeze(1), mu.unsqueeze(0), logvar.unsqueeze(0))  # [i, k, j]: log q(z_ij | x_k)
    log_weight = math.log(dataset_size * len(z))
    joint = (pairs * counted).sum(2).logsumexp(1) - log_weight
    marginals = ((pairs.logsumexp(1) - log_weight) * counted).sum(1)
    return Decomposition((conditional - joint).mean(), (joint - marginals).mean(), (marginals - prior).mean())


def _log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, exp(logvar)), element by element."""
    return -0.5 * (math.log(2.0 * math.pi) + logvar + (z - mu).square() * (-logvar).exp())
