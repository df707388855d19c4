"""Missing values: likelihoods, training, metrics and baselines look at observed values alone; slow twins in numpy."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from manifest_samples import prepared_manifest
from samples import random_samples, small_experiment
from vaeforge.data.missing import mean_of, observed_per_sample
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.common_metrics import nelbo_metrics, squared_errors
from vaeforge.evaluation.pca_baseline import PcaBaseline, fit_pca_baseline
from vaeforge.evaluation.sample_likelihoods import negative_log_likelihoods, training_mean_likelihoods
from vaeforge.evaluation.tasks.maps.coverage import Spread, imputation_coverage
from vaeforge.evaluation.tasks.maps.evaluation import evaluate
from vaeforge.evaluation.tasks.maps.spatial import interpolate, morans_i, neighbours_of, pearson, relative_error
from vaeforge.samples import Samples
from vaeforge.trained import TrainedModel
from vaeforge.training.loop import TrainingData, fit, untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.validation import validate
from vaeforge_models.families import families
from vaeforge_models.likelihoods import observed_difference, observed_values
from vaeforge_models.vae import VAE, DataSpec

LIPID, SHARE = families()["lipid"], 0.2
FLOAT = st.floats(-1e6, 1e6, allow_nan=False, width=32)


def holed(count: int, seed: int) -> Samples:
    """Samples of six channels, a fifth of the values missing, no sample without any."""
    samples = random_samples(LIPID, LIPID.example, count, seed)
    holes = np.random.default_rng(seed + 100).random(samples.x.shape) < SHARE
    holes[:, 0] &= ~holes.all(axis=1)
    return Samples(np.where(holes, np.float32(np.nan), samples.x), samples.condition)


def data(train: int = 48, others: int = 24) -> TrainingData:
    """Training and validation samples, and what a model must know of them."""
    samples, rest = holed(train, 0), holed(others, 1)
    mean, std = (reduce(samples.x, axis=0).astype(np.float32) for reduce in (np.nanmean, np.nanstd))
    low, high = np.nanmin(samples.x, axis=0), np.nanmax(samples.x, axis=0)
    found = {"mean": mean, "std": std, "minimum": low, "maximum": high, "fill": mean}
    constants = {name: torch.from_numpy(array) for name, array in found.items()}
    return TrainingData(samples, rest, replace(LIPID.example, constants={**LIPID.example.constants, **constants}))


def model_of(spec: DataSpec, tmp_path: Path, **overrides: Any) -> VAE:
    return untrained(small_experiment(LIPID, tmp_path, **overrides), spec).eval()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[VAE, TrainingData]:
    arrays = data()
    return model_of(arrays.spec, tmp_path_factory.mktemp("missing")), arrays


def reconstructed(model: VAE, samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Raw values and reconstructions at z = mu, raw units; the encoder gets the training mean for missing values."""
    raw, condition = samples.tensors(slice(None))
    filled = torch.where(raw.isnan(), model.standardise.mean, raw)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        x = model.normalise(filled)
        found = model.mean(model.decode(model.encode(x, condition).mu, condition))
    return model.normalise(raw).double().numpy(), found.double().numpy()


def loop(x: NDArray[np.float64], found: NDArray[np.float64]) -> list[tuple[float, int]]:
    """Squared error and observed values of each sample, a value at a time."""
    lines = []
    for row, own in zip(x, found, strict=True):
        total, count = 0.0, 0
        for value, answer in zip(row, own, strict=True):
            if not math.isnan(value):
                total, count = total + (value - answer) ** 2, count + 1
        lines.append((total, count))
    return lines


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.tuples(FLOAT, FLOAT, FLOAT, st.booleans()), min_size=1, max_size=12))
def test_what_stands_where_a_value_is_missing_changes_nothing(cells: list[tuple[float, float, float, bool]]) -> None:
    """For each value: what it is, its reconstruction, any other number that could have been there, whether it is."""
    true, answer, other = (torch.tensor([[cell[n] for cell in cells]]) for n in range(3))
    there = torch.tensor([[cell[3] for cell in cells]])
    x = torch.where(there, true, torch.nan)
    expected = [
        (torch.where(there, some, 0) - torch.where(there, answer, 0))
        for some in (true, torch.where(there, true, other))
    ]
    for one in expected:
        torch.testing.assert_close(observed_difference(x, answer), one)
    assert observed_values(x).tolist() == [int(there.sum())]


