"""Whether one made-up set of samples is nearer to real ones than another: the difference of two kernel distances."""

import numpy as np
from numpy.typing import NDArray

from vaeforge.evaluate.bootstrap import Interval, middle
from vaeforge.evaluate.extractor import Features
from vaeforge.evaluate.frechet import DRAWS, MIN_GROUPS
from vaeforge.seeds import derive

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def kid_difference(
    real: Features, first: Features, second: Features, seed: int, draws: int = DRAWS
) -> tuple[float, Interval | None]:
    """KID of `first` less KID of `second`, both against `real`, and its 95 % interval over the same draws of `real`.

    What the real samples have among themselves cancels: U(a, a) - U(b, b) - 2 mean k(r, a) + 2 mean k(r, b), U over
    pairs of different groups. Groups of all three sets are drawn with replacement; none where they are too few.
    """
    r, a, b = (one.values.astype(np.float64) for one in (real, first, second))
    weights = [_multiplicities(one.groups, derive(seed, n), draws) for n, one in enumerate((real, first, second))]
    within = [
        _within(values, one.groups, w) for values, one, w in zip((a, b), (first, second), weights[1:], strict=True)
    ]
    across = [_across(_kernel(r, values), weights[0], w) for values, w in zip((a, b), weights[1:], strict=True)]
    drawn = within[0] - within[1] - 2 * (across[0] - across[1])
    if min(len(np.unique(one.groups)) for one in (real, first, second)) < MIN_GROUPS:
        return float(drawn[0]), None
    return float(drawn[0]), middle(drawn[1:])


def _multiplicities(groups: Integers, seed: int, draws: int) -> Floats:
    """How often each sample counts: once in the first row, then as often as its group was drawn. [1 + B, n]."""
    names, group_of = np.unique(groups, return_inverse=True)
    times = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), draws)
    return np.concatenate([np.ones((1, len(groups))), times[:, group_of]])


def _kernel(x: Floats, y: Floats) -> Floats:
    """KID's (x.y / D + 1)^3 (Bińkowski et al. 2018): [n, m]."""
    base: Floats = x @ y.T / x.shape[1] + 1
    return base * base * base


def _within(values: Floats, groups: Integers, weights: Floats) -> Floats:
    other = (groups[:, None] != groups[None, :]).astype(np.float64)
    pairs = ((weights @ other) * weights).sum(1)
    result: Floats = ((weights @ (_kernel(values, values) * other)) * weights).sum(1) / np.maximum(pairs, 1.0)
    return result


def _across(kernel: Floats, rows: Floats, columns: Floats) -> Floats:
    result: Floats = ((rows @ kernel) * columns).sum(1) / (rows.sum(1) * columns.sum(1))
    return result
