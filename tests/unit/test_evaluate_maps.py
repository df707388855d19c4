"""The maps task: its measures against slow or known ones, and both readings from end to end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from torch import Tensor

from manifest_samples import prepared_manifest
from metric_names import undocumented
from samples import random_arrays, random_prepared, small_experiment
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.tasks.maps import imputation
from vaeforge.evaluation.tasks.maps.coverage import Spread, imputation_coverage
from vaeforge.evaluation.tasks.maps.evaluation import evaluate
from vaeforge.evaluation.tasks.maps.figures import CHANNELS
from vaeforge.evaluation.tasks.maps.imputation import at_prior_mean, fill_in, noise_of, posterior_spread, prior_spread
from vaeforge.evaluation.tasks.maps.spatial import (
    compare_pearson,
    interpolate,
    morans_i,
    neighbours_of,
    outside,
    pearson,
    pearson_over_groups,
    relative_error,
    relative_error_over_groups,
)
from vaeforge.evaluation.tasks.maps.tables import in_raw_units, spread_in_raw_units
from vaeforge.evaluation.tasks.maps.whole_maps import hidden_points
from vaeforge.samples import Samples
from vaeforge.trained import TrainedModel
from vaeforge.training.loop import fit, untrained
from vaeforge_models.families import families
from vaeforge_models.vae import VAE, DataSpec, Posterior

LIPID = families()["lipid"]


class Plain(VAE):
    """x_hat = a z + b c with z one number and c the first coordinate; q(z|x) = N(x_1, 0.25)."""

    latent_dim, event_shape = 1, (2,)

    def normalise(self, raw: Tensor) -> Tensor:
        return raw / 2 + 1

    def denormalise(self, x: Tensor) -> Tensor:
        return (x - 1) * 2

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        return Posterior(x[:, :1], torch.full((len(x), 1), float(np.log(0.25))))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        return z * torch.tensor([1.0, -2.0]) + condition[:, :1]

    def mean(self, output: Tensor) -> Tensor:
        return output

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        return (x - output).square().sum(1)


def random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def test_morans_i_against_a_loop() -> None:
    coordinates, values = random(25, 3), random(25, 2, seed=1)
    near = neighbours_of(coordinates, 4)
    for channel in range(2):
        x = values[:, channel] - values[:, channel].mean()
        weights = np.zeros((25, 25))
        for i in range(25):
            distances = np.linalg.norm(coordinates - coordinates[i], axis=1)
            weights[i, [j for j in np.argsort(distances) if j != i][:4]] = 1 / 4
        expected = 25 / weights.sum() * (weights * np.outer(x, x)).sum() / (x**2).sum()
        assert morans_i(values, near)[channel] == pytest.approx(expected)


def test_morans_i_of_smooth_alternating_and_constant_maps() -> None:
    line = np.column_stack([np.arange(100), np.zeros(100), np.zeros(100)])
    maps = np.column_stack([np.sin(np.arange(100) / 15), (-1.0) ** np.arange(100), np.ones(100)])
    smooth, alternating, constant = morans_i(maps, neighbours_of(line, 2))
    assert smooth > 0.95
    assert alternating < -0.9
    assert constant == 0


def test_pearson_is_scipys() -> None:
    truth, found = random(40, 3) + 1e3, random(40, 3, seed=1)
    found[:, 2] = 7.0
    expected = [pearsonr(truth[:, channel], found[:, channel]).statistic for channel in range(2)]
    np.testing.assert_allclose(pearson(truth, found), [*expected, 0.0], rtol=1e-9)


def test_intervals_are_those_of_leaving_groups_out() -> None:
    truth, found = random(12, 2), random(12, 2, seed=1)
    groups = np.array([5, 5, 5, 9, 9, 2, 2, 2, 2, 7, 7, 7])
    found[:, 1] += truth[:, 1]
    for fast, slow in (
        (pearson_over_groups, lambda x, y: np.mean([pearsonr(x[:, c], y[:, c]).statistic for c in range(2)])),
        (relative_error_over_groups, lambda x, y: np.mean(np.abs(x - y).sum(0) / np.abs(x).sum(0))),
    ):
        left_out = [slow(truth[groups != name], found[groups != name]) for name in (2, 5, 7, 9)]
        estimate = fast(truth, found, groups)
        assert estimate.value == pytest.approx(slow(truth, found))
        assert estimate.se == pytest.approx(np.sqrt(3 * np.var(left_out)))


def test_rows_of_correlations_show_what_is_better() -> None:
    truth = random(200, 3)
    found = {
        "noise": random(200, 3, seed=1),
        "as good": 3 * truth + random(200, 3, seed=2),
        "model": 3 * truth + random(200, 3, seed=3),
    }
    rows = {row.name: row for row in compare_pearson("Pearson", truth, found, np.arange(200) // 10)}
    assert rows["noise"].model_beats
    assert not rows["as good"].model_beats
    assert not rows["model"].model_beats
    assert (rows["model"].low or 1) < rows["model"].value < (rows["model"].high or 0) < 1
    (single, _) = compare_pearson("Pearson", truth, {k: found[k] for k in ("noise", "model")}, np.zeros(200, int))
    assert (single.low, single.high) == (None, None)
    assert not single.model_beats


def test_relative_error_and_bounds() -> None:
    truth, found = np.array([[1.0, 0.0], [-3.0, 0.0]]), np.array([[2.0, 1.0], [-3.0, 5.0]])
    np.testing.assert_allclose(relative_error(truth, found), [1 / 4, 0])  # (1 + 0) / (1 + 3); nothing to relate to
    np.testing.assert_allclose(outside(found, np.array([-3.0, 0.0]), np.array([1.0, 4.0])), [0.5, 0.5])
    truth, found = random(60, 2) + 5, random(60, 2, seed=1) + 5
    interval = relative_error_over_groups(truth, found, np.arange(60) // 5).interval()
    assert interval is not None and 0 < interval.low < relative_error(truth, found).mean() < interval.high
    assert relative_error_over_groups(truth, found, np.zeros(60, int)).interval() is None


def test_interpolation_takes_the_nearest_by_distance() -> None:
    known = np.array([[0, 0, 0], [3, 0, 0], [100, 0, 0], [101, 0, 0], [102, 0, 0], [103, 0, 0]], float)
    values = np.array([[1.0], [4.0], [0.0], [0.0], [0.0], [0.0]])
    weights = 1 / np.array([1.0, 2.0, 99.0, 100.0, 101.0])
    assert interpolate(known, values, np.array([[1.0, 0, 0]]))[0, 0] == pytest.approx(
        (weights * [1, 4, 0, 0, 0]).sum() / weights.sum()
    )
    assert interpolate(known[:2], values[:2], known[:1])[0, 0] == 1


def test_intervals_of_gaussian_values_hold_what_they_say() -> None:
    mean, noise = random(4000, 2), np.array([0.5, 2.0])
    sd = np.full((4000, 2), 1.5)
    truth = mean + np.sqrt(sd**2 + noise**2) * random(4000, 2, seed=1)
    found = imputation_coverage(Spread(mean, sd), truth, noise)
    np.testing.assert_allclose(found.curve[1], found.curve[0], atol=0.02)
    assert found.held.mean() == found.curve[1][3]
    assert imputation_coverage(Spread(mean, sd), truth, noise * 0).held.mean() < 0.93


@pytest.mark.slow
def test_spreads_of_a_model_that_is_known() -> None:
    model = Plain()
    places = np.array([[3.0, 0, 0], [-1.0, 0, 0]], np.float32)
    samples = Samples(np.array([[2.0, 4.0], [0.0, 0.0]], np.float32), places)
    # a z + c with z = N(0, 1): mean c, deviations 1 and 2
    prior = prior_spread(model, places, draws=20_000)
    np.testing.assert_allclose(prior.mean, [[3, 3], [-1, -1]], atol=0.05)
    np.testing.assert_allclose(prior.sd, [[1, 2], [1, 2]], atol=0.05)
    np.testing.assert_allclose(at_prior_mean(model, places), [[3, 3], [-1, -1]])
    # z = N(x_1, 1/4) with x = raw / 2 + 1, so 2 and 1
    posterior = posterior_spread(model, samples, draws=20_000)
    np.testing.assert_allclose(posterior.mean, [[5, -1], [0, -3]], atol=0.05)
    np.testing.assert_allclose(posterior.sd, [[0.5, 1], [0.5, 1]], atol=0.03)
    # x = (2, 3) and (1, 1): squared errors (9, 16) and (1, 16), plus variances (1/4, 1)
    np.testing.assert_allclose(noise_of(model, samples, each=True) ** 2, [5.25, 17], rtol=0.1)
    assert noise_of(model, samples, each=False) ** 2 == pytest.approx((5.25 + 17) / 2, rel=0.1)


def test_spreads_are_repeated_and_do_not_grow_with_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    model, places = Plain(), random(40, 3).astype(np.float32)
    first, again = prior_spread(model, places), prior_spread(model, places)
    np.testing.assert_array_equal(first.mean, again.mean)
    monkeypatch.setattr(imputation, "BATCH_VALUES", 1)  # one point at a time
    apart = prior_spread(model, places)
    assert apart.mean.shape == first.mean.shape == (40, 2)
    np.testing.assert_allclose(apart.mean, places[:, :1].repeat(2, 1), atol=1)


def test_raw_units() -> None:
    np.testing.assert_allclose(in_raw_units(Plain(), np.array([[1.0, 2.0]])), [[0, 2]])
    np.testing.assert_allclose(spread_in_raw_units(Plain(), np.array([[1.0, 2.0]])), [[2, 4]])


class Doubling(Plain):
    """Reconstructs every value of a map as half the map's first value plus half its last."""

    event_shape = (4,)

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        return Posterior((x[:, :1] + x[:, 3:]) / 2, torch.zeros(len(x), 1))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        return z.expand(-1, 4)


