"""The classes task and its parts against slow, direct computation."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from manifest_samples import prepared_manifest
from samples import random_prepared, small_experiment
from vaeforge.config.experiment import Experiment
from vaeforge.data.prepared import Prepared
from vaeforge.errors import DataError
from vaeforge.evaluation.images import decoded
from vaeforge.evaluation.latent_posteriors import (
    LatentLibrary,
    class_names,
    conditions_of,
    file_names,
    labels_of,
    library_of,
)
from vaeforge.evaluation.memorization import PIXELS, RECONSTRUCTIONS, check_copies
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.classes.class_samples import (
    AGGREGATE,
    PRIOR,
    UNTRAINED,
    class_sets,
    distribution_metrics,
    first_of_each,
    per_class,
    rounded,
)
from vaeforge.evaluation.tasks.classes.classifier import fit_classifier, small
from vaeforge.evaluation.tasks.classes.evaluation import SYNTHETIC, class_means, evaluate, means_measured
from vaeforge.evaluation.tasks.classes.figures import confusion
from vaeforge.samples import Samples
from vaeforge.trained import TrainedModel
from vaeforge.training.loop import TrainingData, fit, untrained
from vaeforge_models.families.cilia import FAMILY
from vaeforge_models.vae import VAE, DataSpec

pytestmark = pytest.mark.slow


def bars(count: int, seed: int) -> Samples:
    """Three classes of 32 x 32 images: bars that lie, stand or cross, at random places and brightness."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    x = rng.integers(0, 30, (count, 1, 32, 32)).astype(np.uint8)
    for image, label in zip(x, labels, strict=True):
        place, level = rng.integers(6, 22), rng.integers(180, 255)
        if label != 1:
            image[0, place : place + 5] = level
        if label != 0:
            image[0, :, place : place + 5] = level
    return Samples(x, np.eye(3, dtype=np.float32)[labels])


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    overrides: dict[str, Any] = {"training__epochs": 2, "training__steps_per_epoch": 80, "training__batch_size": 32}
    return small_experiment(FAMILY, tmp_path_factory.mktemp("none"), model__latent_dim=4, beta__value=0.02, **overrides)


