"""Distances between sets of features: symmetric, and blind to what the distributions do not show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from drawn import FACTORS, SEEDS, SHIFTS, gaussian, renamed, shuffled
from vaeforge.evaluation.extractor import Features
from vaeforge.evaluation.frechet import frechet_distance, inception_style_score
from vaeforge.evaluation.kid import grouped, kid_over_groups

COUNTS, DIMENSIONS = st.integers(6, 20), st.integers(2, 5)


def kid(first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float]:
    """The value and its standard error; `groups` [N] of the first set, and of each sample of the second one."""
    names = np.arange(len(first)) if groups is None else groups
    others = 1000 + np.arange(len(second))
    sets = [Features(values, of, "features", "none") for values, of in ((first, names), (second, others))]
    found = kid_over_groups(grouped(sets[0]), grouped(sets[1]))
    assert found is not None
    return found.value, found.se


@given(COUNTS, COUNTS, DIMENSIONS, SEEDS)
def test_neither_distance_knows_which_set_is_real_nor_the_order_of_samples(n: int, m: int, d: int, seed: int) -> None:
    x, y = gaussian(seed, n, d), gaussian(seed + 1, m, d) + 1
    order = shuffled(seed, n)
    for distance in (lambda a, b: kid(a, b)[0], frechet_distance):
        assert distance(y, x) == pytest.approx(distance(x, y))
        assert distance(x[order], y) == pytest.approx(distance(x, y))


@given(COUNTS, DIMENSIONS, SEEDS)
def test_rotated_features_are_as_far_apart(n: int, d: int, seed: int) -> None:
    x, y, turn = gaussian(seed, n, d), gaussian(seed + 1, n, d) + 1, ortho_group.rvs(d, random_state=seed % 1000)
    assert kid(x @ turn, y @ turn) == pytest.approx(kid(x, y))
    assert frechet_distance(x @ turn, y @ turn) == pytest.approx(frechet_distance(x, y))


@given(COUNTS, DIMENSIONS, SEEDS, FACTORS, SHIFTS)
def test_frechet_has_the_square_of_the_features_unit_and_no_origin(
    n: int, d: int, seed: int, factor: float, shift: float
) -> None:
    x, y = gaussian(seed, n, d), gaussian(seed + 1, n, d) + 1
    own = frechet_distance(x, y)
    assert frechet_distance(factor * x + shift, factor * y + shift) == pytest.approx(factor**2 * own, rel=1e-6)


@given(COUNTS, DIMENSIONS, SEEDS)
def test_every_feature_twice_doubles_frechet_and_leaves_kid(n: int, d: int, seed: int) -> None:
    """x.y / D + 1 has as many more terms as D; the distance between Gaussians is a sum over features."""
    x, y = gaussian(seed, n, d), gaussian(seed + 1, n, d) + 1
    two = np.concatenate([x, x], axis=1), np.concatenate([y, y], axis=1)
    assert kid(*two) == pytest.approx(kid(x, y))
    assert frechet_distance(*two) == pytest.approx(2 * frechet_distance(x, y))


@given(st.integers(4, 8), st.integers(1, 3), DIMENSIONS, SEEDS)
def test_kid_sees_neither_names_of_groups_nor_samples_counted_twice(g: int, size: int, d: int, seed: int) -> None:
    """Pairs are of different groups, so that a copy within a group pairs with nothing new."""
    x, y, groups = gaussian(seed, g * size, d), gaussian(seed + 1, 9, d) + 1, np.repeat(np.arange(g), size)
    own = kid(x, y, groups)
    assert kid(x, y, renamed(seed, groups)) == pytest.approx(own)
    assert kid(np.tile(x, (2, 1)), y, np.tile(groups, 2)) == pytest.approx(own)


@given(COUNTS, DIMENSIONS, SEEDS)
def test_a_set_is_at_no_frechet_distance_from_itself(n: int, d: int, seed: int) -> None:
    x = gaussian(seed, n, d)
    assert frechet_distance(x, x[shuffled(seed, n)]) == pytest.approx(0.0, abs=1e-9)


@given(st.integers(4, 20), st.integers(2, 6), SEEDS)
def test_the_inception_style_score_knows_no_names_of_classes(n: int, k: int, seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(k), n)
    own = inception_style_score(p, splits=1).mean
    assert 1 - 1e-12 <= own <= k + 1e-12
    assert inception_style_score(p[:, shuffled(seed, k)], splits=1).mean == pytest.approx(own)
    assert inception_style_score(np.tile(p, (2, 1)), splits=1).mean == pytest.approx(own)
    empty = np.concatenate([p, np.zeros((n, 1))], axis=1)  # a class that is never predicted
    assert inception_style_score(empty, splits=1).mean == pytest.approx(own)
