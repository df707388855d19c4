"""Jackknife intervals over groups against scipy's t interval, leaving out by hand, and matrices written out."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats
from sklearn.metrics import roc_auc_score

from vaeforge.evaluation.auroc import auroc_difference, auroc_over_groups
from vaeforge.evaluation.intervals import (
    ANY,
    CORRELATION,
    FEW_GROUPS_OF_SHARES,
    FEW_UNEQUAL_GROUPS,
    MIN_GROUPS,
    MIN_GROUPS_OF_SHARES,
    POSITIVE,
    SHARE,
    GroupEstimate,
    LeftOut,
    Range,
    degrees_of_freedom,
    freedom_of_parts,
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


def tukeys_interval(value: float, left_out: Floats, scale: np.ufunc) -> tuple[float, float]:
    """Student's interval of the pseudo-values G h(s) - (G - 1) h(s_g) on the scale h, by scipy (Tukey 1958)."""
    count = len(left_out)
    pseudo = count * scale(value) - (count - 1) * scale(left_out)
    low, high = stats.t.interval(0.95, count - 1, loc=pseudo.mean(), scale=stats.sem(pseudo))
    return float(low), float(high)


def test_an_interval_is_that_of_the_pseudo_values_on_the_scale_without_ends() -> None:
    rng = np.random.default_rng(6)
    shares = (rng.random((9, 6)) < 0.8).astype(np.float64)
    left_out = np.array([np.delete(shares, place, 0).mean() for place in range(9)])
    found = mean_over_groups(shares.ravel(), np.repeat(np.arange(9), 6), SHARE).interval()
    low, high = tukeys_interval(float(shares.mean()), left_out, special.logit)
    assert found == pytest.approx((special.expit(low), special.expit(high)))
    values = rng.normal(size=12)
    without = np.array([np.delete(values, place).var() for place in range(12)])
    alike = LeftOut(np.arange(12), np.ones(12), -without)
    low, high = tukeys_interval(float(values.var()), without, np.log)
    below = jackknife(-float(values.var()), alike, within=Range(high=0.0))
    if freedom_of_parts(np.log(without) - np.log(without).mean()) >= 11:  # as here: no fewer degrees than G - 1
        assert below.interval() == pytest.approx((-math.exp(high), -math.exp(low)))


def test_groups_of_different_sizes_have_the_weights_of_busing_and_others() -> None:
    """theta_J = G theta - sum (1 - n_g / N) theta_g is what the jackknife estimates, here on the log scale."""
    rng = np.random.default_rng(7)
    groups = np.repeat(np.arange(6), [3, 9, 4, 12, 5, 2])
    x, y = rng.exponential(size=35) + 1, rng.exponential(size=35) + 2
    left_out = np.array([x[groups != g].sum() / y[groups != g].sum() for g in range(6)])
    shares = np.bincount(groups) / 35
    ratio = jackknife(x.sum() / y.sum(), LeftOut(np.arange(6), 35 * shares, left_out), within=POSITIVE)
    expected = 6 * math.log(x.sum() / y.sum()) - ((1 - shares) * np.log(left_out)).sum()
    assert ratio.scaled.centre == pytest.approx(expected)
    logs = np.log(left_out)
    assert ratio.scaled.se == pytest.approx(math.sqrt(5 / 6 * ((logs - logs.mean()) ** 2).sum()))
    mean = mean_over_groups(x, groups)  # which has no bias, whatever the sizes
    assert mean.scaled.centre == pytest.approx(x.mean(), rel=1e-12)


def test_a_value_is_in_its_interval_where_its_bias_is_larger_than_the_error() -> None:
    """Pseudo-values 4 log 2 - 3 log s_g of 1.47, 1.43 and 1.45 hundredths apart lie far above log 2."""
    left_out = LeftOut(np.arange(4), np.ones(4), np.array([1.47, 1.43, 1.45, 1.44]))
    found = jackknife(2.0, left_out, within=POSITIVE)
    assert found.scaled.centre == pytest.approx(4 * math.log(2) - 0.75 * np.log(left_out.values).sum())
    assert found.interval() == (2.0, pytest.approx(found.upper(0.025)))
    assert found.scaled.centre - 4 * found.scaled.se > math.log(2)


def test_an_interval_about_the_value_itself_has_no_bias_taken_off() -> None:
    left_out = LeftOut(np.arange(4), np.ones(4), np.array([1.47, 1.43, 1.45, 1.44]))
    found = replace(jackknife(2.0, left_out, within=POSITIVE), corrected=False)
    assert found.scaled.centre == pytest.approx(math.log(2))
    less = found.minus(jackknife(1.0, left_out, within=POSITIVE))
    assert not less.corrected and less.scaled.centre == 1.0


