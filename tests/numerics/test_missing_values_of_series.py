"""Missing values of series: the model, training and the task look at observed values alone; pandas and slow twins."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from samples import random_prepared, small_experiment
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.inference import reconstructions
from vaeforge.evaluation.tasks.series.evaluation import evaluate
from vaeforge.evaluation.tasks.series.metrics import (
    correlation_matrix,
    distances,
    error_metrics,
    folds_of,
    moments,
    pattern_of,
    pattern_similarity,
    pearson,
    voxel_fit,
)
from vaeforge.samples import Samples
from vaeforge.trained import TrainedModel
from vaeforge.training.diffuse import Latents, fit_diffusion
from vaeforge.training.loop import TrainingData, fit, untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.validation import validate
from vaeforge_models.diffusion import DiffusionSettings
from vaeforge_models.families.fmri import FAMILY, FmriSettings, FmriVAE, add_noise
from vaeforge_models.vae import DataSpec

N, V, SHARE = 40, 8, 0.15
GROUPS = np.arange(N) // 8
Floats = NDArray[np.float64]


def holed(values: NDArray[Any], seed: int) -> NDArray[Any]:
    """Values [N, V], some missing, none in the first column."""
    holes = np.random.default_rng(seed).random(values.shape) < SHARE
    holes[:, 0] = False
    return np.where(holes, np.asarray(np.nan, values.dtype), values)


@pytest.fixture
def pair() -> tuple[Floats, Floats]:
    """A truth with missing values, and what is found, missing the same."""
    rng = np.random.default_rng(3)
    truth = holed(rng.normal(size=(N, 2)) @ rng.normal(size=(2, V)) + 0.5 * rng.normal(size=(N, V)), 1)
    return truth, 0.5 * truth + 0.3 * rng.normal(size=(N, V))


def observed(truth: Floats, found: Floats, voxel: int) -> tuple[Floats, Floats]:
    own = ~np.isnan(truth[:, voxel])
    return truth[own, voxel], found[own, voxel]


def corr(values: Floats) -> Floats:
    return pandas.DataFrame(values).corr().to_numpy()


def upper(values: Floats) -> Floats:
    return corr(values)[np.triu_indices(values.shape[1], 1)]


def test_voxels_are_followed_where_they_are_observed(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    folds = folds_of(GROUPS)
    for number, rest in enumerate([np.ones(N, dtype=bool), *(group != GROUPS for group in range(5))]):
        r, r2 = [], []
        for voxel in range(V):
            x, y = observed(truth[rest], found[rest], voxel)
            r.append(stats.pearsonr(x, y).statistic)
            r2.append(1 - ((x - y) ** 2).sum() / ((x - x.mean()) ** 2).sum())
        fit = voxel_fit(truth, found, folds)
        assert fit.mean_pearson[number] == pytest.approx(np.mean(r))
        assert fit.mean_r2[number] == pytest.approx(np.mean(r2))
        if not number:
            np.testing.assert_allclose(fit.pearson, r)
            np.testing.assert_allclose(fit.r2, r2)
    maps = pandas.DataFrame(truth).corrwith(pandas.DataFrame(found), axis=1)
    np.testing.assert_allclose(pearson(truth, found), maps)


def test_patterns_are_of_pairs_observed_together(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    np.testing.assert_allclose(correlation_matrix(truth), corr(truth), atol=1e-12)
    folds = folds_of(GROUPS)
    similarity = pattern_similarity(pattern_of(truth, folds), pattern_of(found, folds))
    for number, rest in enumerate([np.ones(N, dtype=bool), *(group != GROUPS for group in range(5))]):
        expected = stats.pearsonr(upper(truth[rest]), upper(found[rest])).statistic
        assert similarity[number] == pytest.approx(expected)


def test_a_voxel_without_values_in_a_fold_is_left_out_of_it(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    truth[8:, 2] = found[8:, 2] = np.nan
    fit = voxel_fit(truth, found, folds_of(GROUPS))
    others = [stats.pearsonr(*observed(truth[8:], found[8:], v)).statistic for v in range(V) if v != 2]
    assert fit.mean_pearson[1] == pytest.approx(np.mean(others))
    assert all(
        np.isfinite(pattern_of(truth, folds_of(GROUPS)).correlations(np.eye(5)[group])).all() for group in (0, 1)
    )


def test_errors_and_distributions_are_of_observed_values(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    x, y = (values[~np.isnan(truth)] for values in pair)
    rmse = math.sqrt(((x - y) ** 2).sum() / len(x))
    errors = error_metrics(truth, found)
    assert errors["rmse"] == pytest.approx(rmse)
    assert errors["mae"] == pytest.approx(np.abs(x - y).sum() / len(x))
    assert errors["nrmse"] == pytest.approx(rmse / (x.max() - x.min()))
    assert errors["snr"] == pytest.approx(10 * math.log10((x**2).sum() / ((x - y) ** 2).sum()))
    assert moments(truth)["kurtosis"] == pytest.approx(stats.kurtosis(x))
    assert distances(truth, found)["ks"] == pytest.approx(stats.ks_2samp(x, y).statistic)


@pytest.mark.parametrize("other", [0.0, -7.5, 1e6])
def test_what_stands_where_the_truth_is_missing_changes_nothing(pair: tuple[Floats, Floats], other: float) -> None:
    truth, found = pair
    given = np.where(np.isnan(truth), other, found)
    assert error_metrics(truth, given) == error_metrics(truth, found)
    folds = folds_of(GROUPS)
    np.testing.assert_array_equal(voxel_fit(truth, given, folds).r2, voxel_fit(truth, found, folds).r2)
    np.testing.assert_array_equal(pearson(truth, given), pearson(truth, found))


LOADINGS = np.random.default_rng(9).normal(0, 2, (3, 24))


def samples(count: int, seed: int) -> Samples:
    """Three courses that 24 voxels share, and noise."""
    rng = np.random.default_rng(seed)
    x = 3 + rng.normal(size=(count, 3)) @ LOADINGS + 0.5 * rng.normal(size=(count, 24))
    return Samples.unconditional(holed(x.astype(np.float32), seed))


def data(train: Samples | None = None) -> TrainingData:
    train = samples(60, 0) if train is None else train
    mean, std = (reduce(train.x, axis=0).astype(np.float32) for reduce in (np.nanmean, np.nanstd))
    constants = {"mean": mean, "std": std, "fill": mean}
    spec = DataSpec((24,), constants={name: torch.from_numpy(array) for name, array in constants.items()})
    return TrainingData(train, samples(24, 1), spec)


@pytest.mark.parametrize("likelihood", ["squared_error", "calibrated", "mean_squared_error"])
def test_training_learns_from_what_is_there(tmp_path: Path, likelihood: str) -> None:
    """Three courses explain nearly all of a voxel's variance, 1 in model units: 20 epochs find a good part of it."""
    sizes = {"model__hidden": [16], "model__latent_dim": 4, "training__epochs": 20}
    given = sizes | {"optimizer__lr": 0.01, "beta__schedule": "constant", "beta__value": 0.001}
    experiment = small_experiment(FAMILY, tmp_path, model__likelihood=likelihood, training__augment=True, **given)
    history = [report.metrics for report in fit(experiment, data(samples(600, 0)))]
    assert all(math.isfinite(value) for metrics in history for value in metrics.values())
    assert history[-1]["val/mse"] < 0.6 < history[0]["val/mse"]


