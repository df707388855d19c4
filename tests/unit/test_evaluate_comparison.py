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
from vaeforge.evaluation.comparison import (
    REAL,
    ComparisonRow,
    compare_auroc,
    compare_means,
    comparison_csv,
    comparison_tables,
    worse_than,
)
from vaeforge.evaluation.intervals import MIN_GROUPS, POSITIVE
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
    return record_from(ComparisonRow, plain, "test", "comparison", "")


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
    found = by_name(compare_auroc({"noise": noise, "as good": 2 * perfect, "model": perfect}, LABELS, GROUPS))
    assert found["noise"].model_beats
    assert (found["noise"].difference_low or 0) > 0
    assert not found["as good"].model_beats
    assert found["as good"].difference == 0
    # ten groups a label, none of which tells the two apart: a group that does may have a share of 1 - 0.025^(1/10)
    assert found["as good"].difference_high == pytest.approx(1 - 0.025 ** (1 / 10))
    assert not found["model"].model_beats
    assert (found["model"].value, found["model"].high) == (1, 1)
    assert found["model"].low == pytest.approx(0.025 ** (1 / 10))


def test_a_better_auroc_alone_is_no_win() -> None:
    rng = np.random.default_rng(2)
    model = rng.normal(size=40) + LABELS
    other = model + rng.normal(size=40) * 0.5
    found = by_name(compare_auroc({"other": other, "model": model}, LABELS, GROUPS))["other"]
    assert found.difference_low is not None and found.difference > 0 > found.difference_low
    assert not found.model_beats and found.significant == "no clear difference"


def test_a_better_baseline_is_said_to_be_better() -> None:
    noise = np.random.default_rng(4).normal(0, 0.1, 40)
    values = {"PCA": VALUES, "as good": 1 + VALUES + noise, "model": 1 + VALUES - noise[::-1]}
    rows = compare_means("MSE", "lower", values, GROUPS)
    assert [row.significant for row in rows] == ["baseline is better", "no clear difference", ""]
    assert worse_than(rows) == "MSE: PCA"
    assert worse_than(rows[1:]) == ""
    assert worse_than([replace(rows[0], name=REAL)]) == ""  # real samples are no method


def test_rows_of_earlier_evaluations_are_read() -> None:
    """They say themselves whether the model beats them, and nothing of the opposite."""
    row = compare_means("MSE", "lower", {"PCA": VALUES, "model": 1 + VALUES[::-1]}, GROUPS)[0]
    assert list(row.plain())[-1] == "model_beats"
    assert read(row.plain()).significant == "baseline is better"


def test_copies_of_a_groups_samples_promise_nothing_more() -> None:
    rng = np.random.default_rng(6)
    values = {"other": rng.random(40), "model": rng.random(40)}
    once, tenfold = (
        compare_means("SSIM", "higher", {k: v.repeat(n) for k, v in values.items()}, GROUPS.repeat(n)) for n in (1, 10)
    )
    for first, second in zip(once, tenfold, strict=True):
        assert (second.low, second.difference_high) == pytest.approx((first.low, first.difference_high))


@pytest.mark.parametrize(("better", "beats"), [("lower", True), ("higher", False)])
def test_lower_or_higher_is_better(better: str, beats: bool) -> None:
    rng = np.random.default_rng(1)
    values = {"worse": 2 + rng.random(40), "model": rng.random(40)}
    rows = by_name(compare_means("MSE", better, values, GROUPS))
    assert rows["worse"].model_beats is beats
    assert rows["worse"].significant == ("model is better" if beats else "baseline is better")
    assert rows["worse"].difference == pytest.approx(values["model"].mean() - values["worse"].mean())
    assert rows["worse"].low is not None and rows["worse"].high is not None
    assert rows["worse"].low <= rows["worse"].value <= rows["worse"].high


@pytest.mark.parametrize("count", [1, MIN_GROUPS - 1])
def test_too_few_groups_show_nothing_and_the_user_is_told(count: int) -> None:
    rng = np.random.default_rng(5)
    values = {"bad": 5 + rng.random(12), "model": rng.random(12)}
    rows = compare_means("MSE", "lower", values, np.arange(12) % count, POSITIVE)
    bad = by_name(rows)["bad"]
    assert not bad.model_beats and bad.significant == "no interval"
    assert (bad.low, bad.high, bad.difference_low, bad.difference_high) == (None, None, None, None)
    assert "Infinity" not in json.dumps(bad.plain()) and read(bad.plain()) == bad
    (line, _) = csv.DictReader(io.StringIO(comparison_csv(rows)))
    assert (line["low"], line["difference_high"], line["significant"]) == ("", "", "no interval")
    screen = io.StringIO()
    Console(file=screen, width=100).print(comparison_tables(rows)[0])
    shown = " ".join(screen.getvalue().split())
    assert f"than it needs (at least {MIN_GROUPS};" in shown and "inf" not in shown


def test_intervals_that_hold_more_than_95_of_100_are_said_to_do_so() -> None:
    """AUROCs of up to 20 groups, means of up to 10 of different sizes: in the table, the CSV and the manifest."""
    rng = np.random.default_rng(7)
    scored = {"noise": rng.random(80), "model": rng.random(80) + np.arange(80) % 2}
    for groups, few in ((20, True), (21, False)):
        names = np.arange(80) // 2 % groups + groups * (np.arange(80) % 2)
        rows = compare_auroc(scored, np.arange(80) % 2, names)
        assert [row.conservative for row in rows] == [few, few] == [read(row.plain()).conservative for row in rows]
        assert [line["conservative"] for line in csv.DictReader(io.StringIO(comparison_csv(rows)))] == [str(few)] * 2
        assert ("hold 95 % or more" in str(comparison_tables(rows)[0].caption)) == few
    equal = compare_means("MSE", "lower", scored, np.arange(80) % 8)
    other = compare_means("MSE", "lower", scored, np.minimum(np.arange(80) % 9, 7))
    assert [row.conservative for row in (*equal, *other)] == [False, False, True, True]
    older = {key: value for key, value in other[0].plain().items() if key != "conservative"}
    assert not read(older).conservative  # as before it was said


def test_where_all_groups_differ_by_the_same_there_is_no_interval() -> None:
    row = compare_means("MSE", "lower", {"PCA": VALUES, "model": 1 + VALUES}, GROUPS, POSITIVE)[0]
    assert (row.difference, row.significant) == (pytest.approx(1), "no interval")


def test_tables_and_csv_hold_every_row() -> None:
    rng = np.random.default_rng(0)
    rows = compare_auroc({"noise": rng.random(40), "model": LABELS.astype(float)}, LABELS, GROUPS)
    rows += compare_means("MSE", "lower", {"model": rng.random(40)}, GROUPS)
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
