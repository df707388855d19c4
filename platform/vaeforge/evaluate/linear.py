"""Scores that need no deep model: how far samples lie from a mean image, or from a plane through it.

Shapes: N samples, D = C * H * W values each, scaled to [0, 1].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from vaeforge.errors import DataError
from vaeforge.evaluate.passes import WHITE, batches
from vaeforge.train.batches import centre_crop

FIT_SAMPLES = 2048
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """A mean image [D] and orthonormal directions [K, D], the strongest first."""

    mean: Floats
    directions: Floats

    def errors(self, samples: NDArray[np.uint8]) -> Floats:
        """Mean squared error per value when the first k = 0..K directions reconstruct the samples: [N, K + 1].

        With k = 0 that is the distance to the mean image. The squares that the directions explain are taken off the
        whole, by Pythagoras.
        """
        return np.concatenate([self._batch_errors(raw.flatten(1).double().numpy() / WHITE) for raw in batches(samples)])

    def _batch_errors(self, values: Floats) -> Floats:
        centred = values - self.mean
        explained = np.cumsum((centred @ self.directions.T) ** 2, axis=1)
        whole = (centred**2).sum(axis=1, keepdims=True)
        errors: Floats = np.concatenate([whole, whole - explained], axis=1) / self.mean.size
        return errors


def fit_plane(train: NDArray[np.uint8], event_shape: tuple[int, ...], components: int) -> Plane:
    """The principal components of training samples, their centres cut to `event_shape`.

    At most 2048 samples, evenly spaced, are used: PCA holds all of them in memory. Fewer components than asked for
    where there are not enough samples.

    Raises:
        DataError: if there are fewer than two training samples.
    """
    if len(train) < 2:
        raise DataError(f"training set: {len(train)} samples, must be at least 2 to fit a plane; prepare more data")
    chosen = np.linspace(0, len(train) - 1, min(len(train), FIT_SAMPLES)).round().astype(np.int64)
    values = np.concatenate(
        [centre_crop(raw, event_shape).flatten(1).float().numpy() / np.float32(WHITE) for raw in batches(train[chosen])]
    )
    fitted = PCA(min(components, len(values) - 1), svd_solver="randomized", random_state=0).fit(values)
    return Plane(fitted.mean_.astype(np.float64), fitted.components_.astype(np.float64))
