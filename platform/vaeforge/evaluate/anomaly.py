"""The metrics of the anomaly task: how well a model of normal samples tells strange ones from them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeforge.config import Experiment
from vaeforge.data.contract import Prepared
from vaeforge.evaluate.bootstrap import auroc_interval, blocks_per_label, bootstrap_auroc
from vaeforge.evaluate.detection import detection_metrics, require_both, threshold_of
from vaeforge.evaluate.passes import Measured, measure, scores
from vaeforge.seeds import derive
from vaeforge.train.group import Group
from vaeforge.train.measure import validate
from vaeforge_models.likelihoods import gaussian_nll
from vaeforge_models.vae import VAE


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one model.

    Attributes:
        metrics: flat `val/...` and `test/...` keys.
        labels: [T], 1 is anomalous.
        test_scores: [T], larger is stranger.
        validation_scores: [M], of normal samples.
        threshold: scores above it are called anomalous.
    """

    metrics: dict[str, float]
    labels: NDArray[np.int64]
    test_scores: NDArray[np.float64]
    validation_scores: NDArray[np.float64]
    threshold: float


def evaluate_model(model: VAE, prepared: Prepared, experiment: Experiment) -> Evaluation:
    """Measure `model` on the validation and test arrays of `prepared`.

    The threshold comes from validation normals alone. `test/nelbo` (nats per sample) takes its variance from the
    validation arrays too: D/2 log(2 pi val/mse) + SSE / (2 val/mse) + rate, z sampled under a fixed seed.

    Raises:
        DataError: if the test set lacks normal or anomalous samples.
        CheckpointError: if the model's scores are not finite.
    """
    require_both(prepared.test_labels)
    validation_scores = scores(model, prepared.validation)
    threshold = threshold_of(validation_scores, experiment.gates.threshold_quantile)
    measured = measure(model, prepared.test)
    samples = experiment.training.evaluation_samples
    metrics = validate(model, prepared.validation, Group(), samples) | {"val/threshold": threshold}
    metrics |= _nelbo_metrics(model, prepared, samples, metrics["val/mse"])
    metrics |= _detection(measured, prepared, threshold, bootstrap_seed(experiment))
    metrics |= _image_metrics(measured, prepared.test_labels)
    return Evaluation(metrics, prepared.test_labels, measured.score, validation_scores, threshold)


def bootstrap_seed(experiment: Experiment) -> int:
    """The seed of the draws behind every interval of one evaluation."""
    return derive(experiment.training.seed, "evaluation bootstrap")


def _nelbo_metrics(model: VAE, prepared: Prepared, samples: int, variance: float) -> dict[str, float]:
    """`nelbo`, `rate` and `mse` of all test samples, and of the normal and the anomalous ones."""
    result: dict[str, float] = {}
    labels, dimensions = prepared.test_labels, math.prod(model.event_shape)
    for suffix, chosen in (("", labels >= 0), ("_normal", labels == 0), ("_anomalous", labels == 1)):
        measured = validate(model, prepared.test[chosen], Group(), samples)
        mse, rate = measured["val/mse"], measured["val/rate"]
        result[f"test/mse{suffix}"], result[f"test/rate{suffix}"] = mse, rate
        result[f"test/nelbo{suffix}"] = float(gaussian_nll(mse * dimensions, dimensions, variance)) + rate
    return result


def _detection(measured: Measured, prepared: Prepared, threshold: float, seed: int) -> dict[str, float]:
    labels, groups = prepared.test_labels, prepared.test_groups
    drawn = bootstrap_auroc(labels, groups, {"model": measured.score}, seed)["model"]
    low, high = auroc_interval(drawn, labels, groups)
    normal_blocks, anomalous_blocks = blocks_per_label(labels, groups)
    found = detection_metrics(labels, measured.score, threshold) | {
        "auroc_low": low,
        "auroc_high": high,
        "count_normal": float((labels == 0).sum()),
        "count_anomalous": float((labels == 1).sum()),
        "blocks_normal": float(normal_blocks),
        "blocks_anomalous": float(anomalous_blocks),
    }
    return {f"test/{name}": value for name, value in found.items()}


def _image_metrics(measured: Measured, labels: NDArray[np.int64]) -> dict[str, float]:
    result: dict[str, float] = {}
    for name, label in (("normal", 0), ("anomalous", 1)):
        part = measured.where(labels == label)
        result[f"test/psnr_{name}"], result[f"test/ssim_{name}"] = float(part.psnr.mean()), float(part.ssim.mean())
        result[f"test/score_{name}"] = float(part.score.mean())
    return result
