"""Reference answers of a packaged model to validation samples: for comparing new inputs, and the cost of a precision.

Shapes: N samples, L latent dimensions, D values of a sample.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge.manifests.export import QualityFigures, QualityLoss
from vaeforge.package.bundle import OUTPUTS, open_session
from vaeforge.package.input_check import SCALE
from vaeforge.package.input_statistics import ValueScale
from vaeforge.package.parity_inputs import main_feeds
from vaeforge.paths import write_atomically
from vaeforge.samples import Samples
from vaeforge_models.likelihoods import gaussian_nll
from vaeforge_models.vae import VAE, Posterior

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class GraphAnswers:
    """The main graph's answers.

    Attributes:
        score: [N].
        mu: [N, L].
        squared_error: of the reconstruction at z = mu, mean per observed value, model units: [N].
        rate: nats: [N].
    """

    score: Floats
    mu: Floats
    squared_error: Floats
    rate: Floats

    def quality(self, dimensions: int, variance: float) -> QualityFigures:
        """Means over samples; the NELBO at z = mu, of a Gaussian of `variance`."""
        mse, rate = float(self.squared_error.mean()), float(self.rate.mean())
        nelbo = float(gaussian_nll(mse * dimensions, dimensions, variance)) + rate
        return QualityFigures(float(self.score.mean()), mse, nelbo)


def answers_of(model: VAE, path: Path, samples: Samples) -> GraphAnswers:
    """What the main graph at `path` answers; `model` only turns values into model units.

    Raises:
        RegistryError: if onnxruntime cannot open it.
    """
    session = open_session(path)
    parts: list[tuple[NDArray[Any], ...]] = []
    for raw, condition in samples.batches():
        answer, mu, logvar, score = session.run(list(OUTPUTS), main_feeds(raw, condition))
        error = model.mean_squared_error(model.normalise(raw), model.normalise(torch.from_numpy(answer)))
        rate = Posterior(torch.from_numpy(mu), torch.from_numpy(logvar)).rate().sum(1)
        parts.append((score, mu, error.numpy(), rate.numpy()))
    return GraphAnswers(*(np.concatenate([part[place] for part in parts]).astype(np.float32) for place in range(4)))


def quality_loss(model: VAE, full: GraphAnswers, other: GraphAnswers) -> QualityLoss:
    """Score, MSE and NELBO of fp32 and of another precision, and the change: relative, of the NELBO in nats.

    Both NELBOs take fp32's mean squared error for the variance.
    """
    dimensions, variance = math.prod(model.event_shape), float(full.squared_error.mean())
    before, after = full.quality(dimensions, variance), other.quality(dimensions, variance)
    change = QualityFigures(
        score=(after.score - before.score) / abs(before.score),
        mse=(after.mse - before.mse) / abs(before.mse),
        nelbo=after.nelbo - before.nelbo,
    )
    return QualityLoss(before, after, change)


def write_reference(path: Path, answers: GraphAnswers, scale: ValueScale | None) -> None:
    """Write `score` and `mu` to `path`, and the scale of the training samples' values where they are no images."""
    arrays: dict[str, Any] = {"score": answers.score, "mu": answers.mu}
    if scale is not None:
        arrays |= dict(zip(SCALE, (scale.mean, scale.sd), strict=True))
    write_atomically(path, lambda file: np.savez(file, **arrays))
