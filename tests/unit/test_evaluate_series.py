"""The series task against scipy, scikit-learn and slow computation without the groups that are left out."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torchmetrics.functional.image import peak_signal_noise_ratio

from samples import random_prepared, small_experiment
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.series.evaluation import evaluate
from vaeforge.evaluation.tasks.series.metrics import (
    correlation_matrix,
    distances,
    error_metrics,
    folds_of,
    independent_similarity,
    moments,
    over_folds,
    pattern_of,
    pattern_over_folds,
    pattern_similarity,
    pattern_voxels,
    pearson,
    thinned,
    varying,
    voxel_fit,
)
from vaeforge.samples import Samples
from vaeforge.trained import TrainedModel
from vaeforge.training.diffuse import Latents, fit_diffusion
from vaeforge.training.loop import untrained
from vaeforge_models.diffusion import DiffusionSettings
from vaeforge_models.families.fmri import FAMILY

N, V = 30, 12
GROUPS = np.arange(N) // 5
Floats = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture
def pair() -> tuple[Floats, Floats]:
    """A truth whose voxels have something in common, and a noisy half of it."""
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(N, 2)) @ rng.normal(size=(2, V)) + 0.5 * rng.normal(size=(N, V))
    return truth, 0.5 * truth + 0.3 * rng.normal(size=(N, V))


def test_errors(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    metrics = error_metrics(truth, found)
    rmse, spread = root_mean_squared_error(truth.ravel(), found.ravel()), truth.max() - truth.min()
    assert metrics["rmse"] == pytest.approx(rmse)
    assert metrics["mse"] == pytest.approx(rmse**2)
    assert metrics["mae"] == pytest.approx(mean_absolute_error(truth, found))
    assert metrics["nrmse"] == pytest.approx(rmse / spread)
    psnr = peak_signal_noise_ratio(torch.from_numpy(found), torch.from_numpy(truth), data_range=float(spread))
    assert metrics["psnr"] == pytest.approx(float(psnr))
    # half the amplitude leaves a quarter of the power as error: 10 log10 4
    assert error_metrics(truth, truth / 2)["snr"] == pytest.approx(6.0206, abs=1e-4)
    assert all(math.isfinite(value) for value in error_metrics(truth, truth).values())


def test_distributions(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    assert moments(truth)["kurtosis"] == pytest.approx(stats.kurtosis(truth.ravel()))
    assert moments(truth)["skewness"] == pytest.approx(stats.skew(truth.ravel()))
    assert distances(truth, found)["ks"] == pytest.approx(stats.ks_2samp(truth.ravel(), found.ravel()).statistic)
    assert distances(truth, truth) == {"ks": 0.0, "js": 0.0}
    apart = distances(truth, truth + 100)
    assert apart["ks"] == 1.0
    assert apart["js"] == pytest.approx(math.log(2))


def test_no_more_than_a_million_values_are_compared() -> None:
    many = np.arange(1_500_000, dtype=np.float64).reshape(1500, 1000)
    kept = thinned(many)
    assert (len(kept), kept[0], kept[-1]) == (1_000_000, 0, 1_499_999)
    assert (np.diff(kept) > 0).all()


def test_voxels_against_scipy_and_scikit_learn(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    fit = voxel_fit(truth, found, folds_of(GROUPS))
    expected = [stats.pearsonr(x, y).statistic for x, y in zip(truth.T, found.T, strict=True)]
    np.testing.assert_allclose(fit.pearson, expected)
    np.testing.assert_allclose(fit.r2, r2_score(truth, found, multioutput="raw_values"))
    for group in range(6):
        rest = group != GROUPS
        without = [stats.pearsonr(x, y).statistic for x, y in zip(truth[rest].T, found[rest].T, strict=True)]
        assert fit.mean_pearson[1 + group] == pytest.approx(np.mean(without))
        assert fit.mean_r2[1 + group] == pytest.approx(r2_score(truth[rest], found[rest]))


def test_a_constant_reconstruction_follows_nothing(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    found[:, 0] = 1 / 3
    fit = voxel_fit(truth, found, folds_of(GROUPS))
    assert fit.pearson[0] == 0
    assert fit.r2[0] == pytest.approx(r2_score(truth[:, 0], found[:, 0]))
    assert pearson(truth[:, 0], found[:, 0]) == pytest.approx(0, abs=1e-9)
    truth[:, 1] = 0.1
    assert varying(truth).tolist() == [True, False] + [True] * (V - 2)


def test_a_voxel_that_is_constant_in_a_fold_is_left_out_of_it(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    truth[5:, 0] = 2.0  # only the first group varies
    fit = voxel_fit(truth, found, folds_of(GROUPS))
    rest = GROUPS != 0
    assert fit.mean_r2[1] == pytest.approx(r2_score(truth[rest, 1:], found[rest, 1:]))


def upper(values: Floats) -> Floats:
    triangle: Floats = np.asarray(np.corrcoef(values.T))[np.triu_indices(values.shape[1], 1)]
    return triangle


def test_patterns_against_numpy(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    folds = folds_of(GROUPS)
    similarity = pattern_similarity(pattern_of(truth, folds), pattern_of(found, folds))
    assert similarity[0] == pytest.approx(stats.pearsonr(upper(truth), upper(found)).statistic)
    for group in range(6):
        rest = group != GROUPS
        expected = stats.pearsonr(upper(truth[rest]), upper(found[rest])).statistic
        assert similarity[1 + group] == pytest.approx(expected)
    np.testing.assert_allclose(correlation_matrix(truth), np.corrcoef(truth.T), atol=1e-12)


def test_patterns_of_different_samples_leave_out_one_side_at_a_time(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair[0], pair[1][:9]
    first, second = independent_similarity(
        pattern_of(truth, folds_of(GROUPS)), pattern_of(found, folds_of(np.arange(9)))
    )
    assert (len(first), len(second)) == (1 + 6, 1 + 9)
    assert first[0] == pytest.approx(second[0])
    assert first[2] == pytest.approx(stats.pearsonr(upper(truth[GROUPS != 1]), upper(found)).statistic)
    assert second[2] == pytest.approx(stats.pearsonr(upper(truth), upper(np.delete(found, 1, 0))).statistic)


def test_the_similarity_of_patterns_is_nearly_unbiased_and_has_no_interval() -> None:
    """Two noisy halves of one pattern: what noise takes away is given back, on average over samples."""
    rng = np.random.default_rng(1)
    loadings, kept = rng.normal(size=(2, V)), np.linspace(0.4, 1.0, V)
    scale = np.sqrt((loadings**2).sum(0) + 1)
    matrix = loadings.T @ loadings / np.outer(scale, scale)
    pairs = np.triu_indices(V, 1)
    expected = np.corrcoef(matrix[pairs], (matrix * np.outer(kept, kept))[pairs])[0, 1]
    found = []
    for _ in range(60):
        truth = (rng.normal(size=(160, 2)) @ loadings + rng.normal(size=(160, V))) / scale
        noisy = kept * truth + np.sqrt(1 - kept**2) * rng.normal(size=(160, V))
        folds = folds_of(np.arange(160) // 8)
        values = pattern_similarity(pattern_of(truth, folds), pattern_of(noisy, folds))
        found.append((values[0], pattern_over_folds((values, folds))))
    plain, corrected = np.mean([value for value, _ in found]), np.mean([one.value for _, one in found])
    assert abs(corrected - expected) < 0.4 * abs(plain - expected)
    assert all(one.interval() is None and one.minus(one).interval() is None for _, one in found)


def test_a_constant_voxel_correlates_with_nothing(pair: tuple[Floats, Floats]) -> None:
    truth, found = pair
    found[:, 0] = 0.1
    assert (correlation_matrix(found)[0] == 0).all()
    flat = pattern_of(np.full((N, V), 0.1), folds_of(GROUPS))
    assert (pattern_similarity(pattern_of(truth, folds_of(GROUPS)), flat) == 0).all()


def test_patterns_are_of_at_most_500_voxels() -> None:
    places = pattern_voxels(2000)
    assert (len(places), places[0], places[-1]) == (500, 0, 1999)
    assert pattern_voxels(3).tolist() == [0, 1, 2]


def test_the_jackknife_of_a_mean_is_the_t_interval_of_group_means() -> None:
    """With groups of equal size leaving one out moves the mean as the textbook's formula says, exactly."""
    means = np.random.default_rng(0).normal(size=7)
    left_out = [np.delete(means, group).mean() for group in range(7)]
    found = over_folds((np.array([means.mean(), *left_out]), folds_of(np.arange(7))))
    expected = stats.t.interval(0.95, 6, loc=means.mean(), scale=stats.sem(means))
    assert found.interval() == pytest.approx(expected)


