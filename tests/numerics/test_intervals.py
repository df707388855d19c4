"""Jackknife intervals over groups against scipy's t interval, leaving out by hand, and matrices written out."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from vaeforge.evaluation.auroc import auroc_difference, auroc_over_groups
from vaeforge.evaluation.intervals import (
    CORRELATION,
    MIN_GROUPS,
    POSITIVE,
    SHARE,
    GroupEstimate,
    LeftOut,
    degrees_of_freedom,
    jackknife,
    mean_over_groups,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def test_a_mean_over_equal_groups_has_scipys_t_interval_of_the_group_means() -> None:
    values = np.random.default_rng(0).normal(size=(7, 5))
    found = mean_over_groups(values.ravel(), np.repeat(np.arange(7), 5))
    means = values.mean(1)
    for level in (0.5, 0.95, 0.99):
        assert found.interval(level) == pytest.approx(
            stats.t.interval(level, 6, loc=means.mean(), scale=stats.sem(means)), rel=1e-12
        )
    test = stats.ttest_1samp(means, found.lower(0.01), alternative="greater")
    assert found.upper(0.01) == pytest.approx(2 * found.value - float(found.lower(0.01) or math.nan))
    assert test.pvalue == pytest.approx(0.01)


def test_the_standard_error_of_a_mean_is_that_of_leaving_out_groups_one_by_one() -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 6, 40)
    values = rng.exponential(size=40)
    left_out = np.array([values[groups != g].mean() for g in range(6)])
    found = mean_over_groups(values, groups)
    assert found.value == pytest.approx(values.mean())
    assert found.se == pytest.approx(math.sqrt(5 / 6 * ((left_out - left_out.mean()) ** 2).sum()))


def test_degrees_of_freedom_are_satterthwaites_of_the_quadratic_form() -> None:
    sizes = np.array([3.0, 1.0, 7.0, 20.0, 2.0])
    total = sizes.sum()
    residual = np.eye(5) - np.outer(sizes / total, np.ones(5))
    form = np.diag((total - sizes) ** -2) @ residual @ np.diag(sizes) @ residual.T
    assert degrees_of_freedom(sizes) == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))
    assert degrees_of_freedom(np.full(9, 4.0)) == 8
    assert math.isnan(degrees_of_freedom(np.array([4.0])))


def slow_auroc_se(labels: Integers, scores: Floats, groups: Integers) -> float:
    """Each group of each label left out, by scikit-learn; what a group adds through both labels is added up."""
    added: dict[int, float] = {}
    for label in (0, 1):
        names = np.unique(groups[labels == label])
        kept = [~((groups == name) & (labels == label)) for name in names]
        areas = np.array([roc_auc_score(labels[some], scores[some]) for some in kept])
        for name, area in zip(names.tolist(), areas, strict=True):
            deviation = math.sqrt((len(names) - 1) / len(names)) * (area - areas.mean())
            added[name] = added.get(name, 0.0) + deviation
    return math.sqrt(sum(one**2 for one in added.values()))


def test_the_standard_error_of_an_auroc_is_that_of_leaving_out_groups_of_each_label() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 50)
    scores = (rng.normal(size=50) + labels).round(1)  # with ties
    apart = rng.integers(0, 5, 50) + 5 * labels
    for groups in (apart, rng.integers(0, 6, 50)):
        found = auroc_over_groups(labels, scores, groups)
        assert found.value == pytest.approx(roc_auc_score(labels, scores))
        assert found.se == pytest.approx(slow_auroc_se(labels, scores, groups))


def test_the_degrees_of_freedom_of_an_auroc_are_welchs() -> None:
    """For one sample a group the area's jackknife is DeLong's variance: placements of both labels, each with its t."""
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], [8, 5])
    scores = rng.normal(size=13) + labels
    less = scores[labels == 1][:, None] > scores[labels == 0]
    parts = [np.var(less.mean(axis), ddof=1) / n for axis, n in ((0, 8), (1, 5))]
    found = auroc_over_groups(labels, scores, np.arange(13))
    assert found.se == pytest.approx(math.sqrt(sum(parts)))
    assert found.df == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / 7 + parts[1] ** 2 / 4))


def test_the_difference_of_two_scores_is_paired() -> None:
    rng = np.random.default_rng(4)
    labels, groups = rng.integers(0, 2, 60), rng.integers(0, 12, 60)
    scores = rng.normal(size=60) + labels
    nearly = scores + 0.01 * rng.normal(size=60)
    found = auroc_difference(labels, scores, nearly, groups)
    assert found.value == pytest.approx(roc_auc_score(labels, scores) - roc_auc_score(labels, nearly))
    assert 0 < found.se < 0.2 * auroc_over_groups(labels, scores, groups).se


def test_ends_stay_in_the_range_and_are_fishers_for_a_correlation() -> None:
    near = GroupEstimate(0.97, 0.05, 4.0, 5, SHARE).interval()
    assert near is not None and 0 < near.low < 0.97 < near.high < 1
    found = GroupEstimate(0.8, 0.1, 9.0, 10, CORRELATION).interval()
    half = stats.t.ppf(0.975, 9) * 0.1 / (1 - 0.8**2)
    assert found == pytest.approx((math.tanh(math.atanh(0.8) - half), math.tanh(math.atanh(0.8) + half)))
    wide = GroupEstimate(2.0, 1.5, 3.0, 4, POSITIVE).interval()
    half = stats.t.ppf(0.975, 3) * 1.5 / 2
    assert wide == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)))


def test_groups_that_all_agree_have_the_binomial_bound() -> None:
    right = mean_over_groups(np.ones(30), np.repeat(np.arange(6), 5), SHARE)
    assert right.interval() == (pytest.approx(0.025 ** (1 / 6)), 1.0)
    assert right.lower(0.05) == pytest.approx(0.05 ** (1 / 6))
    labels = np.repeat([0, 1], [20, 8])
    perfect = auroc_over_groups(labels, labels.astype(float), np.arange(28) // 2)  # 10 and 4 groups
    assert perfect.value == 1 and perfect.interval() == (pytest.approx(0.025 ** (1 / 4)), 1.0)
    assert mean_over_groups(np.full(30, 0.3), np.repeat(np.arange(6), 5)).interval() is None


def test_without_bias_the_mean_square_deviation_is_the_unbiased_variance() -> None:
    """The jackknife takes the bias (n - 1) / n off exactly (Efron and Tibshirani 1993, ch. 10.5)."""
    values = np.random.default_rng(4).normal(size=9)
    without = np.array([np.delete(values, place).var() for place in range(9)])
    left_out = LeftOut(np.arange(9), np.ones(9), without)
    found = jackknife(float(values.var()), left_out, within=POSITIVE)
    assert found.without_bias().value == pytest.approx(values.var(ddof=1))
    assert found.without_bias().se == found.se
    single = jackknife(0.5, LeftOut(np.zeros(1, np.int64), np.ones(1), np.empty(0)))
    assert single.without_bias() is single
    high = jackknife(0.9, LeftOut(np.arange(3), np.ones(3), np.array([0.8, 0.82, 0.7])), within=CORRELATION)
    assert high.without_bias().value == 1.0


def test_too_few_groups_have_no_interval() -> None:
    values = np.random.default_rng(5).normal(size=30)
    for count in range(1, MIN_GROUPS):
        found = mean_over_groups(values, np.arange(30) % count)
        assert found.interval() is None and found.lower(0.05) is None and found.groups == count
    assert mean_over_groups(values, np.arange(30) % MIN_GROUPS).interval() is not None
