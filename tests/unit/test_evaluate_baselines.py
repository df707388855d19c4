"""Baselines: the plane against scikit-learn's own reconstruction, and when the model counts as better."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.decomposition import PCA

from vaeforge.config import Experiment
from vaeforge.data.contract import Prepared
from vaeforge.errors import DataError
from vaeforge.evaluate.baselines import Baseline, baseline_scores, baselines_csv, baselines_table, compare
from vaeforge.evaluate.linear import FIT_SAMPLES, fit_plane
from vaeforge.train.loop import Arrays

LABELS = np.repeat([0, 1], 20)
GROUPS = np.repeat(np.arange(20), 2)


def by_name(baselines: list[Baseline]) -> dict[str, Baseline]:
    return {baseline.name: baseline for baseline in baselines}


def test_plane_errors_are_those_of_reconstruction() -> None:
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (30, 3, 20, 20), dtype=np.uint8)
    test = rng.integers(0, 256, (70, 3, 16, 16), dtype=np.uint8)  # more than one batch
    flat_train = train[:, :, 2:18, 2:18].reshape(30, -1) / 255
    flat_test = test.reshape(70, -1) / 255
    errors = fit_plane(train, (3, 16, 16), components=29).errors(test)
    assert errors.shape == (70, 30)
    np.testing.assert_allclose(errors[:, 0], ((flat_test - flat_train.mean(0)) ** 2).mean(1), rtol=1e-5)
    exact = PCA(29).fit(flat_train)
    expected = ((flat_test - exact.inverse_transform(exact.transform(flat_test))) ** 2).mean(1)
    np.testing.assert_allclose(errors[:, 29], expected, rtol=1e-4)
    assert (np.diff(errors, axis=1) <= 0).all()


def test_a_plane_takes_no_more_samples_than_fit_in_memory() -> None:
    train = np.zeros((FIT_SAMPLES + 500, 1, 2, 2), np.uint8)
    train[FIT_SAMPLES:] = 255  # the end of the data must be looked at as well
    mean = fit_plane(train, (1, 2, 2), components=1).mean
    np.testing.assert_allclose(mean, 500 / (FIT_SAMPLES + 500), rtol=0.01)


def test_a_plane_needs_two_samples() -> None:
    with pytest.raises(DataError, match="1 samples, must be at least 2"):
        fit_plane(np.zeros((1, 3, 16, 16), np.uint8), (3, 16, 16), components=1)


def test_baseline_scores_find_what_they_look_for(
    tmp_path: Path, make_arrays: Callable[..., Arrays], make_experiment: Callable[..., Experiment]
) -> None:
    arrays = make_arrays()
    dark = (arrays.validation // 8).astype(np.uint8)
    test = np.concatenate([arrays.validation, dark])
    labels = np.repeat([0, 1], 11)
    prepared = Prepared(tmp_path, {}, arrays.train, arrays.validation, test, labels, np.arange(22))
    scored = baseline_scores(prepared, make_experiment())
    assert list(scored) == ["darkness", "distance to mean", "PCA 1", "PCA 4", "PCA 16", "untrained VAE"]
    assert all(values.shape == (22,) and np.isfinite(values).all() for values in scored.values())
    assert scored["darkness"][labels == 1].min() > scored["darkness"][labels == 0].max()
    np.testing.assert_allclose(scored["darkness"], 1 - test.reshape(22, -1).mean(1) / 255)
    assert (baseline_scores(prepared, make_experiment())["untrained VAE"] == scored["untrained VAE"]).all()


def test_the_model_beats_only_what_it_clearly_beats() -> None:
    rng = np.random.default_rng(0)
    perfect, noise = LABELS + rng.random(40) / 2, rng.random(40)
    found = by_name(compare({"noise": noise, "as good": 2 * perfect, "model": perfect}, LABELS, GROUPS, seed=0))
    assert found["noise"].model_beats
    assert found["noise"].difference_low > 0
    assert not found["as good"].model_beats
    assert found["as good"].difference == found["as good"].difference_low == 0
    assert not found["model"].model_beats
    assert found["model"].auroc == found["model"].low == found["model"].high == 1


def test_a_better_auroc_alone_is_no_win() -> None:
    rng = np.random.default_rng(2)
    model = rng.normal(size=40) + LABELS
    other = model + rng.normal(size=40) * 0.5
    found = by_name(compare({"other": other, "model": model}, LABELS, GROUPS, seed=0))["other"]
    assert found.difference > 0 > found.difference_low
    assert not found.model_beats


def test_table_and_csv_hold_every_baseline() -> None:
    rng = np.random.default_rng(0)
    baselines = compare({"noise": rng.random(40), "model": LABELS.astype(float)}, LABELS, GROUPS, seed=0)
    rows = list(csv.DictReader(io.StringIO(baselines_csv(baselines))))
    assert [row["name"] for row in rows] == ["noise", "model"]
    assert float(rows[0]["difference_low"]) == baselines[0].difference_low
    screen = io.StringIO()
    Console(file=screen, width=80).print(baselines_table(baselines))
    printed = screen.getvalue()
    assert "noise" in printed
    assert f"{baselines[0].auroc:.3f} [{baselines[0].low:.2f}, {baselines[0].high:.2f}]" in printed
    assert "…" not in printed