def test_the_variances_of_independent_samples_add_up() -> None:
    one = np.array([0.0, -1.0, 1.0, 0.0])  # se^2 = 2/3 * 2 = 4/3
    other = np.array([0.0, 1.0, -1.0, 0.0, 0.0])  # se^2 = 3/4 * 2 = 3/2
    found = over_folds((one, folds_of(np.arange(3))), (other, folds_of(-1 - np.arange(4))))
    assert found.se == pytest.approx(math.sqrt(4 / 3 + 3 / 2))
    assert found.df == pytest.approx((4 / 3 + 3 / 2) ** 2 / ((4 / 3) ** 2 / 2 + (3 / 2) ** 2 / 3))


def test_nothing_is_known_of_the_spread_of_one_group() -> None:
    folds = folds_of(np.zeros(N, np.int64))
    assert folds.weights.shape == (1, 1)
    assert over_folds((np.array([0.5]), folds)).interval() is None


def test_many_groups_are_bundled() -> None:
    folds = folds_of(np.arange(1000) // 5)
    assert folds.weights.shape == (65, 64)
    assert (np.diff(folds.group_of) >= 0).all()
    sizes = np.bincount(folds.group_of)
    assert sizes.min() >= 15 and sizes.max() <= 20
    assert folds.names.tolist() == [min(np.flatnonzero(folds.group_of == one)) // 5 for one in range(64)]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Twelve groups of two time points; voxel 3 does not vary among the test samples."""
    made = random_prepared(FAMILY, tmp_path, train=60, validation=20)
    x = np.array(made.test.x)
    x[:, 3] = 0.25
    return replace(made, test=Samples.unconditional(x))


@pytest.fixture
def trained(prepared: Prepared, tmp_path: Path) -> TrainedModel:
    experiment = small_experiment(FAMILY, tmp_path, model__hidden=[16], model__latent_dim=5)
    model = untrained(experiment, prepared.spec).eval()
    settings = DiffusionSettings(width=0.1, steps=3, timesteps=50, sampling_steps=5, validation_interval=3)
    latents = Latents(torch.randn(40, 5, generator=torch.Generator().manual_seed(0)))
    return TrainedModel(model, prepared, experiment, fit_diffusion(latents, latents, settings, seed=0).model)


def test_the_task_leaves_constant_voxels_out(trained: TrainedModel, prepared: Prepared) -> None:
    result = evaluate(trained)
    metrics = result.metrics
    kept = np.delete(np.arange(24), 3)
    raw, condition = prepared.test.tensors(slice(None))
    with torch.no_grad():
        own = trained.model.reconstruct(raw, condition)[0].double().numpy()[:, kept]
    truth = prepared.test.x[:, kept].astype(np.float64)  # no constants: the units of the model are the data's
    voxels = [stats.pearsonr(x, y).statistic for x, y in zip(truth.T, own.T, strict=True)]
    assert metrics["test/constant_voxels"] == 1
    assert metrics["test/blocks"] == 12
    assert metrics["test/pearson_voxel"] == pytest.approx(np.mean(voxels), rel=1e-6)
    assert metrics["test/pearson_overall"] == pytest.approx(stats.pearsonr(truth.ravel(), own.ravel()).statistic)
    maps = [stats.pearsonr(x, y).statistic for x, y in zip(truth, own, strict=True)]
    assert metrics["test/pearson_sample"] == pytest.approx(np.mean(maps))
    assert metrics["test/r2"] == pytest.approx(r2_score(truth, own))
    similarity = stats.pearsonr(upper(truth), upper(own)).statistic
    blocks = prepared.test_groups
    rest = [blocks != block for block in np.unique(blocks)]
    without = [stats.pearsonr(upper(truth[some]), upper(own[some])).statistic for some in rest]
    assert metrics["test/pattern"] == pytest.approx(12 * similarity - 11 * np.mean(without))
    assert "test/pattern_low" not in metrics
    for name in ("pearson_voxel", "r2", "pearson_sample"):
        assert metrics[f"test/{name}_low"] <= metrics[f"test/{name}"] <= metrics[f"test/{name}_high"]
    table = result.tables["voxels"]
    assert [line["voxel"] for line in table] == kept.tolist()
    assert [line["pearson"] for line in table] == pytest.approx(voxels, abs=1e-9)


@pytest.mark.slow
def test_the_model_is_compared_with_planes_of_its_size(trained: TrainedModel, prepared: Prepared) -> None:
    rows = [row for row in evaluate(trained).rows if row.metric == "R2"]
    names = [row.name for row in rows]
    assert names[0] == "training mean" and names[-2:] == ["untrained VAE", "model"]
    assert "PCA 5" in names
    fitted = PCA(5, svd_solver="randomized", random_state=0).fit(prepared.train.x)
    kept = np.delete(np.arange(24), 3)
    x = prepared.test.x.astype(np.float64)
    projected = fitted.inverse_transform(fitted.transform(x))
    value = next(row.value for row in rows if row.name == "PCA 5")
    assert value == pytest.approx(r2_score(x[:, kept], projected[:, kept]), rel=1e-4)
    assert not rows[-2].model_beats  # these are untrained weights


def test_generated_sets_stand_beside_real_ones(trained: TrainedModel) -> None:
    result = evaluate(trained)
    lines = result.tables["generated_values"]
    assert [line["set"] for line in lines] == ["real", "real, validation", "prior samples", "latent diffusion"]
    assert len({tuple(line) for line in lines}) == 1
    arrays = result.arrays["generated"]
    assert {name: array.shape for name, array in arrays.items()} == {"prior": (12, 24), "diffusion": (12, 24)}
    prior = np.delete(arrays["prior"], 3, axis=1).astype(np.float64)
    assert result.metrics["test/sd_prior"] == pytest.approx(prior.std(), rel=1e-5)
    assert {"test/pattern_prior", "test/ks_diffusion", "test/pattern_real"} <= set(result.metrics)
    assert {line["set"] for line in result.tables["memorisation_decoded"]} == {"prior samples", "latent diffusion"}


def test_without_diffusion_there_are_prior_samples_alone(trained: TrainedModel) -> None:
    result = evaluate(replace(trained, diffusion=None))
    assert list(result.arrays["generated"]) == ["prior"]
    assert not any(name.endswith("_diffusion") for name in result.metrics)
    expected = {"time_courses", "pearson_voxels", "correlations", "samples", "values"}
    assert set(result.figures) == expected


def test_a_single_subject_block_has_no_interval(trained: TrainedModel, prepared: Prepared) -> None:
    alone = replace(prepared, test_groups=np.zeros(24, np.int64))
    result = evaluate(replace(trained, prepared=alone))
    assert "test/r2" in result.metrics and "test/r2_low" not in result.metrics
    assert not any(row.model_beats for row in result.rows)


def test_the_evaluation_comes_again(trained: TrainedModel) -> None:
    first: EvaluationResult
    first, second = (evaluate(trained) for _ in range(2))
    assert first.metrics == second.metrics
    assert first.rows == second.rows