def test_filling_in_keeps_what_is_visible() -> None:
    x, hidden = np.array([[2.0, 9.0, 9.0, 100.0]]), np.array([False, True, False, True])
    # the last value starts from the visible mean 5.5 and is halved towards the first: 2 + 3.5 / 2^n
    np.testing.assert_allclose(fill_in(Doubling(), x, hidden, rounds=1), [[2, 3.75, 9, 3.75]])
    np.testing.assert_allclose(fill_in(Doubling(), x, hidden, rounds=3), [[2, 2.4375, 9, 2.4375]])
    assert x[0, 3] == 100


def test_hidden_points_are_whole_blocks() -> None:
    coordinates = random(3000, 3).astype(np.float32)
    hidden = hidden_points(coordinates, seed=0)
    assert 0.15 < hidden.mean() < 0.25
    assert (hidden == hidden_points(coordinates, seed=0)).all()
    near = neighbours_of(coordinates, 1)[:, 0]
    assert (hidden == hidden[near]).mean() > 0.85  # 0.68 if points were hidden one by one


def trained_model(tmp_path: Path, spec: DataSpec | None) -> TrainedModel:
    """A model after a few steps, on random data of the family's example or on maps over points."""
    experiment = small_experiment(LIPID, tmp_path, model__hidden=8, model__latent_dim=2)
    prepared = random_prepared(LIPID, tmp_path) if spec is None else maps_of(spec, tmp_path)
    model = untrained(experiment, prepared.spec).eval()
    if spec is None:
        (*_, last) = fit(experiment, random_arrays(LIPID), folder=tmp_path / "checkpoints")
        assert last.checkpoint is not None
        model.load_state_dict(torch.load(last.checkpoint.file, weights_only=True)["model"])
    return TrainedModel(model, prepared, experiment)


