"""Percentile bootstrap over groups, which intervals were until 2026-11: what `coverage.py` compares with.

Groups are drawn with replacement, whole, within each label or set; the interval is the middle 95 % of the statistic.

Shapes: N samples, B draws; weights [B, N] say how often each sample counts.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]


def percentile_ends(
    rng: np.random.Generator, groups: Integers, strata: Integers, statistic: Statistic, draws: int
) -> tuple[float, float]:
    """The middle 95 % of a statistic of weights [B, N].

    Args:
        rng: of the draws.
        groups: [N].
        strata: [N], the label or set within which groups are drawn.
        statistic: of weights, [B].
        draws: how many, B.
    """
    weights = np.empty((draws, len(groups)))
    for stratum in np.unique(strata):
        mine = strata == stratum
        names, place = np.unique(groups[mine], return_inverse=True)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), draws)
        weights[:, mine] = drawn[:, place]
    low, high = np.quantile(statistic(weights), [0.025, 0.975])
    return float(low), float(high)


def mean_of(values: Floats) -> Statistic:
    """Of the mean of values [N]."""
    return lambda weights: (weights @ values) / weights.sum(1)


def auroc_of(labels: Integers, scores: Floats) -> Statistic:
    """Of the AUROC of scores without ties, [N]."""
    order = np.argsort(scores)
    anomalous = labels[order] == 1

    def area(weights: Floats) -> Floats:
        mine = weights[:, order]
        below = np.cumsum(mine * ~anomalous, axis=1)
        found: Floats = (mine * anomalous * below).sum(1) / (below[:, -1] * (mine * anomalous).sum(1))
        return found

    return area


def auprc_of(labels: Integers, scores: Floats) -> Statistic:
    """Of the average precision of scores without ties, [N]."""
    order = np.argsort(-scores)
    anomalous = labels[order] == 1

    def area(weights: Floats) -> Floats:
        mine = weights[:, order]
        hits = np.cumsum(mine * anomalous, axis=1)
        precision = hits / np.maximum(np.cumsum(mine, axis=1), 1)
        found: Floats = (mine * anomalous * precision).sum(1) / hits[:, -1]
        return found

    return area


def pearson_of(truth: Floats, found: Floats) -> Statistic:
    """Of Pearson's correlation, mean over channels, of values [N, C] twice."""
    products = (truth, found, truth**2, found**2, truth * found)

    def mean(weights: Floats) -> Floats:
        x, y, xx, yy, xy = (weights @ one / weights.sum(1, keepdims=True) for one in products)
        spread = np.sqrt(np.maximum((xx - x**2) * (yy - y**2), 0.0))
        correlation: Floats = np.where(spread > 1e-12, (xy - x * y) / np.maximum(spread, 1e-12), 0.0)
        return correlation.mean(1)

    return mean


def kid_of(features: Floats, strata: Integers, groups: Integers) -> Statistic:
    """Of the KID of the samples of stratum 1 and those of stratum 0: all pairs, but for copies of one drawn group."""
    first, second = (strata == stratum for stratum in (0, 1))

    def within(kernel: Floats, weights: Floats, mine: NDArray[np.bool_]) -> Floats:
        w, sums = weights[:, mine], kernel[np.ix_(mine, mine)].copy()
        np.fill_diagonal(sums, 0.0)
        alike = groups[mine][:, None] == groups[mine]
        others = alike & ~np.eye(len(alike), dtype=bool)
        total = ((w @ (sums * ~alike)) * w).sum(1) + w @ (sums * alike).sum(1)
        pairs = w.sum(1) ** 2 - ((w @ alike) * w).sum(1) + w @ others.sum(1)
        found: Floats = total / np.maximum(pairs, 1.0)
        return found

    def distance(weights: Floats) -> Floats:
        kernel = (features @ features.T / features.shape[1] + 1) ** 3
        x, y = weights[:, first], weights[:, second]
        across = ((x @ kernel[np.ix_(first, second)]) * y).sum(1) / (x.sum(1) * y.sum(1))
        found: Floats = within(kernel, weights, first) + within(kernel, weights, second) - 2 * across
        return found

    return distance
