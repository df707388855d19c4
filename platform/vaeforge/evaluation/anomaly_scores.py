"""Anomaly scores: how unlikely samples are to a model, by every score of the anomaly task. Larger is more anomalous.

Shapes: N samples x, D values each, L latent dimensions, K draws z_k = mu + sigma * eps_k; r(z) is the reconstruction.

- mse                         |x - r(mu)|^2 / D
- bce                         binary cross-entropy of x given r(mu), nats; only where model units are [0, 1]
- rate                        KL(q(z|x) || p(z)), nats
- nelbo                       -log p(x|mu) + rate, nats, of the training likelihood
- nelbo_sampled               -1/K sum_k log p(x|z_k) + rate: the negative ELBO
- mahalanobis                 sqrt((mu - m)^T C^-1 (mu - m)), m and C of the training samples' posterior means; C is
                              shrunk (Ledoit and Wolf 2004), because there may be fewer samples than dimensions
- reconstruction_probability  -1/K sum_k log N(x; r(z_k), diag v) (An and Cho 2015), v [D] the validation samples' mean
                              of (x - r(z))^2 value by value

The eps_k are the same for all samples, so that a score depends on its sample alone, not on those beside it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from torch import Tensor

from vaeforge.data.grey_levels import WHITE
from vaeforge.errors import CheckpointError, DataError
from vaeforge.evaluation.pca_baseline import FIT_SAMPLES
from vaeforge.samples import CHUNK, Samples, evenly_spaced
from vaeforge.training.batches import centre_crop
from vaeforge_models.likelihoods import gaussian_nll
from vaeforge_models.vae import VAE, Posterior

HALF_LEVEL = 0.5 / WHITE
VARIANCE_FLOOR = 0.01  # of the mean variance: a black border must not make one grey level infinitely unlikely
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """What scores take from training and validation samples; the test set has no part in it.

    Attributes:
        mean: of the training samples' posterior means, [L].
        precision: the inverse of their shrunk covariance, [L, L].
        variance: of each value about its reconstruction, over validation samples and draws, float64 [*event].
        eps: the draws' noise, [K, L].
    """

    mean: Floats
    precision: Floats
    variance: Tensor
    eps: Tensor

    def mahalanobis(self, mu: Floats) -> Floats:
        """The distance of posterior means [N, L] from the training samples' ones: [N]."""
        centred = mu - self.mean
        distance: Floats = np.sqrt(np.maximum(((centred @ self.precision) * centred).sum(1), 0.0))
        return distance


def chosen_score(model: VAE) -> str:
    """The name of the score that the model itself gives, and that thresholds are set by; `own` for one not listed."""
    named = getattr(model, "score_name", None)
    if named is not None:
        return str(named)
    return "mse" if type(model).score is VAE.score else "own"


@torch.no_grad()
def fit_reference(model: VAE, train: Samples, validation: Samples, draws: int, seed: int) -> Reference:
    """Latent statistics of at most 2048 training samples, evenly spaced, and the errors' variance on validation.

    Args:
        model: in evaluation mode.
        train: normal samples.
        validation: other normal samples.
        draws: posterior draws a sample, K.
        seed: of the draws.

    Raises:
        DataError: if there are fewer than two training samples.
    """
    if len(train) < 2:
        raise DataError(f"training set: {len(train)} samples, must be at least 2 for a covariance; prepare more data")
    chosen = evenly_spaced(len(train), FIT_SAMPLES)
    cropped = ((centre_crop(raw, model.event_shape), condition) for raw, condition in train[chosen].batches())
    means = [model.encode(model.normalise(raw), condition).mu.double().numpy() for raw, condition in cropped]
    fitted = LedoitWolf().fit(np.concatenate(means))
    eps = torch.randn(draws, model.latent_dim, generator=torch.Generator().manual_seed(seed))
    return Reference(fitted.location_, fitted.precision_, _error_variance(model, validation, eps), eps)


def _error_variance(model: VAE, validation: Samples, eps: Tensor) -> Tensor:
    total = torch.zeros(model.event_shape, dtype=torch.float64)
    for raw, condition in validation.batches():
        x = model.normalise(raw)
        posterior = model.encode(x, condition)
        for output in _outputs(model, posterior, condition, eps):
            total += (x - model.mean(output)).double().square().sum(0)
    variance = total / (len(validation) * len(eps))
    return variance.clamp(min=max(VARIANCE_FLOOR * float(variance.mean()), torch.finfo(torch.float64).tiny))


