"""Comparisons: planes against scikit-learn's own reconstruction, and when the model counts as better."""

import csv
import io
import json
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console
from sklearn.decomposition import PCA

from vaeforge.errors import DataError
from vaeforge.evaluation.bootstrap import bootstrap_means
from vaeforge.evaluation.comparison import (
    REAL,
    ComparisonRow,
    compare_auroc,
    compare_means,
    comparison_csv,
    comparison_tables,
    with_infinities,
    worse_than,
)
from vaeforge.evaluation.pca_baseline import FIT_SAMPLES, fit_pca_baseline
from vaeforge.records import record_from
from vaeforge.samples import Samples
from vaeforge_models.families.endoscopy import EndoscopySettings, EndoscopyVAE
from vaeforge_models.vae import VAE, DataSpec

LABELS = np.repeat([0, 1], 20)
VALUES = np.random.default_rng(3).random(40)
GROUPS = np.repeat(np.arange(20), 2)


def read(plain: dict[str, Any]) -> ComparisonRow:
    """A row as it is read from JSON."""
    return record_from(ComparisonRow, with_infinities(plain), "test", "comparison", "")


def model_for(shape: tuple[int, ...]) -> VAE:
    """Something that normalises to [0, 1]."""
    return cast(VAE, EndoscopyVAE(EndoscopySettings(latent_dim=2, width=1), DataSpec(shape)))


def by_name(rows: list[ComparisonRow]) -> dict[str, ComparisonRow]:
    return {row.name: row for row in rows}


def test_plane_errors_are_those_of_reconstruction() -> None:
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (30, 3, 20, 20), dtype=np.uint8)
    test = rng.integers(0, 256, (70, 3, 16, 16), dtype=np.uint8)  # more than one batch
    flat_train = train[:, :, 2:18, 2:18].reshape(30, -1) / 255
    flat_test = test.reshape(70, -1) / 255
    model = model_for((3, 16, 16))
    plane = fit_pca_baseline(model, Samples.unconditional(train), components=29)
    errors = plane.errors(model, Samples.unconditional(test))
    assert errors.shape == (70, 30)
    np.testing.assert_allclose(errors[:, 0], ((flat_test - flat_train.mean(0)) ** 2).mean(1), rtol=1e-5)
    exact = PCA(29).fit(flat_train)
    reconstructed = exact.inverse_transform(exact.transform(flat_test))
    np.testing.assert_allclose(errors[:, 29], ((flat_test - reconstructed) ** 2).mean(1), rtol=1e-4)
    np.testing.assert_allclose(plane.reconstruct(flat_test, 29), reconstructed, atol=1e-4)
    assert (np.diff(errors, axis=1) <= 0).all()


def test_a_plane_takes_no_more_samples_than_fit_in_memory() -> None:
    train = np.zeros((FIT_SAMPLES + 500, 3, 16, 16), np.uint8)
    train[FIT_SAMPLES:] = 255  # the end of the data must be looked at as well
    mean = fit_pca_baseline(model_for((3, 16, 16)), Samples.unconditional(train), components=1).mean
    np.testing.assert_allclose(mean, 500 / (FIT_SAMPLES + 500), rtol=0.01)


def test_a_plane_needs_two_samples() -> None:
    with pytest.raises(DataError, match="1 samples, must be at least 2"):
        fit_pca_baseline(
            model_for((3, 16, 16)), Samples.unconditional(np.zeros((1, 3, 16, 16), np.uint8)), components=1
        )


def test_the_model_beats_only_what_it_clearly_beats() -> None:
    rng = np.random.default_rng(0)
    perfect, noise = LABELS + rng.random(40) / 2, rng.random(40)
    found = by_name(compare_auroc({"noise": noise, "as good": 2 * perfect, "model": perfect}, LABELS, GROUPS, seed=0))
    assert found["noise"].model_beats
    assert found["noise"].difference_low > 0
    assert not found["as good"].model_beats
    assert found["as good"].difference == found["as good"].difference_low == 0
    assert not found["model"].model_beats
    assert found["model"].value == found["model"].low == found["model"].high == 1