def test_the_model_against_one_that_is_given_the_mean() -> None:
    """By hand: the encoder gets 0, the model's mean; errors are of observed values; those missing have no gradient."""
    arrays = data()
    settings = FmriSettings(latent_dim=3, hidden=(8,), likelihood="mean_squared_error")
    model = FmriVAE(settings, arrays.spec).eval()
    raw, condition = arrays.validation.tensors(slice(None))
    missing = raw.isnan()
    mean, std = arrays.spec.constants["mean"], arrays.spec.constants["std"]
    x = torch.where(missing, 0.0, (raw - mean) / std)
    given = model.to_mu(model.encoder(x))
    found = model.decoder(given)
    error = torch.where(missing, 0.0, (x - found).square()).sum(1) / (~missing).sum(1)
    reconstruction, posterior, score = model.reconstruct(raw, condition)
    for one, other in ((posterior.mu, given), (reconstruction, found), (score, error)):
        torch.testing.assert_close(one, other)
    model.train()
    x, output, _, _ = model(raw, condition, torch.zeros(len(raw), 3))
    output.retain_grad()
    distortion = model.distortion(x, output)
    expected = torch.where(missing, 0.0, (x - output).square()).sum(1) / (~missing).sum(1)
    torch.testing.assert_close(distortion, expected)
    distortion.sum().backward()
    assert output.grad is not None
    torch.testing.assert_close(output.grad == 0, missing)
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    noisy = add_noise(raw, torch.rand(raw.shape, generator=torch.Generator().manual_seed(0)), arrays.spec)
    torch.testing.assert_close(noisy.isnan(), missing)
    assert model.encoder[1].running_mean.isfinite().all()  # type: ignore[union-attr, operator]


