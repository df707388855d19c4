"""PCA baseline: reconstructions by the mean of the training data or by its principal components.

Shapes: N samples of D values each, in the units of a model. Where values are missing, components are fitted to, and
weights read off, samples filled with the training mean, as models get them; errors are over observed values.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from vaeforge.errors import DataError
from vaeforge.samples import Samples, evenly_spaced
from vaeforge.training.batches import centre_crop
from vaeforge_models.vae import VAE

FIT_SAMPLES = 2048
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PcaBaseline:
    """A mean sample [D] and orthonormal directions [K, D], the strongest first."""

    mean: Floats
    directions: Floats

    def errors(self, model: VAE, samples: Samples) -> Floats:
        """Mean squared error per value when the first k = 0..K directions reconstruct the samples: [N, K + 1].

        With k = 0 that is the distance to the mean. The squares that the directions explain are taken off the whole,
        by Pythagoras; where values are missing, each plane's own error is taken.
        """
        parts = [self._errors_of(model.normalise(raw).flatten(1).double().numpy()) for raw, _ in samples.batches()]
        return np.concatenate(parts)

    def reconstruct(self, values: Floats, components: int) -> Floats:
        """Values [N, D] projected onto the first `components` directions."""
        directions = self.directions[:components]
        projected: Floats = self.mean + self._centred(values) @ directions.T @ directions
        return projected

    def _centred(self, values: Floats) -> Floats:
        """Values less the mean, missing ones 0."""
        return np.where(np.isnan(values), 0.0, values - self.mean)

    def _errors_of(self, values: Floats) -> Floats:
        missing = np.isnan(values)
        if missing.any():
            return self._errors_over(~missing, self._centred(values))
        centred = values - self.mean
        explained = np.cumsum((centred @ self.directions.T) ** 2, axis=1)
        whole = (centred**2).sum(axis=1, keepdims=True)
        errors: Floats = np.concatenate([whole, whole - explained], axis=1) / self.mean.size
        return errors

    def _errors_over(self, observed: NDArray[np.bool_], centred: Floats) -> Floats:
        """The same where values are missing: of each plane's reconstruction, over `observed` [N, D] values."""
        left, errors, count = centred.copy(), [(centred**2).sum(axis=1)], observed.sum(axis=1)
        for weight, direction in zip((centred @ self.directions.T).T, self.directions, strict=True):
            left -= np.outer(weight, direction)
            errors.append((left**2).sum(axis=1, where=observed))
        means: Floats = np.stack(errors, axis=1) / count[:, None]
        return means


def training_values(model: VAE, train: Samples, limit: int = FIT_SAMPLES) -> NDArray[np.float32]:
    """At most `limit` training samples, evenly spaced, their centres in model units, filled: [N, D]."""
    chosen = evenly_spaced(len(train), limit)
    parts = [
        model.filled(model.normalise(centre_crop(raw, model.event_shape))).flatten(1).float().numpy()
        for raw, _ in train[chosen].batches()
    ]
    return np.concatenate(parts)


@torch.no_grad()
def fit_pca_baseline(model: VAE, train: Samples, components: int) -> PcaBaseline:
    """The principal components of training samples in the units of `model`.

    At most 2048 samples, evenly spaced, are used: PCA holds all of them in memory. Fewer components than asked for
    where there are not enough samples or values.

    Raises:
        DataError: if there are fewer than two training samples.
    """
    if len(train) < 2:
        raise DataError(f"training set: {len(train)} samples, must be at least 2 to fit a plane; prepare more data")
    values = training_values(model, train)
    kept = min(components, len(values) - 1, values.shape[1])
    solver = "full" if kept > min(values.shape) // 2 else "randomized"
    fitted = PCA(kept, svd_solver=solver, random_state=0).fit(values)
    return PcaBaseline(fitted.mean_.astype(np.float64), fitted.components_.astype(np.float64))
