"""Evaluation of the classes task: how well images are reconstructed, and what generated ones are worth.

Generated images are asked four things: how far they lie from real ones as a distribution, whether a classifier of real
images sees the class that they were made for, how well a classifier that learned from them alone does on real images,
and whether they copy training images.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torchmetrics.functional.image import structural_similarity_index_measure

from vaeforge.data.grey_levels import WHITE
from vaeforge.evaluation.common_metrics import evaluation_seed, squared_errors, untrained_model
from vaeforge.evaluation.comparison import MODEL, compare_means
from vaeforge.evaluation.drawing import spread_over
from vaeforge.evaluation.images import draw_interpolation, draw_reconstructions
from vaeforge.evaluation.inference import measure
from vaeforge.evaluation.intervals import ANY, CORRELATION, POSITIVE, SHARE, mean_over_groups
from vaeforge.evaluation.latent_posteriors import LatentLibrary, class_names, file_names, labels_of, library_of
from vaeforge.evaluation.memorization import check_copies
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.classes.class_samples import (
    AGGREGATE,
    KEYS,
    PRIOR,
    UNTRAINED,
    ClassSets,
    class_sets,
    distribution_lines,
    distribution_metrics,
    first_of_each,
    make_images,
    per_class,
)
from vaeforge.evaluation.tasks.classes.classifier import Classifier, fit_classifier
from vaeforge.evaluation.tasks.classes.figures import confusion, draw_classes, draw_confusions
from vaeforge.samples import Samples, evenly_spaced
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel

CLASS_MEANS = "class means"
CLASSIFIED = 2000  # images that a classifier learns from
SYNTHETIC = "accuracy of a classifier trained on prior samples"
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def evaluate(trained: TrainedModel) -> EvaluationResult:
    """Reconstruction and generation, class by class, beside simple means; the latent library of each class is kept.

    Raises:
        CheckpointError: if the model's scores are not finite, or the image network is not installed.
    """
    library = library_of(trained.model, trained.prepared.train)
    sets = class_sets(trained, library)
    found = _reconstruction(trained).joined(_distributions(trained, sets)).joined(_copies(trained, sets))
    if len(class_names(trained.prepared)) > 1:
        found = found.joined(_classified(trained, library, sets))
    return found.joined(
        EvaluationResult(figures=_figures(trained, sets), arrays=library.arrays(class_names(trained.prepared)))
    )


def _reconstruction(trained: TrainedModel) -> EvaluationResult:
    """Mean squared error, SSIM and PSNR of all test images and of each class, beside each class's mean image."""
    model, prepared, groups = trained.model, trained.prepared, trained.prepared.test_groups
    measured, names, labels = measure(model, prepared.test), class_names(prepared), labels_of(prepared.test)
    means = class_means(prepared.train, len(names))
    untrained = untrained_model(trained.experiment, prepared)
    values = {"mse": squared_errors(model, prepared.test), "ssim": measured.ssim, "psnr": measured.psnr}
    of_means = means_measured(means, prepared.test)
    ssim = {CLASS_MEANS: of_means[1], UNTRAINED: measure(untrained, prepared.test).ssim, MODEL: values["ssim"]}
    mse = {CLASS_MEANS: of_means[0], MODEL: values["mse"]}
    rows = compare_means("MSE compared with class means", "lower", mse, groups, POSITIVE)
    rows += compare_means("SSIM", "higher", ssim, groups, CORRELATION)
    metrics = mean_over_groups(values["ssim"], groups, CORRELATION).named("test/ssim")
    metrics |= mean_over_groups(values["psnr"], groups, ANY).named("test/psnr")
    lines = per_class(values, labels, names)
    files = dict(zip(names, file_names(names), strict=True))
    for line in lines:
        metrics |= {f"test/{name}_{files[line['class']]}": line[name] for name in ("mse", "ssim")}
    return EvaluationResult(metrics, rows, tables={"classes": lines})


def class_means(train: Samples, classes: int) -> Floats:
    """The mean training image of each class, that of all for a class without one: [K, C, H, W] in 0..255."""
    labels = labels_of(train)
    overall = np.asarray(train.x).mean(0, dtype=np.float64)
    return np.stack(
        [train[labels == k].x.mean(0, dtype=np.float64) if (labels == k).any() else overall for k in range(classes)]
    )


def means_measured(means: Floats, test: Samples) -> tuple[Floats, Floats]:
    """Mean squared error per value, on the scale 0..1, and SSIM of each test image's class mean: [N] each."""
    labels, errors, similar, start = labels_of(test), [], [], 0
    for raw, _ in test.batches():
        mean = torch.from_numpy(means[labels[start : start + len(raw)]]).float()
        errors.append(((raw.float() - mean) / WHITE).square().flatten(1).mean(1).double().numpy())
        ssim = structural_similarity_index_measure(mean, raw.float(), data_range=WHITE, reduction="none")
        similar.append(np.atleast_1d(ssim.double().numpy()))
        start += len(raw)
    return np.concatenate(errors), np.concatenate(similar)


def _distributions(trained: TrainedModel, sets: ClassSets) -> EvaluationResult:
    lines = distribution_lines(trained, sets)
    return EvaluationResult(distribution_metrics(lines), tables={"generated": lines})