@pytest.fixture(scope="module")
def trained(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("trained")
    train, validation, test = bars(240, 0), bars(30, 1), bars(90, 2)
    spec = DataSpec((1, 32, 32), 3)
    (*_, last) = fit(experiment, TrainingData(train, validation, spec), folder=folder)
    assert last.best is not None
    model = untrained(experiment, spec)
    model.load_state_dict(torch.load(last.best.file, weights_only=True)["model"])
    manifest = prepared_manifest(info={"classes": ["lies", "stands", "a/cross"]})
    labels, groups = labels_of(test), np.arange(len(test))
    prepared = Prepared(folder, manifest, train, validation, test, labels, groups, constants={})
    return TrainedModel(model.eval(), prepared, experiment)


@pytest.fixture(scope="module")
def found(trained: TrainedModel) -> EvaluationResult:
    return evaluate(trained)


def test_the_model_is_measured_per_class(trained: TrainedModel, found: EvaluationResult) -> None:
    test = trained.prepared.test
    raw, condition = test.tensors(slice(None))
    with torch.no_grad():
        error = (trained.model.reconstruct(raw, condition)[0].numpy() - test.x / 255) ** 2
    for label, file in enumerate(["lies", "stands", "a_cross"]):
        assert found.metrics[f"test/mse_{file}"] == pytest.approx(error[test.condition[:, label] == 1].mean(), rel=1e-4)
    assert [line["count"] for line in found.tables["classes"]] == [30, 30, 30]
    assert found.metrics["test/ssim_low"] < found.metrics["test/ssim"] < found.metrics["test/ssim_high"]


def test_it_has_learned_what_the_classes_look_like(found: EvaluationResult) -> None:
    metrics = found.metrics
    assert metrics["test/class_consistency_real"] > 0.95
    assert metrics["test/class_consistency_prior_low"] > 0.5 > metrics["test/class_consistency_untrained"]
    assert metrics["test/kid_real_pca"] < metrics["test/kid_prior_pca"] < metrics["test/kid_untrained_pca"]
    rows = {(row.metric, row.name): row for row in found.rows}
    assert rows["SSIM", "untrained VAE"].model_beats
    assert rows[SYNTHETIC, "most frequent class"].value == pytest.approx(1 / 3)
    assert rows[SYNTHETIC, "trained on untrained VAE"].model_beats


def test_every_table_names_its_extractor_and_every_class(found: EvaluationResult) -> None:
    lines = found.tables["generated"]
    kinds = {(line["class"], line["extractor"]) for line in lines}
    names = ["all", "lies", "stands", "a/cross"]
    assert {name for name, _ in kinds} == set(names)
    assert {extractor for _, extractor in kinds} == {"EfficientNet-Lite0", "PCA-64 of train"}
    assert {line["name"] for line in lines} == {"real against real", PRIOR, AGGREGATE, UNTRAINED}
    sizes = {(line["class"], line["extractor"]): line["n"] for line in lines}
    assert sizes["all", "PCA-64 of train"] == 30 and sizes["lies", "PCA-64 of train"] == 10
    assert len(distribution_metrics(lines)) >= 2 * 4 * 2


def test_the_libraries_of_all_classes_are_kept(trained: TrainedModel, found: EvaluationResult) -> None:
    assert sorted(found.arrays) == ["latents_a_cross", "latents_lies", "latents_stands"]
    kept = found.arrays["latents_stands"]
    raw, condition = trained.prepared.train.tensors(trained.prepared.train.condition[:, 1] == 1)
    with torch.no_grad():
        posterior = trained.model.encode(trained.model.normalise(raw), condition)
    np.testing.assert_allclose(kept["mu"], posterior.mu.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(kept["sigma"], (posterior.logvar / 2).exp().numpy(), rtol=1e-4)
    assert (kept["label"] == 1).all() and len(kept["label"]) == 80


@pytest.mark.parametrize("classes", [3, pytest.param(0, marks=pytest.mark.long)])
def test_scarce_classes_and_no_classes_are_evaluated_too(classes: int, tmp_path: Path) -> None:
    family = replace(FAMILY, example=DataSpec((1, 32, 32), classes))
    prepared = random_prepared(family, tmp_path, 12, 5, 6)
    experiment = small_experiment(FAMILY, tmp_path)
    trained = TrainedModel(untrained(experiment, prepared.spec).eval(), prepared, experiment)
    some = evaluate(trained)
    assert all(np.isfinite(value) for value in some.metrics.values())
    assert ("test/class_consistency_prior" in some.metrics) == (classes > 0)
    assert evaluate(trained).metrics == some.metrics


def test_sets_have_the_same_classes_and_real_ones_are_not_shared(trained: TrainedModel) -> None:
    library = library_of(trained.model, trained.prepared.train)
    sets = class_sets(trained, library, count=30)
    assert np.bincount(sets.labels).tolist() == [10, 10, 10]
    validation = {image.tobytes() for image in trained.prepared.validation.x}
    assert all(image.tobytes() in validation for image in sets.control)
    assert not any(image.tobytes() in validation for image in sets.reference)
    few = sets.where(first_of_each(sets.labels, 2))
    assert np.bincount(few.labels).tolist() == [2, 2, 2] and few.generated[PRIOR].shape == (6, 1, 32, 32)


def test_the_aggregate_posterior_has_the_moments_of_the_mixture() -> None:
    rng = np.random.default_rng(0)
    library = LatentLibrary(rng.normal(size=(6, 2)), rng.uniform(0.1, 2, (6, 2)), np.array([0, 0, 0, 0, 1, 1]))
    part = library.of(0)
    which = rng.integers(4, size=400_000)
    drawn = part.mu[which] + part.sigma[which] * rng.normal(size=(len(which), 2))  # the mixture itself
    mean, covariance = part.moments()
    np.testing.assert_allclose(mean, drawn.mean(0), atol=0.02)
    np.testing.assert_allclose(covariance, np.cov(drawn.T), atol=0.03)
    labels = np.repeat([0, 1], 100_000)
    z = library.aggregate(labels, torch.Generator().manual_seed(1)).numpy()
    np.testing.assert_allclose(z[labels == 0].mean(0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(z[labels == 0].T), covariance, atol=0.05)
    with pytest.raises(DataError, match=r"no training sample of class 2, must be one of \[0, 1\]"):
        library.of(2)


def test_class_means_by_hand() -> None:
    samples = bars(9, 4)
    means = class_means(samples, 3)
    np.testing.assert_allclose(means[1], samples.x[[1, 4, 7]].mean(0))
    errors, similar = means_measured(means, samples)
    expected = ((samples.x[4] / 255 - means[1] / 255) ** 2).mean()
    assert errors[4] == pytest.approx(expected, rel=1e-5)
    assert similar.shape == (9,) and (similar < 1).all()


def test_file_names_are_safe_and_differ() -> None:
    assert file_names(("../etc", "a b", "a/b", "A_b", "é", "")) == ["_etc", "a_b", "a_b_2", "A_b_3", "é", "_"]


def test_labels_and_conditions_go_back_and_forth(trained: TrainedModel) -> None:
    labels = np.array([2, 0, 1])
    condition = conditions_of(labels, 3).numpy()
    assert labels_of(Samples(np.zeros((3, 1)), condition)).tolist() == [2, 0, 1]
    assert conditions_of(labels, 0).shape == (3, 0)
    assert class_names(trained.prepared) == ("lies", "stands", "a/cross")


def test_the_classifier_learns_and_refuses() -> None:
    train, test = bars(120, 5), bars(60, 6)
    classifier = fit_classifier(train.x, labels_of(train))
    assert classifier.correct(test.x, labels_of(test)).mean() > 0.95
    large = np.kron(train.x[:4], np.ones((1, 1, 3, 3))).astype(np.uint8)
    np.testing.assert_allclose(small(large), small(train.x[:4]), atol=1e-6)
    with pytest.raises(DataError, match=r"got images of class \[1\]"):
        fit_classifier(train.x, np.ones(120, dtype=np.int64))
    with pytest.raises(DataError, match="all alike"):
        fit_classifier(np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 0, 1, 1]))


def test_confusion_and_class_means_of_values() -> None:
    shares = confusion(np.array([0, 0, 1, 0]), np.array([0, 1, 1, 0]), 3)
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3, 0], [0, 1, 0], [0, 0, 0]])
    lines = per_class({"v": np.array([1.0, 3.0, 5.0])}, np.array([0, 2, 2]), ("a", "b", "c"))
    assert lines == [{"class": "a", "count": 1, "v": 1.0}, {"class": "c", "count": 2, "v": 4.0}]
    assert rounded(np.array([-3.0, 1.6, 300.0], dtype=np.float32)).tolist() == [0, 2, 255]


