"""Scores of strangeness and their intervals, against slow computation with scipy, scikit-learn and distributions."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import special, stats
from scipy.spatial.distance import mahalanobis
from scipy.stats import norm
from sklearn import metrics as sk
from sklearn.covariance import LedoitWolf

from vaeforge.data.layouts.pictures import read
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.errors import CheckpointError, DataError
from vaeforge.evaluation.anomaly_scores import Reference, anomaly_scores, chosen_score, error_maps, fit_reference
from vaeforge.evaluation.tasks.anomaly.detection import auprc_over_groups, score_table, threshold_estimates
from vaeforge.evaluation.tasks.anomaly.figures import draw_areas
from vaeforge.samples import Samples
from vaeforge.training.loop import TrainingData
from vaeforge_models.families.endoscopy import EndoscopySettings, EndoscopyVAE
from vaeforge_models.vae import VAE, DataSpec

N, K, L = 70, 3, 4  # more than one batch
D = 3 * 32 * 32
NAMES = ["mse", "bce", "rate", "nelbo", "nelbo_sampled", "mahalanobis", "reconstruction_probability"]
Make = Callable[..., TrainingData]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def build(**settings: Any) -> EndoscopyVAE:
    torch.manual_seed(3)
    return EndoscopyVAE(EndoscopySettings(latent_dim=L, width=4, **settings), DataSpec((3, 32, 32))).eval()


@pytest.fixture
def arrays(make_arrays: Make) -> TrainingData:
    return make_arrays(train=23, validation=11)


@pytest.fixture
def test(make_arrays: Make) -> Samples:
    return make_arrays(train=2, validation=N, seed=8).validation


def reference_of(model: VAE, arrays: TrainingData, seed: int = 5) -> Reference:
    return fit_reference(model, arrays.train, arrays.validation, K, seed)


def slow(model: EndoscopyVAE, samples: Samples, eps: np.ndarray) -> dict[str, np.ndarray]:
    """x, mu and K reconstructions of sampled z, one sample at a time, as float64."""
    rows: dict[str, list[Any]] = {"x": [], "mu": [], "rate": [], "logits": []}
    for image in samples.x:
        x = torch.from_numpy(np.array(image))[None].float() / 255
        posterior = model.encode(x, torch.zeros(1, 0))
        sigma = (0.5 * posterior.logvar).exp()
        z = [posterior.mu + sigma * torch.from_numpy(noise)[None] for noise in eps]
        rows["x"].append(x[0].double().numpy())
        rows["mu"].append(posterior.mu[0].double().numpy())
        rows["rate"].append(float(posterior.rate().double().sum()))
        rows["logits"].append([model.decode(one, torch.zeros(1, 0))[0].double().numpy() for one in z])
    return {name: np.array(values) for name, values in rows.items()}


@torch.no_grad()
def test_every_score_against_its_formula(arrays: TrainingData, test: Samples) -> None:
    model = build()
    reference = reference_of(model, arrays)
    found = anomaly_scores(model, test, reference)
    assert list(found) == NAMES
    eps = reference.eps.numpy()
    assert eps.shape == (K, L)
    measured, held_out = slow(model, test, eps), slow(model, arrays.validation, eps)

    sigmoid = 1 / (1 + np.exp(-measured["logits"]))
    x = measured["x"][:, None]
    log_likelihood = (x * np.log(sigmoid) + (1 - x) * np.log(1 - sigmoid)).sum((2, 3, 4)).mean(1)
    np.testing.assert_allclose(found["nelbo_sampled"], measured["rate"] - log_likelihood, rtol=1e-5)

    squares = (held_out["x"][:, None] - 1 / (1 + np.exp(-held_out["logits"]))) ** 2
    variance = squares.mean((0, 1))
    np.testing.assert_allclose(reference.variance.numpy(), np.maximum(variance, 0.01 * variance.mean()), rtol=1e-4)
    expected = -norm.logpdf(x, sigmoid, np.sqrt(reference.variance.numpy())).sum((2, 3, 4)).mean(1)
    np.testing.assert_allclose(found["reconstruction_probability"], expected, rtol=1e-4)

    centres = Samples.unconditional(arrays.train.x[:, :, 8:40, 8:40])  # 48 pixels with room for crops
    fitted = LedoitWolf().fit(slow(model, centres, eps)["mu"])
    precision = np.linalg.inv(fitted.covariance_)
    distances = [mahalanobis(mu, fitted.location_, precision) for mu in measured["mu"]]
    np.testing.assert_allclose(found["mahalanobis"], distances, rtol=1e-3)


@pytest.mark.parametrize("likelihood", ["bernoulli", "squared_error"])
@pytest.mark.parametrize("name", ["mse", "bce", "rate", "nelbo"])
def test_the_model_computes_the_listed_score(name: str, likelihood: str, arrays: TrainingData, test: Samples) -> None:
    model = build(score=name, likelihood=likelihood)
    assert chosen_score(model) == name
    with torch.no_grad():
        own = model.reconstruct(*test.tensors(slice(None)))[2].double().numpy()
    np.testing.assert_allclose(anomaly_scores(model, test, reference_of(model, arrays))[name], own, rtol=1e-4)


def test_a_calibrated_likelihood_takes_its_variance_from_validation(arrays: TrainingData, test: Samples) -> None:
    model = build(likelihood="calibrated")
    reference = reference_of(model, arrays)
    found, variance = anomaly_scores(model, test, reference), float(reference.variance.mean())
    expected = D / 2 * math.log(2 * math.pi * variance) + D * found["mse"] / (2 * variance) + found["rate"]
    np.testing.assert_allclose(found["nelbo"], expected, rtol=1e-5)


def test_a_score_depends_on_its_sample_and_the_seed_alone(arrays: TrainingData, test: Samples) -> None:
    model = build()
    whole, again, other = (anomaly_scores(model, test, reference_of(model, arrays, seed)) for seed in (5, 5, 6))
    part = anomaly_scores(model, test[np.array([66, 3])], reference_of(model, arrays))
    for name in NAMES:
        np.testing.assert_array_equal(whole[name], again[name])
        np.testing.assert_allclose(part[name], whole[name][[66, 3]], rtol=1e-5)
        drawn = name in ("nelbo_sampled", "reconstruction_probability")
        assert np.array_equal(whole[name], other[name]) != drawn


def test_a_collapsed_encoder_has_no_distances(arrays: TrainingData, test: Samples) -> None:
    model = build()
    with torch.no_grad():
        model.to_mu.weight.zero_()
    found = anomaly_scores(model, test, reference_of(model, arrays))
    np.testing.assert_allclose(found["mahalanobis"], 0, atol=1e-6)


def test_what_never_errs_in_validation_is_not_infinitely_strange(arrays: TrainingData) -> None:
    model, validation = build(), np.array(arrays.validation.x)
    with torch.no_grad():
        model.decoder[-1].bias.fill_(-30.0)  # everything black
    validation[:, :, :4] = 0
    reference = fit_reference(model, arrays.train, Samples.unconditional(validation), K, 0)
    floor = 0.01 * ((validation / 255) ** 2).mean()
    assert float(reference.variance[:, :4].max()) == pytest.approx(floor, rel=1e-3)
    one_level = np.zeros((1, 3, 32, 32), np.uint8)
    one_level[:, :, 0, 0] = 1
    scored = [anomaly_scores(model, Samples.unconditional(image), reference) for image in (one_level, one_level * 0)]
    more = scored[0]["reconstruction_probability"] - scored[1]["reconstruction_probability"]
    assert 0 < more[0] < 0.1


class Centred(EndoscopyVAE):
    """In units in which no cross-entropy can be taken, with a score of its own."""

    def normalise(self, raw: torch.Tensor) -> torch.Tensor:
        return raw.float() / 127.5 - 1

    def score(self, x: torch.Tensor, reconstruction: torch.Tensor, posterior: Any) -> torch.Tensor:
        return (x - reconstruction).abs().flatten(1).amax(1)


def test_other_units_have_no_cross_entropy(arrays: TrainingData, test: Samples) -> None:
    model = Centred(EndoscopySettings(latent_dim=L, width=4, likelihood="squared_error"), DataSpec((3, 32, 32))).eval()
    assert list(anomaly_scores(model, test, reference_of(model, arrays))) == [n for n in NAMES if n != "bce"]
    del model.score_name
    assert chosen_score(model) == "own"


def test_what_cannot_be_scored_is_refused(arrays: TrainingData, test: Samples) -> None:
    model = build()
    reference = reference_of(model, arrays)
    with pytest.raises(DataError, match="1 samples, must be at least 2"):
        fit_reference(model, arrays.train[:1], arrays.validation, K, 0)
    with torch.no_grad():
        model.from_latent.bias.fill_(math.nan)
    with pytest.raises(CheckpointError, match="score mse: got 70 of 70 values that are not finite"):
        anomaly_scores(model, test, reference)


def test_error_maps_average_to_the_mse(arrays: TrainingData, test: Samples) -> None:
    model = build()
    maps = error_maps(model, test)
    assert maps.shape == (N, 32, 32)
    found = anomaly_scores(model, test, reference_of(model, arrays))["mse"]
    np.testing.assert_allclose(maps.mean((1, 2)), found, rtol=1e-4)


def labelled() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, groups of three, and scores with many ties."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [36, 24])
    return labels, np.arange(60) // 3, np.round(rng.normal(size=60) + labels, 1)


def slow_se(labels: Integers, groups: Integers, statistic: Callable[[NDArray[np.bool_]], float]) -> float:
    """Each group of each label left out in turn; `statistic` of the samples that are kept."""
    variance = 0.0
    for label in (0, 1):
        names = np.unique(groups[labels == label])
        found = [statistic(~((groups == name) & (labels == label))) for name in names]
        variance += (len(names) - 1) * np.var(found)
    return float(np.sqrt(variance))


def test_standard_errors_are_those_of_leaving_blocks_out() -> None:
    labels, groups, scores = labelled()
    called = scores > 0.5
    area = auprc_over_groups(labels, scores, groups)
    assert area.value == pytest.approx(sk.average_precision_score(labels, scores))
    slow = slow_se(labels, groups, lambda kept: sk.average_precision_score(labels[kept], scores[kept]))
    assert area.se == pytest.approx(slow)
    found = threshold_estimates(labels, groups, scores, 0.5)
    reports = {"f1": sk.f1_score, "accuracy": sk.accuracy_score, "precision": sk.precision_score}
    for name, report in reports.items():
        assert found[name].value == pytest.approx(report(labels, called))
        slow = slow_se(labels, groups, lambda kept, report=report: report(labels[kept], called[kept]))
        assert found[name].se == pytest.approx(slow), name
    # recall knows the anomalous samples alone: eight blocks of three
    recalls = called[labels == 1].reshape(8, 3).mean(1)
    without = np.array([np.delete(recalls, block).mean() for block in range(8)])
    pseudo = 8 * special.logit(recalls.mean()) - 7 * special.logit(without)  # Tukey's pseudo-values
    ends = stats.t.interval(0.95, 7, loc=pseudo.mean(), scale=stats.sem(pseudo))
    assert found["recall"].interval() == pytest.approx(tuple(special.expit(ends)))


def test_nothing_called_anomalous_has_a_recall_of_nothing_and_no_precision() -> None:
    labels, groups, scores = labelled()
    found = threshold_estimates(labels, groups, scores, np.inf)
    expected = {"f1": 0, "precision": 0, "recall": 0, "accuracy": 0.6, "false_positive_rate": 0}
    assert {name: one.value for name, one in found.items()} == expected
    assert found["recall"].interval() == (0, pytest.approx(1 - 0.025 ** (1 / 8)))
    assert found["precision"].interval() is None


def test_a_single_block_says_nothing() -> None:
    labels, groups, scores = labelled()
    groups = np.where(labels == 1, 99, groups)
    (line,) = score_table(labels, groups, {"a": scores}, "a")
    assert [line[key] for key in ("auroc_low", "auroc_high", "auprc_low", "auprc_high")] == [None] * 4
    assert threshold_estimates(labels, groups, scores, 0.5)["recall"].interval() is None
    assert draw_areas([line]).axes[0].get_lines()  # and the figure is drawn without


def test_the_table_lists_all_and_marks_one() -> None:
    labels, groups, scores = labelled()
    table = score_table(labels, groups, {"good": scores, "constant": np.zeros(60)}, "good")
    assert [(line["score"], line["chosen"]) for line in table] == [("good", "yes"), ("constant", "no")]
    good, constant = table
    assert good["auroc"] == pytest.approx(sk.roc_auc_score(labels, scores))
    assert good["auroc_low"] < good["auroc"] < good["auroc_high"]
    assert good["auprc_low"] < good["auprc"] < good["auprc_high"]
    assert (constant["auroc"], constant["auprc"]) == pytest.approx((0.5, 24 / 60))


def test_training_and_validation_are_normal_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, (low, high) in {"normal": (0, 100), "lesion": (156, 256)}.items():
        (tmp_path / name).mkdir()
        for number in range(12):
            pixels = rng.integers(low, high, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    data = read(tmp_path, PictureSettings(size=32, margin=16))
    assert data.train.x.max() < 128 and data.validation.x.max() < 128
    assert data.test.x[data.labels == 0].max() < 128 <= data.test.x[data.labels == 1].min()
    assert {0, 1} == set(data.labels.tolist())


def test_the_reference_is_of_training_and_validation_samples(arrays: TrainingData) -> None:
    model = build()
    found = reference_of(model, arrays)
    other = reference_of(model, replace(arrays, validation=arrays.validation[:5]))
    np.testing.assert_array_equal(found.mean, other.mean)
    assert not torch.equal(found.variance, other.variance)
