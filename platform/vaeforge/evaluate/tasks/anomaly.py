"""The anomaly task: how well a model of normal samples tells strange ones from them."""

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.contract import Prepared
from vaeforge.evaluate.bootstrap import auroc_interval, blocks_per_label, bootstrap_auroc
from vaeforge.evaluate.comparison import MODEL, Row, compare_auroc
from vaeforge.evaluate.detection import detection_metrics, pr_curve, require_both, roc_curve, threshold_of
from vaeforge.evaluate.detection_figures import draw_pr, draw_roc, draw_scores
from vaeforge.evaluate.drawing import spread_over
from vaeforge.evaluate.findings import Findings, Task
from vaeforge.evaluate.general import bootstrap_seed, nelbo_metrics, untrained_model
from vaeforge.evaluate.images import draw_interpolation, draw_reconstructions, draw_samples
from vaeforge.evaluate.linear import fit_plane
from vaeforge.evaluate.passes import WHITE, Measured, measure, scores
from vaeforge.evaluate.winner import Winner
from vaeforge.samples import Samples

PLANES = (1, 4, 16)
NAMES = {0: "normal", 1: "anomalous"}
Floats = NDArray[np.float64]


def evaluate(winner: Winner) -> Findings:
    """Detection at a threshold from validation normals alone, beside simple scores; image quality per kind.

    Raises:
        DataError: if the test set lacks normal or anomalous samples.
        CheckpointError: if the model's scores are not finite.
    """
    model, prepared, experiment = winner.model, winner.prepared, winner.experiment
    require_both(prepared.test_labels)
    validation_scores = scores(model, prepared.validation)
    threshold = threshold_of(validation_scores, experiment.gates.threshold_quantile)
    measured = measure(model, prepared.test)
    metrics = {"val/threshold": threshold} | _nelbo_of_kinds(winner)
    metrics |= _detection(measured, prepared, threshold, bootstrap_seed(experiment))
    metrics |= _image_metrics(measured, prepared.test_labels)
    labels = prepared.test_labels
    curves = {"roc": roc_curve(labels, measured.score), "pr": pr_curve(labels, measured.score)}
    figures = {
        "roc": draw_roc(*curves["roc"], metrics),
        "pr": draw_pr(*curves["pr"], metrics, float(labels.mean())),
        "scores": draw_scores(measured.score, labels, validation_scores, threshold),
        "samples": draw_samples(model),
        "interpolation": draw_interpolation(model, prepared.test[spread_over(np.flatnonzero(labels == 0))]),
    }
    for label, name in NAMES.items():
        chosen = prepared.test[spread_over(np.flatnonzero(labels == label))]
        figures[f"reconstructions_{name}"] = draw_reconstructions(model, chosen, name)
    return Findings(metrics, baseline_rows(winner, measured.score), curves, figures=figures)


def _nelbo_of_kinds(winner: Winner) -> dict[str, float]:
    """`nelbo`, `rate` and `mse` of the normal and of the anomalous test samples."""
    from vaeforge.train.group import Group
    from vaeforge.train.measure import validate

    prepared, samples = winner.prepared, winner.experiment.training.evaluation_samples
    variance = validate(winner.model, prepared.validation, Group(), samples)["val/mse"]
    result: dict[str, float] = {}
    for label, name in NAMES.items():
        chosen = prepared.test[prepared.test_labels == label]
        result |= nelbo_metrics(winner.model, chosen, samples, variance, f"_{name}")
    return result


def baseline_rows(winner: Winner, test_scores: Floats) -> list[Row]:
    """AUROC of simple scores, of the model before its first step, and of the model."""
    prepared = winner.prepared
    scored = baseline_scores(winner) | {MODEL: test_scores}
    return compare_auroc(scored, prepared.test_labels, prepared.test_groups, bootstrap_seed(winner.experiment))


def baseline_scores(winner: Winner) -> dict[str, Floats]:
    """The test scores [T] of each baseline, among them the model before its first step."""
    prepared = winner.prepared
    plane = fit_plane(winner.model, prepared.train, max(PLANES))
    errors = plane.errors(winner.model, prepared.test)
    scored = {"darkness": _darkness(prepared.test), "distance to mean": errors[:, 0]}
    scored |= {f"PCA {k}": errors[:, k] for k in PLANES if k < errors.shape[1]}
    return scored | {"untrained VAE": scores(untrained_model(winner.experiment, prepared), prepared.test)}


def _darkness(samples: Samples) -> Floats:
    """1 less the mean value of each sample in [0, 1]."""
    return np.concatenate([1 - raw.double().flatten(1).mean(1).numpy() / WHITE for raw, _ in samples.batches()])


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


TASK = Task("anomaly", evaluate)