def test_scores_and_errors_are_of_observed_values(made: tuple[VAE, TrainingData]) -> None:
    model, arrays = made
    lines = loop(*reconstructed(model, arrays.validation))
    means = [total / count for total, count in lines]
    np.testing.assert_allclose(squared_errors(model, arrays.validation), means, rtol=1e-4)
    with torch.no_grad():
        score = model.reconstruct(*arrays.validation.tensors(slice(None)))[2]
    np.testing.assert_allclose(score.numpy(), means, rtol=1e-4)
    assert observed_per_sample(arrays.validation.x) == pytest.approx(np.mean([count for _, count in lines]))


def test_the_likelihood_of_validation_samples(made: tuple[VAE, TrainingData]) -> None:
    """From the per-sample sums of the same draws of z: MSE over all observed values, D their mean number a sample."""
    model, arrays = made
    metrics = validate(model, arrays.validation, ProcessGroup(), 2)
    variance = metrics["val/mse"]
    each = negative_log_likelihoods(model, arrays.validation, 2, variance)
    counts = (~np.isnan(arrays.validation.x)).sum(1)
    squares = (each - metrics["val/rate"]).sum() - (0.5 * counts * math.log(2 * math.pi * variance)).sum()
    # the rate of each sample is in `each`, its sum that of the mean rate
    assert squares * 2 * variance / counts.sum() == pytest.approx(variance, rel=1e-4)
    d = counts.mean()
    expected = 0.5 * d * (math.log(2 * math.pi * variance) + 1) + metrics["val/rate"]
    assert metrics["val/nelbo"] == pytest.approx(expected, rel=1e-6) == pytest.approx(each.mean(), rel=1e-4)
    assert nelbo_metrics(model, arrays.validation, 2, variance)["test/nelbo"] == pytest.approx(expected, rel=1e-6)


def test_complete_data_give_what_they_gave(tmp_path: Path) -> None:
    """A model that may miss values, on data that miss none, is the model that may not, bit for bit."""
    complete = random_samples(LIPID, LIPID.example, 24, 3)
    constants = dict(LIPID.example.constants)
    plain = model_of(LIPID.example, tmp_path)
    masked = model_of(replace(LIPID.example, constants={**constants, "fill": torch.zeros(6)}), tmp_path)
    assert masked.masked and not plain.masked
    metrics = [validate(model, complete, ProcessGroup(), 2) for model in (plain, masked)]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize("likelihood", ["squared_error", "calibrated"])
@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.slow
def test_training_learns_from_what_is_there(tmp_path: Path, likelihood: str, augmented: bool) -> None:
    arrays = data()
    given = {"model__likelihood": likelihood, "training__augment": augmented, "training__epochs": 8}
    experiment = small_experiment(LIPID, tmp_path, **given)
    history = [report.metrics for report in fit(experiment, arrays)]
    assert all(math.isfinite(value) for metrics in history for value in metrics.values())
    assert history[-1]["val/mse"] < history[0]["val/mse"]


def test_a_missing_value_has_no_gradient(made: tuple[VAE, TrainingData]) -> None:
    model, arrays = made
    raw, condition = arrays.train.tensors(slice(None))
    raw[:, 2] = torch.nan
    x, output, _, _ = model(raw, condition, torch.zeros(len(raw), model.latent_dim))
    output.retain_grad()
    model.distortion(x, output).sum().backward()
    assert output.grad is not None
    torch.testing.assert_close(output.grad == 0, x.isnan())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    model.zero_grad()


def test_the_baselines_are_judged_by_observed_values(made: tuple[VAE, TrainingData]) -> None:
    model, arrays = made
    plane = fit_pca_baseline(model, arrays.train, 2)
    x = model.normalise(torch.from_numpy(np.array(arrays.validation.x))).double().numpy()
    errors = plane.errors(model, arrays.validation)
    for components in range(3):
        found = plane.reconstruct(x, components)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(errors[:, components], [t / n for t, n in loop(x, found)], rtol=1e-6)
    # the first component of samples whose missing values are the mean, by hand
    by_hand = PcaBaseline(np.array([1.0, 2.0]), np.array([[0.6, 0.8]]))
    np.testing.assert_allclose(by_hand.reconstruct(np.array([[2.0, np.nan]]), 1), [[1 + 0.36, 2 + 0.48]])