def maps_of(spec: DataSpec, folder: Path) -> Prepared:
    waves = np.sin(spec.constants["coordinates"].numpy() @ random(3, 15) + random(15, seed=1)).T.astype(np.float32)
    parts = [Samples.unconditional(part) for part in np.split(waves, 3)]
    constants = {name: value.numpy() for name, value in spec.constants.items()}
    labels = np.zeros(5, dtype=np.int64)
    info = {"units": {"test": ["a", "b", "c", "d", "e"]}}
    return Prepared(folder, prepared_manifest(info=info), *parts, labels, np.arange(5), constants)


@pytest.mark.slow
def test_points_from_end_to_end(tmp_path: Path) -> None:
    trained = trained_model(tmp_path, None)
    found, again = evaluate(trained), evaluate(trained)
    assert found.metrics == again.metrics
    assert np.isfinite(list(found.metrics.values())).all()
    assert {"test/pearson_low", "test/morans_i_truth", "test/imputation_mse_high", "test/kid_prior_pca"} <= set(
        found.metrics
    )
    names = ["training mean", "k-nearest neighbours", "untrained VAE", "model at the prior mean", "model"]
    assert [row.name for row in found.rows if row.metric == "imputation MSE"] == names
    assert [row.name for row in found.rows if row.metric == "imputation Pearson"] == names[1:]
    assert [line["channel"] for line in found.tables["channels"]] == [f"channel {n}" for n in range(1, 7)]
    assert {"maps_xy", "maps_yz", "imputation_xy", "imputation_yz", "coverage"} == set(found.figures)
    assert len(found.figures["maps_xy"].axes) == 2 * 4 * CHANNELS  # a colour bar each
    assert found.arrays["maps"]["truth"].shape == (23 + 11 + 24, 6)
    assert found.arrays["maps"]["held_out"].sum() == 24
    np.testing.assert_allclose(found.arrays["maps"]["truth"][:24], trained.prepared.test.x, atol=1e-5)
    test = trained.prepared
    mean = ((test.test.x - test.train.x.mean(0)) ** 2).mean(1).astype(np.float64)
    row = next(row for row in found.rows if row.name == "training mean")
    assert row.value == pytest.approx(mean.mean(), rel=1e-4)
    assert (row.low or 0) < row.value < (row.high or 0)


@pytest.mark.slow
def test_maps_from_end_to_end(tmp_path: Path) -> None:
    coordinates = torch.from_numpy(np.random.default_rng(0).random((80, 3), dtype=np.float32))
    trained = trained_model(tmp_path, DataSpec((80,), 0, {"coordinates": coordinates}))
    found = evaluate(trained)
    assert np.isfinite(list(found.metrics.values())).all()
    assert undocumented(found.metrics) == []
    assert found.metrics["test/hidden_points"] > 0
    assert [line["map"] for line in found.tables["maps"]] == list("abcde")
    rows = {row.name: row for row in found.rows if row.metric == "imputation MSE"}
    assert set(rows) == {"visible mean", "training mean", "k-nearest neighbours", "untrained VAE", "model"}
    assert rows["k-nearest neighbours"].value < rows["visible mean"].value  # the waves are smooth
    assert found.metrics["test/morans_i_truth"] > 0.5
    hidden = found.arrays["imputation"]["hidden"]
    assert found.metrics["test/hidden_points"] == hidden.sum()
    np.testing.assert_allclose(found.arrays["imputation"]["truth"], trained.prepared.test.x[:, hidden].T)
