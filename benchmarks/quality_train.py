"""Shared parts of the quality benchmark: settings, one training by our own `fit`, and small statistics."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.evaluation.pca_baseline import PcaBaseline
from vaeforge.samples import Samples
from vaeforge.training.checkpoint import load_model
from vaeforge.training.loop import TrainingData, fit
from vaeforge_models.vae import VAE, DataSpec

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
Floats = NDArray[np.float64]
Figures = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        model: the weights after the last epoch or the best one, in evaluation mode.
        curve: the metrics of each epoch.
        seconds: inside `fit`.
    """

    model: VAE
    curve: list[dict[str, float]]
    seconds: float


def settle(family: str, overrides: Mapping[str, Any], preset: str | None = None) -> Experiment:
    """The family's preset with `overrides`; the project's params.yaml has no say."""
    return load(BENCHMARKS, family, preset, overrides=overrides).experiment


def train(experiment: Experiment, data: TrainingData, best: bool = False) -> Trained:
    """Train in this process; the last epoch's model, or the one with the best `val/nelbo`.

    Raises:
        RuntimeError: if the training diverges.
    """
    with tempfile.TemporaryDirectory(prefix="vaeforge-quality-") as folder:
        reports = list(fit(experiment, data, folder=Path(folder)))
        if reports[-1].outcome == "nan":
            raise RuntimeError(f"{experiment.family}: the training diverged in epoch {reports[-1].epoch}")
        checkpoint = reports[-1].best if best else reports[-1].checkpoint
        assert checkpoint is not None
        model = load_model(checkpoint, experiment, data.spec)
    return Trained(model, [report.metrics for report in reports], sum(report.seconds for report in reports))


def grey(images: NDArray[np.uint8]) -> Samples:
    """Grey images [N, H, W] as samples of one channel."""
    return Samples.unconditional(images[:, None])


def arrays(train_images: NDArray[np.uint8], validation_images: NDArray[np.uint8]) -> TrainingData:
    """Grey images [N, H, W] as `fit` takes them."""
    spec = DataSpec((1, *validation_images.shape[1:]))
    return TrainingData(grey(train_images), grey(validation_images), spec)


def plane_through(images: NDArray[np.uint8], components: int) -> PcaBaseline:
    """The principal components of all of the images [N, H, W], grey values in [0, 1]."""
    from sklearn.decomposition import PCA

    values = images.reshape(len(images), -1).astype(np.float32) / 255.0
    fitted = PCA(components, svd_solver="full" if len(images) < values.shape[1] else "covariance_eigh").fit(values)
    return PcaBaseline(fitted.mean_.astype(np.float64), fitted.components_.astype(np.float64))


def auroc(anomalous: NDArray[np.bool_], scores: Floats) -> float:
    """P(anomalous score > normal score) + P(equal) / 2."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(anomalous, scores))


def spread(values: Sequence[float]) -> Figures:
    """Mean and standard deviation (n - 1) over seeds, and the values themselves."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": rounded(float(np.mean(values))), "sd": rounded(deviation), "values": [rounded(v) for v in values]}


def rounded(value: float) -> float:
    """Five significant digits: more than any of these figures carries."""
    return float(f"{value:.5g}")
