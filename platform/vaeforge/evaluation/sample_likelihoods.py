"""Negative log-likelihood and score of each test sample, which an evaluation keeps for comparisons with other models.

Shapes: T test samples, K draws of z, L latent dimensions, D observed values of a sample.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaeforge.data.missing import observed_per_sample
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.inference import scores
from vaeforge.samples import CHUNK, Samples
from vaeforge.training.batches import centre_crop
from vaeforge.training.validation import NOISE_SEED
from vaeforge_models.likelihoods import gaussian_nll
from vaeforge_models.vae import VAE

EVIDENCE = "evidence"


def per_sample_arrays(model: VAE, prepared: Prepared, samples: int, variance: float) -> dict[str, NDArray[Any]]:
    """`nll` and `training_mean_nll` (nats), `score` (larger is more anomalous), `labels` and `groups` of the test
    samples, [T] each.

    The mean of `nll` is `test/nelbo`; `variance` is the validation mean squared error that `test/nelbo` takes.

    Args:
        model: in evaluation mode.
        prepared: its data.
        samples: posterior draws a sample, K.
        variance: of the Gaussian, the validation mean squared error.
    """
    return {
        "nll": negative_log_likelihoods(model, prepared.test, samples, variance),
        "score": scores(model, prepared.test),
        "labels": np.asarray(prepared.test_labels, dtype=np.int64),
        "groups": np.asarray(prepared.test_groups, dtype=np.int64),
        "training_mean_nll": training_mean_likelihoods(model, prepared),
    }


@torch.no_grad()
def training_mean_likelihoods(model: VAE, prepared: Prepared) -> NDArray[np.float64]:
    """What `negative_log_likelihoods` would say of a model that answers every sample with the training mean: [T].

    Its latents say nothing, so that its rate is 0; its variance is its own mean squared error on the validation
    samples: D/2 log(2 pi variance) + SSE / (2 variance). All are NaN where that variance is not a positive number.
    """
    total, count = torch.zeros(2, math.prod(model.event_shape), dtype=torch.float64)
    for raw, _ in prepared.train.batches():
        x = model.normalise(centre_crop(raw, model.event_shape)).flatten(1).double()
        total += x.nansum(0)
        count += x.isnan().logical_not().sum(0)
    mean = total / count
    validation, test = (_squared_distances(model, part, mean) for part in (prepared.validation, prepared.test))
    variance = float(validation.mean()) / observed_per_sample(prepared.validation.stored)
    if not (variance > 0 and math.isfinite(variance)):
        return np.full(len(prepared.test), math.nan)
    dimensions = torch.cat([model.dimensions(model.normalise(raw)).double() for raw, _ in prepared.test.batches()])
    return np.asarray(gaussian_nll(test, dimensions, variance), dtype=np.float64)


def _squared_distances(model: VAE, samples: Samples, mean: Tensor) -> Tensor:
    """The squared distance of each sample's observed values from `mean` [D], in model units: [N]."""
    parts = [(model.normalise(raw).flatten(1).double() - mean).square().nansum(1) for raw, _ in samples.batches()]
    return torch.cat(parts)


@torch.no_grad()
def negative_log_likelihoods(model: VAE, test: Samples, samples: int, variance: float) -> NDArray[np.float64]:
    """D/2 log(2 pi variance) + SSE / (2 variance) + rate of each sample, the mean over K draws of z: [T].

    The draws are those of `training/validation.py: validate`. All are NaN where no likelihood exists, because the
    variance is not a positive number.

    Args:
        model: in evaluation mode.
        test: the samples.
        samples: posterior draws a sample, K.
        variance: of the Gaussian, the validation mean squared error.
    """
    if not (variance > 0 and math.isfinite(variance)):
        return np.full(len(test), math.nan)
    noise = torch.randn(samples, len(test), model.latent_dim, generator=torch.Generator().manual_seed(NOISE_SEED))
    parts = []
    for number, (raw, condition) in enumerate(test.batches()):
        x = model.normalise(raw)
        posterior = model.encode(x, condition)
        squared = torch.zeros(len(raw), dtype=torch.float64)
        for eps in noise[:, number * CHUNK : (number + 1) * CHUNK]:
            error = model.difference(x, model.mean(model.decode(posterior.sample(eps), condition)))
            squared += error.square().flatten(1).sum(1, dtype=torch.float64)
        nll = torch.as_tensor(gaussian_nll(squared / samples, model.dimensions(x).double(), variance))
        parts.append((nll + posterior.rate().sum(1, dtype=torch.float64)).numpy())
    return np.concatenate(parts)