def _copies(trained: TrainedModel, sets: ClassSets) -> EvaluationResult:
    """Whether images from the prior and from the aggregate posteriors copy training images."""
    prepared = trained.prepared
    made = {name: sets.generated[name] for name in (PRIOR, AGGREGATE)}
    checks = check_copies(trained.model, made, prepared.test, prepared.train)
    metrics: dict[str, float] = {}
    lines: list[dict[str, Any]] = []
    for name, found in checks.items():
        metrics[f"test/nearly_copies_{KEYS[name]}"] = float(bool(found.reasons))
        for space, check in found.checks.items():
            lines.append({"set": name, **asdict(check)})
            for what in ("share_closer", "ratio_of_medians"):
                metrics[f"test/memorisation_{what}_{space}_{KEYS[name]}"] = check.metrics()[what]
    return EvaluationResult(metrics, tables={"memorisation": lines})


def _classified(trained: TrainedModel, library: LatentLibrary, sets: ClassSets) -> EvaluationResult:
    """Class consistency of generated images; accuracy on real test images of what learned from generated ones."""
    prepared, seed = trained.prepared, evaluation_seed(trained.experiment)
    names, labels = class_names(prepared), labels_of(prepared.test)
    chosen = _to_learn_from(prepared.train)
    real = fit_classifier(np.asarray(prepared.train[chosen].x), library.labels[chosen])
    values = {"trained on real": real.correct(prepared.test.x, labels)}
    made = make_images(trained, library, library.labels[chosen], derive(seed, "to learn from"))
    values |= {f"trained on {name}": _learned(made[name], library.labels[chosen], prepared.test) for name in made}
    values["most frequent class"] = _frequent(library.labels, labels)
    values["nearest class mean"] = _nearest_mean(class_means(prepared.train, len(names)), prepared.test)
    values[MODEL] = values.pop(f"trained on {PRIOR}")
    rows = compare_means(SYNTHETIC, "higher", values, prepared.test_groups, SHARE)
    told = {"real": "trained on real", KEYS[PRIOR]: MODEL, KEYS[AGGREGATE]: f"trained on {AGGREGATE}"}
    metrics: dict[str, float] = {}
    for key, name in told.items():
        metrics |= mean_over_groups(values[name], prepared.test_groups, SHARE).named(f"test/accuracy_train_{key}")
    return EvaluationResult(metrics, rows).joined(_consistency(real, sets, names))


def _consistency(real: Classifier, sets: ClassSets, names: tuple[str, ...]) -> EvaluationResult:
    """How often a classifier of real images sees the class that was asked for; each image is independent."""
    images = {"real": sets.control, **sets.generated}
    predicted = {name: real.predict(found) for name, found in images.items()}
    correct = {name: (found == sets.labels).astype(np.float64) for name, found in predicted.items()}
    own = np.arange(len(sets.labels))
    metrics: dict[str, float] = {}
    for name, found in correct.items():
        metrics |= mean_over_groups(found, own, SHARE).named(f"test/class_consistency_{KEYS.get(name, name)}")
    shown = {name: confusion(sets.labels, predicted[name], len(names)) for name in ("real", PRIOR, AGGREGATE)}
    compared = {"real images": correct["real"], UNTRAINED: correct[UNTRAINED], AGGREGATE: correct[AGGREGATE]}
    rows = compare_means("class consistency of prior samples", "higher", compared | {MODEL: correct[PRIOR]}, own, SHARE)
    lines = per_class(correct, sets.labels, names)
    return EvaluationResult(
        metrics, rows, tables={"consistency": lines}, figures={"confusion": draw_confusions(shown, names)}
    )


def _to_learn_from(train: Samples) -> Integers:
    """At most 2000 training images, evenly spaced."""
    return evenly_spaced(len(train), CLASSIFIED)


def _learned(images: NDArray[np.uint8], labels: Integers, test: Samples) -> Floats:
    """1 for each test image that a classifier of generated images gets right: [T].

    From images that are all alike there is nothing to learn but the most frequent class.
    """
    truth = labels_of(test)
    if (images == images[0]).all():
        return _frequent(labels, truth)
    return fit_classifier(images, labels).correct(test.x, truth)


def _frequent(labels: Integers, truth: Integers) -> Floats:
    """1 for each of `truth` that is the most frequent of `labels`."""
    right: Floats = (truth == np.bincount(labels).argmax()).astype(np.float64)
    return right


def _nearest_mean(means: Floats, test: Samples) -> Floats:
    """1 for each test image whose nearest class mean is its own."""
    flat = means.reshape(len(means), -1)
    parts = []
    for raw, condition in test.batches():
        values = raw.flatten(1).double().numpy()
        distance = (flat**2).sum(1) - 2 * values @ flat.T  # the image's own square is the same for all means
        parts.append((distance.argmin(1) == condition.numpy().argmax(1)).astype(np.float64))
    return np.concatenate(parts)


def _figures(trained: TrainedModel, sets: ClassSets) -> dict[str, Figure]:
    model, prepared = trained.model, trained.prepared
    shown = sets.where(first_of_each(sets.labels, 4))
    columns = {"real": shown.reference} | {name: shown.generated[name] for name in (PRIOR, AGGREGATE)}
    across = prepared.test[spread_over(np.argsort(labels_of(prepared.test), kind="stable"))]
    return {
        "classes": draw_classes(columns, shown.labels, class_names(prepared)),
        "reconstructions": draw_reconstructions(model, across, "a few"),
        "interpolation": draw_interpolation(model, across),
    }