def test_the_training_mean_is_judged_likewise(made: tuple[VAE, TrainingData]) -> None:
    model, arrays = made
    prepared = prepared_of(arrays, holed(24, 2))
    x = [
        model.normalise(torch.from_numpy(np.array(part.x))).double().numpy()
        for part in (arrays.train, arrays.validation, prepared.test)
    ]
    mean = np.nanmean(x[0], axis=0)
    lines = loop(x[1], np.tile(mean, (len(x[1]), 1)))
    variance = sum(total for total, _ in lines) / sum(count for _, count in lines)
    expected = [
        0.5 * count * math.log(2 * math.pi * variance) + total / (2 * variance)
        for total, count in loop(x[2], np.tile(mean, (len(x[2]), 1)))
    ]
    np.testing.assert_allclose(training_mean_likelihoods(model, prepared), expected, rtol=1e-4)


def prepared_of(arrays: TrainingData, test: Samples) -> Prepared:
    constants = {name: tensor.numpy() for name, tensor in arrays.spec.constants.items()}
    count = len(test)
    labels, groups = np.zeros(count, dtype=np.int64), np.arange(count, dtype=np.int64) // 2
    manifest = prepared_manifest(family="lipid", info={"channels": [f"lipid {n}" for n in range(6)]})
    return Prepared(Path(), manifest, arrays.train, arrays.validation, test, labels, groups, constants)


def maps() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    rng = np.random.default_rng(4)
    truth, places = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)).astype(np.float32)
    found = truth + rng.normal(size=truth.shape)
    truth[rng.random(truth.shape) < SHARE] = np.nan
    return truth, found, places


def test_spatial_statistics_are_those_of_the_observed_points() -> None:
    truth, found, places = maps()
    near = neighbours_of(places, 4)
    for channel in range(3):
        own = ~np.isnan(truth[:, channel])
        x, y = truth[own, channel], found[own, channel]
        assert pearson(truth, found)[channel] == pytest.approx(np.corrcoef(x, y)[0, 1])
        assert relative_error(truth, found)[channel] == pytest.approx(np.abs(y - x).sum() / np.abs(x).sum())
        weights = np.zeros((40, 40))
        for point, others in enumerate(near):
            for other in others:
                weights[point, other] = own[point] and own[other]
        centred = np.where(own, truth[:, channel] - x.mean(), 0)
        moran = own.sum() / weights.sum() * (centred @ weights @ centred) / (centred @ centred)
        assert morans_i(truth, near)[channel] == pytest.approx(moran)
    alone = interpolate(places[:30], truth[:30], places[30:])
    own = ~np.isnan(truth[:30, 1])
    np.testing.assert_allclose(alone[:, 1], interpolate(places[:30][own], truth[:30][own, 1:2], places[30:])[:, 0])


def test_intervals_are_counted_over_observed_values() -> None:
    truth = np.array([[0.0, np.nan], [3.0, 0.0]])
    coverage = imputation_coverage(Spread(np.zeros((2, 2)), np.ones((2, 2))), truth, np.zeros(2))
    np.testing.assert_array_equal(coverage.held, [[1.0, np.nan], [0.0, 1.0]])
    assert coverage.curve[1][3] == (1 + 0.5) / 2  # a share of each point's own values
    assert mean_of(coverage.held).tolist() == [0.5, 1.0]


@pytest.mark.slow
def test_an_evaluation_is_finite_and_of_observed_values(tmp_path: Path) -> None:
    arrays = data()
    experiment = small_experiment(LIPID, tmp_path)
    model = model_of(arrays.spec, tmp_path)
    prepared = prepared_of(arrays, holed(24, 2))
    result = evaluate(TrainedModel(model, prepared, experiment))
    assert all(math.isfinite(value) for value in result.metrics.values())
    x, found = reconstructed(model, prepared.test)
    mean, std = (arrays.spec.constants[name].double().numpy() for name in ("mean", "std"))
    raw = [values * std + mean for values in (x, found)]
    assert result.metrics["test/pearson"] == pytest.approx(pearson(*raw).mean(), abs=1e-6)
