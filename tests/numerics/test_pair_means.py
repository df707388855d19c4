"""Standard errors and intervals of means over pairs, from leaving out two groups by loops, and of whole populations."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from vaeforge.evaluation import kid as evaluate_kid
from vaeforge.evaluation.extractor import Features
from vaeforge.evaluation.kid import grouped, kid_over_groups
from vaeforge.evaluation.pair_means import MIN_GROUPS_OF_PAIRS, PairEstimate

Floats = NDArray[np.float64]
Groups = list[Floats]  # a sample: the values [n, D] of each of its groups
Distance = Callable[..., float]


def kernel(x: Floats, y: Floats) -> float:
    return float((float(x @ y) / len(x) + 1) ** 3)


def mean_kernel(pairs: list[tuple[Floats, Floats]]) -> float:
    return sum(kernel(x, y) for one, other in pairs for x in one for y in other) / sum(
        len(one) * len(other) for one, other in pairs
    )


def distance(x: Groups, y: Groups) -> float:
    """The mean over pairs of different groups, by loops."""
    within = [mean_kernel([(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
    return sum(within) - 2 * mean_kernel(list(product(x, y)))


def without(sample: Groups, *left_out: int) -> Groups:
    return [values for place, values in enumerate(sample) if place not in left_out]


def left_out(value: Distance, samples: list[Groups], *which: tuple[int, int]) -> float:
    """Without group g of sample s, for each (s, g) of `which`."""
    return value(*(without(one, *(g for s, g in which if s == place)) for place, one in enumerate(samples)))


def slow_variance(value: Distance, samples: list[Groups], total: float) -> tuple[float, float]:
    """Variance, and the part of pairs, from the statistic without one and without two groups, as Efron and Stein do.

    Q = n S - (n - 1)(S_i + S_j) + (n - 2) S_ij of groups i and j of one sample of n (1981, section 5), in which single
    groups cancel out; across samples it is the second difference. Of a mean over pairs, Q is 2 / (n - 3) times its
    centred kernel, whose mean square over pairs is (n - 3) / (n - 1) of the population's (Székely and Rizzo 2014).
    """
    counts = [len(one) for one in samples]
    alone = [[left_out(value, samples, (s, g)) for g in range(n)] for s, n in enumerate(counts)]
    jackknife = sum((n - 1) * np.var(one) for n, one in zip(counts, alone, strict=True))
    pairs, twice = 0.0, 0.0
    for s, n in enumerate(counts):
        squares = 0.0
        for i, j in combinations(range(n), 2):
            both = left_out(value, samples, (s, i), (s, j))
            squares += (n * total - (n - 1) * (alone[s][i] + alone[s][j]) + (n - 2) * both) ** 2
        variance = (n - 3) / (n - 1) * squares / n**2
        pairs, twice = pairs + variance, twice + n / (n - 2) * variance
    for (s, n), (t, m) in combinations(enumerate(counts), 2):
        squares = 0.0
        for i, j in product(range(n), range(m)):
            both = left_out(value, samples, (s, i), (t, j))
            squares += (total - alone[s][i] - alone[t][j] + both) ** 2
        variance = (n - 1) * (m - 1) / (n * m) * squares
        pairs, twice = pairs + variance, twice + variance
    return max(jackknife - twice, pairs), pairs


def drawn(count: int, seed: int, shift: float = 0.0, size: int = 2) -> Groups:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=4) + rng.normal(shift, 1, (size, 4)) for _ in range(count)]


def featured(sample: Groups, first: int) -> Features:
    names = first + np.repeat(np.arange(len(sample)), [len(one) for one in sample])
    return Features(np.concatenate(sample), names, "network", "abc")


def estimate(x: Groups, y: Groups, first: int = 100) -> PairEstimate:
    found = kid_over_groups(grouped(featured(x, 0)), grouped(featured(y, first)))
    assert found is not None
    return found


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_standard_error_is_that_of_leaving_out_one_and_two_groups(shift: float) -> None:
    x, y = drawn(6, 0), drawn(5, 1, shift)
    found = estimate(x, y)
    assert found.value == pytest.approx(distance(x, y), rel=1e-10)
    variance, pairs = slow_variance(distance, [x, y], found.value)
    assert found.interplay.second_order().variance == pytest.approx(pairs, rel=1e-8)
    assert found.se**2 == pytest.approx(variance, rel=1e-8)
    assert (variance > pairs) == (shift > 0)  # near zero, all of the jackknife's variance may be that of pairs


def test_the_standard_error_of_a_difference_is_that_of_leaving_out_from_both() -> None:
    x, y, z = drawn(5, 0), drawn(6, 1, 1.0), drawn(5, 2, 2.0)

    def less(x: Groups, y: Groups, z: Groups) -> float:
        return distance(x, y) - distance(x, z)

    found = estimate(x, y).minus(estimate(x, z, 200))
    variance, pairs = slow_variance(less, [x, y, z], less(x, y, z))
    assert isinstance(found, PairEstimate)
    assert found.interplay.second_order().variance == pytest.approx(pairs, rel=1e-8)
    assert found.se**2 == pytest.approx(variance, rel=1e-8)
    half = stats.t.ppf(0.975, found.df) * found.se
    assert found.interval() == pytest.approx((found.value - half, found.value + half))


def test_a_set_less_itself_has_neither_error_nor_interval() -> None:
    x, y = drawn(5, 0), drawn(6, 1, 1.0)
    none = estimate(x, y).minus(estimate(x, y))
    assert (none.value, none.se) == (0, pytest.approx(0, abs=1e-12)) and none.interval() is None


@pytest.mark.slow
def test_the_parts_of_the_variance_are_those_of_the_population() -> None:
    """Of values of three kinds, all moments are sums over kinds, and so is the distance's variance (Hoeffding 1948)."""
    kinds, chances = np.array([[2.0, 0.0], [0.0, 1.0], [-1.0, 1.0]]), np.array([0.2, 0.5, 0.3])
    others = np.array([0.3, 0.3, 0.4])
    k = np.array([[kernel(a, b) for b in kinds] for a in kinds])
    n, m = 7, 6

    def spread(means: Floats, weights: Floats) -> float:
        return float((weights * means**2).sum() - (weights * means).sum() ** 2)

    def together(p: Floats, q: Floats) -> float:
        rest = k - (k @ q)[:, None] - p @ k + p @ k @ q
        return float(p @ rest**2 @ q)

    alone = 4 * spread(k @ (chances - others), chances) / n + 4 * spread(k @ (others - chances), others) / m
    pairs = 2 * together(chances, chances) / (n * (n - 1)) + 2 * together(others, others) / (m * (m - 1))
    pairs += 4 * together(chances, others) / (n * m)
    rng, measured = np.random.default_rng(3), []
    for _ in range(600):
        found = estimate(*([kinds[[one]] for one in rng.choice(3, c, p=p)] for c, p in ((n, chances), (m, others))))
        second = found.interplay.second_order()
        jackknife = sum(float(np.square(one.added).sum()) for one in found.samples)
        measured.append((second.variance, jackknife - second.overcounted))
    seconds, corrected = np.array(measured).T
    for estimates, truth in ((seconds, pairs), (corrected, alone + pairs)):
        assert abs(estimates.mean() - truth) < 3 * estimates.std() / math.sqrt(len(estimates))
    a, b = rng.multinomial(n, chances, 100_000), rng.multinomial(m, others, 100_000)
    within = [(((one @ k) * one).sum(1) - one @ np.diag(k)) / (c * (c - 1)) for one, c in ((a, n), (b, m))]
    values = within[0] + within[1] - 2 * ((a @ k) * b).sum(1) / (n * m)
    assert values.var() == pytest.approx(alone + pairs, rel=0.02)