def test_complete_data_give_what_they_gave(tmp_path: Path) -> None:
    """A model that may miss values, on data that miss none, is the model that may not, bit for bit."""
    spec = data().spec
    complete = Samples.unconditional(np.random.default_rng(5).normal(3, 2, (24, 24)).astype(np.float32))
    plain = replace(spec, constants={name: value for name, value in spec.constants.items() if name != "fill"})
    experiment = small_experiment(FAMILY, tmp_path, model__hidden=[16], model__latent_dim=4)
    models = [untrained(experiment, one).eval() for one in (spec, plain)]
    assert [model.masked for model in models] == [True, False]
    first, second = (validate(model, complete, ProcessGroup(), 2) for model in models)
    assert first == second


@pytest.fixture
def trained(tmp_path: Path) -> TrainedModel:
    arrays = data()
    made = random_prepared(FAMILY, tmp_path, train=60, validation=24)
    constants = {name: value.numpy() for name, value in arrays.spec.constants.items()}
    prepared: Prepared = replace(
        made, train=arrays.train, validation=arrays.validation, test=samples(24, 2), constants=constants
    )
    experiment = small_experiment(FAMILY, tmp_path, model__hidden=[16], model__latent_dim=5)
    settings = DiffusionSettings(width=0.1, steps=3, timesteps=50, sampling_steps=5, validation_interval=3)
    latents = Latents(torch.randn(40, 5, generator=torch.Generator().manual_seed(0)))
    model = untrained(experiment, prepared.spec).eval()
    return TrainedModel(model, prepared, experiment, fit_diffusion(latents, latents, settings, seed=0).model)


def test_an_evaluation_is_finite_and_of_observed_values(trained: TrainedModel) -> None:
    result = evaluate(trained)
    assert all(math.isfinite(value) for value in result.metrics.values())
    truth, found = reconstructions(trained.model, trained.prepared.test)
    assert np.isnan(truth).any() and not np.isnan(found).any()
    voxels = pandas.DataFrame(truth).corrwith(pandas.DataFrame(found))
    assert result.metrics["test/pearson_voxel"] == pytest.approx(voxels.mean())
    assert result.metrics["test/mae"] == pytest.approx(np.nanmean(np.abs(truth - found)))
    own = found[~np.isnan(truth)]
    assert result.metrics["test/sd_reconstruction"] == pytest.approx(own.std())
    for array in result.arrays["generated"].values():
        assert np.isfinite(array).all()