def test_copies_are_found_by_pixels_and_by_reconstruction(trained: TrainedModel) -> None:
    model, prepared = trained.model, trained.prepared
    library = library_of(model, prepared.train)
    labels = np.repeat(library.labels[:6], 10)
    around = decoded(model, torch.from_numpy(library.mu[:6].repeat(10, 0)).float(), conditions_of(labels, 3))
    made = {"real": bars(60, 8).x, "copied": prepared.train.x[50:80], "around": rounded(around)}
    known = prepared.train[:80]  # of more, every image that looks like bars would be some grey level off another one
    checks = check_copies(model, made, prepared.test, known)
    assert checks["real"].checks[PIXELS].share_copies == 0 and not checks["real"].reasons
    assert checks["copied"].checks[PIXELS].share_copies == 1
    assert any("100.0% equal a training image" in reason for reason in checks["copied"].reasons)
    assert checks["around"].checks[RECONSTRUCTIONS].ratio_of_medians < 0.5
    assert checks["around"].neighbour.tolist() == np.arange(6).repeat(10).tolist()


def test_a_collapsed_model_is_checked_by_pixels_alone(trained: TrainedModel) -> None:
    class Collapsed(torch.nn.Module):
        normalise = staticmethod(trained.model.normalise)

        def reconstruct(self, raw: torch.Tensor, condition: torch.Tensor) -> tuple[torch.Tensor]:
            return (torch.full((len(raw), 1, 32, 32), 0.25),)

    model = cast(VAE, Collapsed())
    made = {"grey": np.full((3, 1, 32, 32), 64, np.uint8)}
    found = check_copies(model, made, trained.prepared.test, trained.prepared.train)["grey"]
    assert list(found.checks) == [PIXELS] and found.space == PIXELS
