"""Evaluation of the anomaly task: how well a model of normal samples detects anomalous ones.

The score and the quantile that makes its threshold are settings, and the threshold is taken from validation normals:
nothing that decides what is called anomalous has seen the test set. All other scores are listed beside the chosen one.
A test set of normal samples alone is measured by its likelihood, its images and the false-positive rate: what needs
anomalous samples (areas under curves, and calls of anomalies) is not there.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.data.grey_levels import WHITE
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.anomaly_scores import anomaly_scores, chosen_score, error_maps, fit_reference
from vaeforge.evaluation.auroc import groups_per_label
from vaeforge.evaluation.common_metrics import nelbo_metrics, untrained_model
from vaeforge.evaluation.comparison import MODEL, ComparisonRow, compare_auroc
from vaeforge.evaluation.drawing import spread_over
from vaeforge.evaluation.extractor import load_extractor, rounded
from vaeforge.evaluation.frechet import inception_style_score
from vaeforge.evaluation.generation_metrics import PRIOR, compare_generated, image_space
from vaeforge.evaluation.images import draw_interpolation, draw_reconstructions, draw_samples
from vaeforge.evaluation.inference import ImageMetrics, measure, scores
from vaeforge.evaluation.intervals import ANY, CORRELATION, mean_over_groups
from vaeforge.evaluation.localisation import localisation
from vaeforge.evaluation.pca_baseline import fit_pca_baseline
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.anomaly.detection import (
    has_anomalous,
    pr_curve,
    roc_curve,
    score_table,
    threshold_estimates,
)
from vaeforge.evaluation.tasks.anomaly.figures import draw_areas, draw_error_maps, draw_pr, draw_roc, draw_scores
from vaeforge.evaluation.threshold import QUANTILE_METRIC, RATE_METRIC, THRESHOLD_METRIC, threshold_of
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel
from vaeforge_models.vae import VAE

PLANES = (1, 4, 16)
GENERATED = 100  # images of each set; the network takes 20 ms for each
NAMES = {0: "normal", 1: "anomalous"}
Floats = NDArray[np.float64]


def evaluate(trained: TrainedModel) -> EvaluationResult:
    """Detection at a threshold from validation normals alone, beside simple scores; image quality per kind; prior
    samples beside held-out normals.

    Raises:
        DataError: if the test set lacks normal samples.
        CheckpointError: if the model's scores are not finite.
    """
    found = detection_result(trained).joined(generated_result(trained))
    return found.joined(EvaluationResult(figures=_images(trained.model, trained.prepared)))


def detection_result(trained: TrainedModel) -> EvaluationResult:
    """What `evaluate` says of the scores, without what it draws and generates."""
    model, prepared, experiment = trained.model, trained.prepared, trained.experiment
    both = has_anomalous(prepared.test_labels)
    validation_scores = scores(model, prepared.validation)
    chosen = threshold_of(validation_scores, experiment.gates.threshold_quantile)
    threshold = chosen.value
    measured, labels, groups = measure(model, prepared.test), prepared.test_labels, prepared.test_groups
    scored = all_scores(trained, measured.score)
    metrics = {THRESHOLD_METRIC: threshold, QUANTILE_METRIC: chosen.quantile, RATE_METRIC: chosen.rate}
    metrics |= _nelbo_of_kinds(trained) | _at_threshold(measured, prepared, threshold)
    metrics |= _image_metrics(measured, prepared)
    figures = {"scores": draw_scores(measured.score, labels, validation_scores, threshold)}
    arrays = {"scores": {**scored, "labels": labels, "groups": groups}}
    found = EvaluationResult(metrics, figures=figures, arrays=arrays)
    return found.joined(_told_apart(trained, scored)) if both else found


def _told_apart(trained: TrainedModel, scored: Mapping[str, Floats]) -> EvaluationResult:
    """How well scores, [T] each by name, tell anomalous from normal test samples, beside baselines; in images, too."""
    model, prepared = trained.model, trained.prepared
    labels, chosen = prepared.test_labels, chosen_score(model)
    table = score_table(labels, prepared.test_groups, scored, chosen)
    metrics = _areas(table)
    if prepared.test_masks is not None:
        metrics |= localisation(prepared.test_masks, partial(error_maps, model, prepared.test))
    curves = {"roc": roc_curve(labels, scored[chosen]), "pr": pr_curve(labels, scored[chosen])}
    figures = {
        "roc": draw_roc(*curves["roc"], metrics),
        "pr": draw_pr(*curves["pr"], metrics, float(labels.mean())),
        "score_areas": draw_areas(table),
    }
    return EvaluationResult(metrics, baseline_rows(trained, scored[chosen]), curves, {"scores": table}, figures)


def all_scores(trained: TrainedModel, own: Floats) -> dict[str, Floats]:
    """Every score of the test samples by name, [T] each; the chosen one is what the model itself gives, `own` [T]."""
    model, prepared, training = trained.model, trained.prepared, trained.experiment.training
    seed = derive(training.seed, "anomaly scores")
    reference = fit_reference(model, prepared.train, prepared.validation, training.evaluation_samples, seed)
    return anomaly_scores(model, prepared.test, reference) | {chosen_score(model): own}


def _images(model: VAE, prepared: Prepared) -> dict[str, Figure]:
    """Samples, interpolations, and reconstructions and error maps of each kind of test samples."""
    shown = {name: prepared.test[spread_over(np.flatnonzero(mine))] for name, mine in _kinds(prepared).items()}
    figures = {"samples": draw_samples(model), "interpolation": draw_interpolation(model, shown["normal"])}
    figures |= {f"reconstructions_{name}": draw_reconstructions(model, chosen, name) for name, chosen in shown.items()}
    maps = {name: (np.asarray(chosen.x), error_maps(model, chosen)) for name, chosen in shown.items()}
    return figures | {"error_maps": draw_error_maps(maps)}


def _kinds(prepared: Prepared) -> dict[str, NDArray[np.bool_]]:
    """Which test samples are normal and which anomalous, [T] each; a kind without any is not there."""
    of = {name: prepared.test_labels == label for label, name in NAMES.items()}
    return {name: mine for name, mine in of.items() if mine.any()}


def _nelbo_of_kinds(trained: TrainedModel) -> dict[str, float]:
    """`nelbo`, `rate` and `mse` of the normal and of the anomalous test samples, if any."""
    from vaeforge.training.process_group import ProcessGroup
    from vaeforge.training.validation import validate

    prepared, samples = trained.prepared, trained.experiment.training.evaluation_samples
    variance = validate(trained.model, prepared.validation, ProcessGroup(), samples)["val/mse"]
    result: dict[str, float] = {}
    for name, mine in _kinds(prepared).items():
        result |= nelbo_metrics(trained.model, prepared.test[mine], samples, variance, f"_{name}")
    return result


def baseline_rows(trained: TrainedModel, test_scores: Floats) -> list[ComparisonRow]:
    """AUROC of simple scores, of the model before its first step, and of the model."""
    prepared = trained.prepared
    scored = baseline_scores(trained) | {MODEL: test_scores}
    return compare_auroc(scored, prepared.test_labels, prepared.test_groups)


def baseline_scores(trained: TrainedModel) -> dict[str, Floats]:
    """The test scores [T] of each baseline, among them the model before its first step."""
    prepared = trained.prepared
    plane = fit_pca_baseline(trained.model, prepared.train, max(PLANES))
    errors = plane.errors(trained.model, prepared.test)
    scored = {"darkness": _darkness(prepared.test), "distance to mean": errors[:, 0]}
    scored |= {f"PCA {k}": errors[:, k] for k in PLANES if k < errors.shape[1]}
    return scored | {"untrained VAE": scores(untrained_model(trained.experiment, prepared), prepared.test)}


def _darkness(samples: Samples) -> Floats:
    """1 less the mean value of each sample in [0, 1]."""
    return np.concatenate([1 - raw.double().flatten(1).mean(1).numpy() / WHITE for raw, _ in samples.batches()])


def _areas(table: list[dict[str, Any]]) -> dict[str, float]:
    """`test/auroc` and `test/auprc` of the chosen score with the ends of their 95 % intervals, `_low` and `_high`."""
    (chosen,) = (line for line in table if line["chosen"] == "yes")
    return {f"test/{name}": value for name, value in chosen.items() if isinstance(value, float)}


def _at_threshold(measured: ImageMetrics, prepared: Prepared, threshold: float) -> dict[str, float]:
    """What the threshold gives, with 95 % intervals, and how many samples and blocks there are."""
    labels, groups = prepared.test_labels, prepared.test_groups
    found: dict[str, float] = {}
    for name, estimate in threshold_estimates(labels, groups, measured.score, threshold).items():
        found |= estimate.named(name)
    normal_blocks, anomalous_blocks = groups_per_label(labels, groups)
    found |= {
        "count_normal": float((labels == 0).sum()),
        "count_anomalous": float((labels == 1).sum()),
        "blocks_normal": float(normal_blocks),
        "blocks_anomalous": float(anomalous_blocks),
    }
    return {f"test/{name}": value for name, value in found.items()}


def _image_metrics(measured: ImageMetrics, prepared: Prepared) -> dict[str, float]:
    """Means of PSNR (dB), SSIM and score per kind; the first two with intervals where a kind has blocks enough."""
    result: dict[str, float] = {}
    for name, mine in _kinds(prepared).items():
        part, groups = measured.where(mine), prepared.test_groups[mine]
        result |= mean_over_groups(part.psnr, groups, ANY).named(f"test/psnr_{name}")
        result |= mean_over_groups(part.ssim, groups, CORRELATION).named(f"test/ssim_{name}")
        result[f"test/score_{name}"] = float(part.score.mean())
    return result


def generated_result(trained: TrainedModel) -> EvaluationResult:
    """Prior samples against test normals, which is what the model has learned: Fréchet distance, KID, copies of
    training samples, and an inception-style score beside that of as many real images.
    """
    model, prepared = trained.model, trained.prepared
    normal = prepared.test_labels == 0
    test, labels, groups = prepared.test[normal], prepared.test_labels[normal], prepared.test_groups[normal]
    normals = replace(trained, prepared=replace(prepared, test=test, test_labels=labels, test_groups=groups))
    generated = compare_generated(normals, image_space(model), GENERATED)
    with torch.no_grad():
        made = model.denormalise(torch.from_numpy(generated.sets[PRIOR])).numpy()
    sets = {"prior": rounded(made), "real": rounded(generated.control.x)}
    extractor, lines, metrics = load_extractor(), [], {}
    for name, images in sets.items():
        score = inception_style_score(extractor(images, np.arange(len(images))).probabilities, splits=1).mean
        metrics[f"test/inception_style_{name}"] = score
        line = {"set": name, "n": len(images), "score": score}
        lines.append(line | {"classifier": extractor.name, "weights": extractor.weights})
    return generated.result.joined(EvaluationResult(metrics, tables={"inception_style": lines}))
