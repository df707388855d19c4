"""Tests of two samples whose items may depend on each other: equal distributions, and a threshold's share.

Shapes: N reference samples, M inputs, G independent groups of either.

Items of one group (patches of a picture, the same input sent again) may be as alike as they like, so that a group
counts once: each has the weight 1/G, divided evenly among its items. Whatever the dependence within groups, a weighted
share then varies no more than a share of G independent items (the variance of a mean of values between 0 and 1 with
mean p is at most p (1 - p) / G), so that tests which take G for the sample size are not too certain.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
NEARLY = 1e-9  # a whole number of groups, after division and multiplication
ROUNDING = 1e-4  # relative: of scores that torch and a graph give
Values = NDArray[Any]


@dataclass(frozen=True)
class Groups:
    """Which items depend on each other: `of` [M] numbers from 0, `count` how many there are."""

    of: NDArray[np.int64]
    count: int

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Of each item [M]; they sum to 1."""
        weights: NDArray[np.float64] = 1 / (np.bincount(self.of, minlength=self.count)[self.of] * self.count)
        return weights


def groups_of(rows: Values, names: Sequence[str] | None = None) -> Groups:
    """Groups of items: those with the same name, and those that are the same in all of `rows` [M, K]."""
    same = np.unique(_fingerprints(rows), return_inverse=True)[1]
    if names is None:
        return Groups(same, int(same.max(initial=-1)) + 1)
    from scipy import sparse

    named = np.unique(np.asarray(names), return_inverse=True)[1]
    first = int(named.max(initial=-1)) + 1
    size = first + int(same.max(initial=-1)) + 1
    links = sparse.coo_matrix((np.ones(len(named)), (named, first + same)), shape=(size, size))
    _, parts = sparse.csgraph.connected_components(links, directed=False)
    of = np.unique(parts[named], return_inverse=True)[1]
    return Groups(of, int(of.max(initial=-1)) + 1)


def _fingerprints(rows: Values) -> NDArray[np.uint64]:
    """A number for each of `rows` [M, K], the same for equal rows: a sum of their bits times odd factors."""
    bits = np.ascontiguousarray(rows, dtype=np.float64).view(np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**63, bits.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    mixed = bits ^ (bits >> np.uint64(32))  # small integers differ in their upper bits alone
    found: NDArray[np.uint64] = (mixed * factors).sum(axis=1, dtype=np.uint64)
    return found


@dataclass(frozen=True)
class Distance:
    """Kolmogorov-Smirnov: the largest distance of two distribution functions, and its p-value."""

    statistic: float
    p: float


def kolmogorov_smirnov(reference: Values, known: Groups, values: Values, groups: Groups) -> Distance:
    """The two-sided test of `reference` [N] and `values` [M]; the p-value is that of G_1 G_2 / (G_1 + G_2) items."""
    from scipy import stats

    support = np.concatenate([reference, values])
    gap = _distribution(reference, known, support) - _distribution(values, groups, support)
    statistic = float(np.abs(gap).max())
    size = max(round(known.count * groups.count / (known.count + groups.count)), 1)
    return Distance(statistic, float(stats.kstwo.sf(statistic, size)))


def _distribution(values: Values, groups: Groups, at: Values) -> NDArray[np.float64]:
    order = np.argsort(values)
    cumulative = np.concatenate([[0.0], np.cumsum(groups.weights[order])])
    found: NDArray[np.float64] = cumulative[np.searchsorted(values[order], at, side="right")]
    return found


def stability_index(reference: Values, known: Groups, values: Values, groups: Groups) -> float:
    """The population stability index: sum over bins of (q - p) ln(q / p).

    The bins are deciles of the reference, p and q the shares of reference and inputs in them with half a count added to
    each bin, so that an empty one is no infinity. Equal deciles, of tied values, are one edge.
    """
    edges = np.unique(np.quantile(reference, np.arange(1, BINS) / BINS))
    p, q = (_smoothed(edges, array, parts) for array, parts in ((reference, known), (values, groups)))
    return float(np.sum((q - p) * np.log(q / p)))


def _smoothed(edges: Values, values: Values, groups: Groups) -> NDArray[np.float64]:
    bins = np.searchsorted(edges, values, side="left")
    counts = np.bincount(bins, groups.weights * groups.count, minlength=len(edges) + 1) + 0.5
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def share_above(threshold: float, values: Values, groups: Groups) -> float:
    """The share of `values` [M] above the threshold, each group counting once."""
    return math.fsum(groups.weights[values > threshold])


def exceedance_p(reference: Values, known: Groups, threshold: float, share: float, groups: int) -> float:
    """The two-sided p-value of a `share` of so many groups above a threshold that the reference [N] estimates.

    If r of n exchangeable reference items are at or below it, the share of new ones above it is itself random, of the
    beta distribution with n + 1 - r and r, and their number of G is beta-binomial: a threshold from few samples
    promises little, however many inputs there are.
    """
    from scipy import stats

    room = ROUNDING * abs(threshold)  # the item that is the threshold is not above it
    above = share_above(threshold + room, reference, known) * known.count
    law = stats.betabinom.pmf(np.arange(groups + 1), groups, above + 1, max(known.count - above, 1))
    number = share * groups
    upper, lower = law[math.floor(number + NEARLY) :].sum(), law[: math.ceil(number - NEARLY) + 1].sum()
    return min(1.0, 2 * float(min(upper, lower)))