def test_degrees_of_freedom_are_few_where_few_groups_make_up_the_variance() -> None:
    assert freedom_of_parts(np.array([1.0, 1.0, -1.0, -1.0])) == 3 * 4**2 / 4 - 2
    assert freedom_of_parts(np.array([2.0, 1.0, 1.0])) == 3 * 6**2 / 18 - 2
    assert freedom_of_parts(np.array([1.0, 0.0, 0.0])) == 1  # 3 - 2
    rng = np.random.default_rng(8)
    parts = rng.normal(size=(20_000, 40))  # independent ones have one degree of freedom each
    assert np.median([freedom_of_parts(one) for one in parts]) == pytest.approx(40, rel=0.05)
    values = np.r_[np.ones(9) + 0.01 * np.arange(9), 5.0]
    found = mean_over_groups(values, np.arange(10), POSITIVE)
    assert found.scaled.df < 2
    assert mean_over_groups(values, np.arange(10)).df == 9  # of unbounded statistics and differences as they are


def test_a_difference_of_two_sets_of_samples_leaves_out_groups_of_either_from_the_difference() -> None:
    rng = np.random.default_rng(9)
    one, other = (rng.random(size) < share for size, share in ((14, 0.9), (9, 0.4)))
    found = mean_over_groups(one, np.arange(14), SHARE).minus(mean_over_groups(other, 20 + np.arange(9), SHARE))
    assert found.value == pytest.approx(one.mean() - other.mean())
    first, second = (np.array([np.delete(some, g).mean() for g in range(len(some))]) for some in (one, other))
    logits = [special.logit((1 + d) / 2) for d in (first - other.mean(), one.mean() - second, found.value)]
    se = math.sqrt(sum((len(h) - 1) / len(h) * ((h - h.mean()) ** 2).sum() for h in logits[:2]))
    centre = logits[2] - sum((len(h) - 1) * (h.mean() - logits[2]) for h in logits[:2])
    assert found.scaled[:2] == pytest.approx((centre, se))


def test_shares_of_three_or_four_groups_have_no_interval() -> None:
    """They would leave out next to nothing (`benchmarks/README.md`); means and correlations have theirs."""
    values = np.tile([1.0, 1.0, 0.0, 1.0, 1.0], 12)
    for count in range(MIN_GROUPS, MIN_GROUPS_OF_SHARES + 1):
        share = mean_over_groups(values, np.arange(60) % (count + 1) % count, SHARE)
        printed = count >= MIN_GROUPS_OF_SHARES
        assert (share.interval() is not None) == printed == (share.minus(share).needs <= count)
        assert mean_over_groups(values, np.arange(60) % count, ANY).needs == MIN_GROUPS


@pytest.mark.parametrize("seed", [0, 1])
def test_intervals_are_said_to_be_conservative_by_kind_and_groups_alone(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=400)
    shares = (values < seed).astype(np.float64)
    for groups, few in ((FEW_GROUPS_OF_SHARES, True), (FEW_GROUPS_OF_SHARES + 1, False)):
        share = mean_over_groups(shares, np.arange(400) % groups, SHARE)
        assert share.conservative == share.minus(share).conservative == few
    for groups, few in ((FEW_UNEQUAL_GROUPS, True), (FEW_UNEQUAL_GROUPS + 1, False)):
        unequal = np.r_[np.arange(groups), np.arange(400 - groups) % 3]
        for within in (ANY, POSITIVE, CORRELATION):
            mean = mean_over_groups(np.abs(values) / 10, unequal, within)
            assert mean.conservative == mean.minus(mean).conservative == few
        assert not mean_over_groups(values[: 8 * groups], np.arange(8 * groups) % groups).conservative


def test_groups_that_all_agree_have_the_binomial_bound() -> None:
    right = mean_over_groups(np.ones(30), np.repeat(np.arange(6), 5), SHARE)
    assert right.interval() == (pytest.approx(0.025 ** (1 / 6)), 1.0)
    assert right.lower(0.05) == pytest.approx(0.05 ** (1 / 6))
    labels = np.repeat([0, 1], [20, 8])
    perfect = auroc_over_groups(labels, labels.astype(float), np.r_[np.arange(20) // 2, 10 + np.arange(8) % 5])
    assert perfect.value == 1 and perfect.interval() == (pytest.approx(0.025 ** (1 / 5)), 1.0)
    assert mean_over_groups(np.full(30, 0.3), np.repeat(np.arange(6), 5)).interval() is None


def test_without_bias_the_mean_square_deviation_is_the_unbiased_variance() -> None:
    """The jackknife takes the bias (n - 1) / n off exactly (Efron and Tibshirani 1993, ch. 10.5)."""
    values = np.random.default_rng(4).normal(size=9)
    without = np.array([np.delete(values, place).var() for place in range(9)])
    left_out = LeftOut(np.arange(9), np.ones(9), without)
    found = jackknife(float(values.var()), left_out, within=POSITIVE)
    assert found.without_bias().value == pytest.approx(values.var(ddof=1))
    assert found.without_bias().se == found.se
    assert found.without_bias().scaled.centre == pytest.approx(math.log(values.var(ddof=1)))  # and not taken off again
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