def _outputs(model: VAE, posterior: Posterior, condition: Tensor, eps: Tensor) -> Iterator[Tensor]:
    """The decoder's output for each draw, one after the other: K of them, [B, ...] each."""
    return (model.decode(posterior.sample(noise.expand_as(posterior.mu)), condition) for noise in eps)


@torch.no_grad()
def anomaly_scores(model: VAE, samples: Samples, reference: Reference) -> dict[str, Floats]:
    """Every score of each sample by name, [N] each; see the module's docstring.

    `model` must be in evaluation mode on the CPU.

    Raises:
        CheckpointError: if a score is not finite, which no sound model gives.
    """
    parts = [_scores_of(model, raw, condition, reference) for raw, condition in samples.batches(CHUNK)]
    scored = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name, values in scored.items():
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise CheckpointError(
                f"score {name}: got {bad} of {len(values)} values that are not finite; train the model again"
            )
    return scored


def _scores_of(model: VAE, raw: Tensor, condition: Tensor, reference: Reference) -> dict[str, Floats]:
    x = model.normalise(raw)
    posterior = model.encode(x, condition)
    rate = posterior.rate().double().sum(1)
    output = model.decode(posterior.mu, condition)
    reconstruction = model.mean(output)
    scored = {"mse": _squares(x, reconstruction).mean(1)}
    if in_unit_range(model):
        scored["bce"] = _cross_entropy(x, reconstruction)
    scored |= {"rate": rate, "nelbo": _distortion(model, x, output, reference) + rate}
    sampled, improbable = torch.zeros_like(rate), torch.zeros_like(rate)
    for drawn in _outputs(model, posterior, condition, reference.eps):
        sampled += _distortion(model, x, drawn, reference)
        improbable += _gaussian_nll(x, model.mean(drawn), reference.variance)
    draws = len(reference.eps)
    named = {name: values.numpy() for name, values in (scored | {"nelbo_sampled": sampled / draws + rate}).items()}
    named["mahalanobis"] = reference.mahalanobis(posterior.mu.double().numpy())
    return named | {"reconstruction_probability": (improbable / draws).numpy()}


def in_unit_range(model: VAE) -> bool:
    """Whether the model's own units put black at 0 and white at 1, as a cross-entropy needs."""
    black, white = (model.normalise(torch.full((1, *model.event_shape), value)) for value in (0.0, WHITE))
    return torch.allclose(black, torch.zeros_like(black)) and torch.allclose(white, torch.ones_like(white))


def _squares(x: Tensor, reconstruction: Tensor) -> Tensor:
    return (x - reconstruction).double().square().flatten(1)


def _cross_entropy(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Kept half a grey level off 0 and 1, where one pixel would be infinitely unlikely: [B]."""
    x, kept = x.double(), reconstruction.double().clamp(HALF_LEVEL, 1 - HALF_LEVEL)
    return -(x * kept.log() + (1 - x) * (1 - kept).log()).flatten(1).sum(1)


def _distortion(model: VAE, x: Tensor, output: Tensor, reference: Reference) -> Tensor:
    """-log p(x|z) of the training likelihood, nats: [B]; a calibrated one takes its variance from validation."""
    distortion = model.distortion(x, output).double()
    if not model.calibrated:
        return distortion
    whole = gaussian_nll(distortion, math.prod(model.event_shape), float(reference.variance.mean()))
    assert isinstance(whole, Tensor)  # a number only where a number was given
    return whole


def _gaussian_nll(x: Tensor, reconstruction: Tensor, variance: Tensor) -> Tensor:
    """-log N(x; reconstruction, diag variance), nats: [B]."""
    constant = 0.5 * (2 * math.pi * variance).log().sum()
    return constant + 0.5 * (_squares(x, reconstruction) / variance.flatten()).sum(1)


@torch.no_grad()
def error_maps(model: VAE, samples: Samples) -> NDArray[np.float32]:
    """The squared error of each pixel at z = mu, mean over channels, model units: [N, H, W].

    Its mean over a sample's pixels is the score `mse`.
    """
    parts = []
    for raw, condition in samples.batches(CHUNK):
        error = (model.normalise(raw) - model.reconstruct(raw, condition)[0]).square()
        parts.append(error.mean(1).float().numpy())
    return np.concatenate(parts)
