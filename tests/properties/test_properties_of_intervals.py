"""Intervals of means over groups: they move with the data, and know only groups."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drawn import FACTORS, SEEDS, SHIFTS, Scored, renamed, scored, shuffled
from vaeforge.evaluation.intervals import ANY, POSITIVE, Interval, mean_over_groups


def ends(values: np.ndarray, groups: np.ndarray) -> Interval:
    found = mean_over_groups(values, groups).interval()
    assume(found is not None)
    assert found is not None
    return found


@given(scored(), SEEDS)
def test_the_order_of_samples_and_the_names_of_groups_change_nothing(data: Scored, seed: int) -> None:
    order = shuffled(seed, len(data.scores))
    assert ends(data.scores[order], renamed(seed, data.groups)[order]) == pytest.approx(ends(data.scores, data.groups))


@given(scored(), FACTORS, SHIFTS)
def test_an_interval_has_the_units_of_its_values(data: Scored, factor: float, shift: float) -> None:
    own, moved = ends(data.scores, data.groups), ends(factor * data.scores + shift, data.groups)
    assert moved == pytest.approx((factor * own.low + shift, factor * own.high + shift))
    turned = ends(-data.scores, data.groups)
    assert turned == pytest.approx((-own.high, -own.low))


@given(scored(), FACTORS)
def test_an_interval_of_positive_numbers_has_their_units(data: Scored, factor: float) -> None:
    own, scaled = (mean_over_groups(k * (data.scores + 7), data.groups, POSITIVE).interval() for k in (1.0, factor))
    assume(own is not None)
    assert own is not None and scaled is not None and own.low > 0
    assert scaled == pytest.approx((factor * own.low, factor * own.high))


@given(scored())
def test_samples_counted_twice_in_their_groups_change_nothing(data: Scored) -> None:
    assert ends(np.tile(data.scores, 2), np.tile(data.groups, 2)) == pytest.approx(ends(data.scores, data.groups))


@given(st.integers(3, 12), st.integers(1, 4), SEEDS)
def test_twice_as_many_groups_alike_have_the_error_that_the_formula_gives(count: int, size: int, seed: int) -> None:
    """Of G equal groups the variance is S / (G (G - 1)), so that of 2 G it is 2 S / (2 G (2 G - 1))."""
    values, groups = np.random.default_rng(seed).normal(size=count * size), np.repeat(np.arange(count), size)
    one = mean_over_groups(values, groups, ANY)
    two = mean_over_groups(np.tile(values, 2), np.concatenate([groups, groups + count]), ANY)
    assert (two.value, two.df) == pytest.approx((one.value, 2 * count - 1))
    assert two.se / one.se == pytest.approx(math.sqrt((count - 1) / (2 * count - 1)))


@given(scored(), SEEDS)
def test_the_paired_difference_is_the_mean_of_differences(data: Scored, seed: int) -> None:
    other = np.random.default_rng(seed).normal(size=len(data.scores))
    pair = mean_over_groups(data.scores, data.groups).minus(mean_over_groups(other, data.groups))
    direct = mean_over_groups(data.scores - other, data.groups)
    assert (pair.value, pair.se, pair.df) == pytest.approx((direct.value, direct.se, direct.df))
