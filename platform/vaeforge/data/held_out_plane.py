"""Variance that planes leave of validation samples, and the beta that matches it.

A squared error with weight beta on the rate has sigma^2 = beta / 2 in each value. `val/nelbo` takes for sigma^2 the
mean squared error that is reached. Where both are the same, training and selection want the same model:
beta = 2 sigma^2. What a plane of as many components as the model has units leaves of samples that it was not fitted on
is known before any training, and a first guess at that sigma^2. The training samples themselves would not tell it: a
plane of as many components as there are samples leaves nothing of them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge.config.experiment import Experiment
from vaeforge.data.pca_spectrum import BERNOULLI_CLIP, likelihood_of
from vaeforge.samples import Samples, evenly_spaced
from vaeforge.training.batches import centre_crop
from vaeforge.training.loop import untrained
from vaeforge_models.vae import VAE, DataSpec

SAMPLES = 512  # of the training, and of the validation: a plane of 27,648 values takes some seconds
Floats = NDArray[np.float64]


@torch.no_grad()
def matched_betas(
    train: Samples, validation: Samples, spec: DataSpec, experiment: Experiment, sizes: Sequence[int]
) -> dict[int, float]:
    """The beta that matches what a plane of each of `sizes` leaves of the validation samples.

    What conditions explain linearly is taken off first. Sizes that the samples or values cannot span are left out, and
    so is a plane that leaves nothing.
    """
    model = untrained(experiment, spec)
    (known, given), (unseen, others) = _normalised(model, train), _normalised(model, validation)
    weights = np.linalg.lstsq(given, known, rcond=None)[0]
    likelihood, mean = likelihood_of(experiment), known.mean(0).clip(BERNOULLI_CLIP, 1 - BERNOULLI_CLIP)
    per_variance = {
        "mean_squared_error": 2 / known.shape[1],
        "bernoulli": 1 / float(np.mean(mean * (1 - mean))),
    }.get(likelihood, 2.0)
    left = held_out_variances(known - given @ weights, unseen - others @ weights, sizes)
    if likelihood == "calibrated":
        return dict.fromkeys(left, 1.0)
    return {size: per_variance * variance for size, variance in left.items() if variance > 0}


def held_out_variances(known: Floats, unseen: Floats, sizes: Sequence[int]) -> dict[int, float]:
    """Variance in each value of `unseen` [M, D] that planes through 0, fitted on `known` [N, D], leave."""
    sizes = [size for size in sizes if 0 < size < min(known.shape)]
    if not sizes:
        return {}
    _, vectors = np.linalg.eigh(known @ known.T)
    axes = np.linalg.qr(known.T @ vectors[:, ::-1][:, : max(sizes)])[0]
    explained = np.square(unseen @ axes).sum(0).cumsum()
    total = float(np.square(unseen).sum())
    return {size: max(0.0, total - float(explained[size - 1])) / unseen.size for size in sizes}


def _normalised(model: VAE, samples: Samples) -> tuple[Floats, Floats]:
    """Evenly chosen samples as the model sees them [N, D], and a constant with their conditions [N, 1 + C]."""
    raw, condition = samples.tensors(evenly_spaced(len(samples), SAMPLES))
    values = model.filled(model.normalise(centre_crop(raw, model.event_shape))).flatten(1).double().numpy()
    return values, np.column_stack([np.ones(len(values)), condition.double().numpy()])