def jackknifed(found: PairEstimate) -> float:
    """The jackknife's variance."""
    return sum(float(np.square(one.added).sum()) for one in found.samples)


def with_noise(x: Groups, y: Groups) -> float:
    """The distance as a mean over all pairs."""
    everything = [(a, b) for a in x for b in x], [(a, b) for a in y for b in y], list(product(x, y))
    return mean_kernel(everything[0]) + mean_kernel(everything[1]) - 2 * mean_kernel(everything[2])


def held_truths(
    found: PairEstimate, start: float, variance: float, pairs: float, slope: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """True values on a grid, and which of them lie within t of their own standard errors of the value.

    Args:
        found: the estimate.
        start: the true value that has `variance`; it changes by `slope` from there, but not below `pairs`.
    """
    reach = np.linspace(-1, 1, 200_001) * 40 * found.se
    truths = found.value + reach
    variances = np.maximum(variance + slope * (truths - start), pairs)
    held = reach**2 <= stats.t.ppf(0.975, found.df) ** 2 * variances
    assert held[held.argmax() : len(held) - held[::-1].argmax()].all()  # in one piece
    return truths, held


@pytest.mark.parametrize(("seed", "shift"), [(0, 0.0), (1, 0.0), (2, 0.5), (3, 1.0), (4, 2.0)])
def test_the_interval_of_a_distance_holds_what_lies_within_its_own_error(seed: int, shift: float) -> None:
    x, y = drawn(7, seed), drawn(6, 50 + seed, shift)
    found = estimate(x, y)
    pairs = found.interplay.second_order().variance
    truths, held = held_truths(found, 0.0, pairs, pairs, jackknifed(found) / with_noise(x, y))
    assert found.interval() == pytest.approx((truths[held].min(), truths[held].max()), abs=1e-3 * found.se)


@pytest.mark.parametrize(("seed", "shift"), [(0, 0.0), (1, 0.0), (2, 0.5), (3, 1.0), (4, 2.0), (5, 3.0)])
@pytest.mark.slow
def test_less_a_distance_that_is_known_to_be_zero_a_distance_is_skewed_still(seed: int, shift: float) -> None:
    x, more, y = drawn(7, seed), drawn(6, 50 + seed), drawn(5, 100 + seed, shift)
    own, real = estimate(x, y, 200), estimate(x, more)
    found, plain = own.minus(replace(real, known_zero=True)), own.minus(real)
    assert isinstance(found, PairEstimate)
    assert (found.value, found.se, found.df) == (plain.value, plain.se, plain.df)

    def less(x: Groups, y: Groups, more: Groups) -> float:
        return distance(x, y) - distance(x, more)

    variance, pairs = slow_variance(less, [x, y, more], found.value)
    slope = jackknifed(own) / with_noise(x, y)
    truths, held = held_truths(found, found.value, max(pairs + slope * found.value, variance), pairs, slope)
    assert found.interval() == pytest.approx((truths[held].min(), truths[held].max()), abs=1e-3 * found.se)


def test_more_groups_than_are_kept_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(24, 0, size=1), drawn(24, 1, 0.5, size=1)
    whole = estimate(x, y)
    monkeypatch.setattr(evaluate_kid, "MOST_GROUPS", 12)
    joined = estimate(x, y)
    monkeypatch.undo()
    by_hand = [[np.concatenate([one[place], one[12 + place]]) for place in range(12)] for one in (x, y)]
    kept = estimate(*by_hand)
    assert joined.interplay.second_order() == pytest.approx(kept.interplay.second_order())
    assert joined.value == whole.value and joined.interplay.values.shape == (24, 24)
    assert joined.interplay.second_order().variance == pytest.approx(whole.interplay.second_order().variance, rel=0.3)


def test_fewer_groups_than_tell_of_pairs_have_no_interval() -> None:
    assert MIN_GROUPS_OF_PAIRS == 5
    for count in (2, 3, 4):
        assert estimate(drawn(count, 0), drawn(8, 1)).interval() is None
    assert estimate(drawn(5, 0), drawn(8, 1)).interval() is not None
