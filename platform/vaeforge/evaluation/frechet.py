"""Fréchet distance of two sets of features, and the inception-style score of one.

Shapes: N samples, D features, K classes. All sums are taken in float64.

- Fréchet distance (Heusel et al. 2017) |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). It is biased upwards at small N, so
  that two compare only at the same N.
- Inception-style score (Salimans et al. 2016) exp(mean KL(p(y|x) || p(y))).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError
from vaeforge.evaluation.kid import require_alike

Floats = NDArray[np.float64]


def frechet_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The Fréchet distance of Gaussians fitted to features [N, D] and [M, D], in squared feature units.

    With C = R^T R, tr (C1 C2)^(1/2) is the sum of the singular values of R1 R2^T. That needs no root of a matrix, and
    singular covariances (N <= D) lose nothing.

    Raises:
        DataError: if the numbers of features differ or a set has fewer than two samples.
    """
    require_alike(first, second)
    (mean_1, root_1), (mean_2, root_2) = _moments(first), _moments(second)
    shared = np.linalg.svd(root_1 @ root_2.T, compute_uv=False).sum()
    distance = ((mean_1 - mean_2) ** 2).sum() + (root_1**2).sum() + (root_2**2).sum() - 2 * shared
    return max(float(distance), 0.0)  # rounding of equal sets may end at -1e-12


def _moments(values: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """The mean [D] and R [min(N, D), D] with R^T R = covariance, divided by N - 1."""
    mean = values.mean(0, dtype=np.float64)
    root: Floats = np.linalg.qr(values - mean, mode="r") / np.sqrt(len(values) - 1)
    return mean, root


class InceptionScore(NamedTuple):
    """Mean and standard deviation over splits."""

    mean: float
    deviation: float


def inception_style_score(probabilities: NDArray[np.floating], splits: int = 10) -> InceptionScore:
    """exp(mean KL(p(y|x) || p(y))) of class probabilities [N, K] in each of `splits` parts: from 1 to K.

    It falls with the number of samples in a part and knows nothing of the real data; quote N and the classifier's name.

    Raises:
        DataError: if there are fewer samples than splits, or rows are no probabilities.
    """
    p = probabilities.astype(np.float64)
    if p.ndim != 2 or not 1 <= splits <= len(p):
        raise DataError(f"inception-style score: got {p.shape} in {splits} splits, must be [N >= splits, K]")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-4)):
        raise DataError("inception-style score: rows must be probabilities that sum to 1; pass a softmax")
    parts = [np.exp(_divergence(part).mean()) for part in np.array_split(p, splits)]
    return InceptionScore(float(np.mean(parts)), float(np.std(parts)))


def _divergence(p: Floats) -> Floats:
    """KL of each row [N, K] from the mean row, in nats: [N]."""
    positive = np.where(p > 0, p, 1.0)  # 0 log 0 = 0
    mean = np.where(p.mean(0) > 0, p.mean(0), 1.0)
    divergence: Floats = (p * (np.log(positive) - np.log(mean))).sum(1)
    return divergence