def test_a_better_auroc_alone_is_no_win() -> None:
    rng = np.random.default_rng(2)
    model = rng.normal(size=40) + LABELS
    other = model + rng.normal(size=40) * 0.5
    found = by_name(compare_auroc({"other": other, "model": model}, LABELS, GROUPS, seed=0))["other"]
    assert found.difference > 0 > found.difference_low
    assert not found.model_beats and found.significant == "no clear difference"


def test_a_better_baseline_is_said_to_be_better() -> None:
    rows = compare_means("MSE", "lower", {"PCA": VALUES, "as good": 1 + VALUES, "model": 1 + VALUES}, GROUPS, seed=0)
    assert [row.significant for row in rows] == ["baseline is better", "no clear difference", ""]
    assert worse_than(rows) == "MSE: PCA"
    assert worse_than(rows[1:]) == ""
    assert worse_than([replace(rows[0], name=REAL)]) == ""  # real samples are no method


def test_rows_of_earlier_evaluations_are_read() -> None:
    """They say themselves whether the model beats them, and nothing of the opposite."""
    row = compare_means("MSE", "lower", {"PCA": VALUES, "model": 1 + VALUES}, GROUPS, seed=0)[0]
    assert list(row.plain())[-1] == "model_beats"
    assert read(row.plain()).significant == "baseline is better"


def test_means_are_drawn_by_whole_groups() -> None:
    """Twenty samples of one group say no more than one: the spread is that of two groups, not of 22 samples."""
    groups = np.array([0] * 20 + [1, 1])
    values = {"model": np.where(groups == 0, 1.0, 3.0)}
    drawn = bootstrap_means(groups, values, seed=0, draws=1000)["model"]
    expected = {1.0, (20 * 1 + 2 * 3) / 22, 3.0}  # group 0 twice, each once, group 1 twice
    assert set(np.round(drawn, 9)) == {round(value, 9) for value in expected}


@pytest.mark.parametrize(("better", "beats"), [("lower", True), ("higher", False)])
def test_lower_or_higher_is_better(better: str, beats: bool) -> None:
    rng = np.random.default_rng(1)
    values = {"worse": 2 + rng.random(40), "model": rng.random(40)}
    rows = by_name(compare_means("MSE", better, values, GROUPS, seed=0))
    assert rows["worse"].model_beats is beats
    assert rows["worse"].significant == ("model is better" if beats else "baseline is better")
    assert rows["worse"].difference == pytest.approx(values["model"].mean() - values["worse"].mean())
    assert rows["worse"].low <= rows["worse"].value <= rows["worse"].high


def test_a_single_group_shows_nothing() -> None:
    rows = by_name(
        compare_means("MSE", "lower", {"bad": np.full(9, 5.0), "model": np.zeros(9)}, np.zeros(9, np.int64), seed=0)
    )
    assert not rows["bad"].model_beats
    assert rows["bad"].difference_high == np.inf
    plain = rows["bad"].plain()
    assert plain["difference_low"] is None and "Infinity" not in json.dumps(plain)
    assert read(plain) == rows["bad"]


def test_tables_and_csv_hold_every_row() -> None:
    rng = np.random.default_rng(0)
    rows = compare_auroc({"noise": rng.random(40), "model": LABELS.astype(float)}, LABELS, GROUPS, seed=0)
    rows += compare_means("MSE", "lower", {"model": rng.random(40)}, GROUPS, seed=0)
    read = list(csv.DictReader(io.StringIO(comparison_csv(rows))))
    assert [(row["metric"], row["method"]) for row in read] == [
        ("AUROC", "noise"),
        ("AUROC", "model"),
        ("MSE", "model"),
    ]
    assert [row["significant"] for row in read] == [rows[0].significant, "", ""]
    assert float(read[0]["difference_low"]) == rows[0].difference_low
    screen = io.StringIO()
    for table in comparison_tables(rows):
        Console(file=screen, width=100).print(table)
    printed = screen.getvalue()
    assert f"{rows[0].value:.4g} [{rows[0].low:.3g}, {rows[0].high:.3g}]" in printed
    assert "…" not in printed
