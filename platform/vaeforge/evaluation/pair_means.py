"""Estimates that are means over pairs of groups, such as squared distances: intervals that hold near zero, too.

Such a mean is the sum of what each group adds alone and of what each two add together (Hoeffding 1948), whose variances
are V1 and V2. The jackknife's variance has V1 once and V2 about twice (Efron and Stein 1981): of two samples of one
distribution, where nothing is added alone, it is twice the true one. V2 is measured here, without bias: the sum over
pairs of groups of (weight of the pair times centred kernel)^2, centred over the other groups of both (U-centring within
a sample: Székely and Rizzo 2014), times

    (G - 1) / (G - 3) within a sample of G groups,    G H / ((G - 1) (H - 1)) for two samples of G and H groups.

The jackknife counts what is within a sample 1 + G / (G - 2) times, and what is across two samples twice, so that

    se^2 = max(V_jackknife - sum G / (G - 2) V2_within - sum V2_across, V2).

Differences have Student's t intervals of this standard error about the value, which has no bias. A squared distance
theta = |d|^2 itself is skewed: its variance grows, as V2 + s theta. Its interval is Wilson's (1927), all theta no
further from the value U than t times the standard error that they would have:

    (U - theta)^2 <= t^2 max(V2 + s theta, V2),    s = V_jackknife / |d|^2 with its noise.

|d|^2 with its noise is the mean over all pairs, also those within a group, so that s is 4 d' S d / |d|^2 for the mean d
with the covariance S. A distance less one that is known to be 0, as of two halves of one sample, estimates the distance
still. Nothing is added alone to the one that is 0, so that the variance grows alike; with V2 and se of the difference:

    (U - theta)^2 <= t^2 max(max(V2 + s U, se^2) + s (theta - U), V2).

Degrees of freedom are Satterthwaite's for V1 and V2, of which V2 has as many as there are pairs left after centring.
Shapes: G groups of a sample; K groups of all samples.
"""

import math
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaeforge.evaluation.intervals import GroupEstimate, LeftOut, degrees_of_freedom, jackknife

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
MIN_GROUPS_OF_PAIRS = 5  # of fewer than four nothing can be told of V2, of four next to nothing


class SecondOrder(NamedTuple):
    """Variance of what pairs add together, how much more of it the jackknife has, and its degrees of freedom."""

    variance: float
    overcounted: float
    df: float


@dataclass(frozen=True, eq=False)
class Interplay:
    """What each two groups add to an estimate together, beyond what each adds alone.

    Attributes:
        names: of the groups [K]; `samples` the number of the sample that each is of, `sizes` its samples [K].
        values: [K, K], symmetric, 0 for a group and itself.
    """

    names: Integers
    samples: Integers
    sizes: Floats
    values: Floats

    @classmethod
    def of_kernel(
        cls, names: Integers, samples: Integers, sizes: Floats, means: Floats, weights: Floats
    ) -> "Interplay":
        """That of a weighted sum over pairs of groups.

        Args:
            names: of the groups [K].
            samples: the number of each group's sample [K].
            sizes: samples of each group [K].
            means: the kernel's mean over the pairs of each two groups [K, K].
            weights: of each two groups in the estimate [K, K], a pair being there twice, in either order.
        """
        values = np.zeros_like(means)
        for first in np.unique(samples):
            for second in np.unique(samples):
                block = np.ix_(samples == first, samples == second)
                values[block] = weights[block] * (_centred if first != second else _u_centred)(means[block])
        np.fill_diagonal(values, 0.0)
        return cls(names, samples, sizes, values)

    def minus(self, other: "Interplay") -> "Interplay":
        """That of a difference; groups of the same name are one group."""
        fresh = ~np.isin(other.names, self.names)
        names = np.concatenate([self.names, other.names[fresh]])
        samples = np.concatenate([self.samples, other.samples[fresh] + self.samples.max() + 1])
        values = np.zeros((len(names), len(names)))
        values[: len(self.names), : len(self.names)] = self.values
        order = np.argsort(names)
        place = order[np.searchsorted(names, other.names, sorter=order)]
        values[np.ix_(place, place)] -= other.values
        return Interplay(names, samples, np.concatenate([self.sizes, other.sizes[fresh]]), values)

    def second_order(self) -> SecondOrder:
        """The variance of the whole; NaN with fewer than four groups in a sample."""
        members = [self.samples == sample for sample in np.unique(self.samples)]
        freedom = [degrees_of_freedom(self.sizes[mine]) for mine in members]
        within = [self._within(mine, d) for mine, d in zip(members, freedom, strict=True)]
        across = [
            self._across(members[i], members[j], freedom[i] * freedom[j])
            for i, j in combinations(range(len(members)), 2)
        ]
        variance, overcounted, df = np.array([*within, *across]).T
        total = float(variance.sum())
        return SecondOrder(total, float(overcounted.sum()), total**2 / float((variance**2 / df).sum() or math.nan))

    def _within(self, mine: NDArray[np.bool_], freedom: float) -> SecondOrder:
        count = int(mine.sum())
        if count < 4:
            return SecondOrder(math.nan, math.nan, math.nan)
        variance = self._squares(mine, mine) / 2 * (count - 1) / (count - 3)
        return SecondOrder(variance, variance * count / (count - 2), max((freedom + 1) * (freedom - 2) / 2, 1.0))

    def _across(self, mine: NDArray[np.bool_], theirs: NDArray[np.bool_], df: float) -> SecondOrder:
        g, h = int(mine.sum()), int(theirs.sum())
        variance = self._squares(mine, theirs) * g * h / ((g - 1) * (h - 1)) if min(g, h) > 1 else math.nan
        return SecondOrder(variance, variance, df)

    def _squares(self, mine: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> float:
        return float(np.square(self.values[np.ix_(mine, theirs)]).sum())


def _centred(means: Floats) -> Floats:
    """Without the means of rows and of columns: [G, H]."""
    found: Floats = means - means.mean(1, keepdims=True) - means.mean(0) + means.mean()
    return found


def _u_centred(means: Floats) -> Floats:
    """The same within a sample, each row's mean being that over the others: [G, G], the diagonal not looked at."""
    count, others = len(means), means - np.diag(np.diag(means))
    if count < 3:
        return np.zeros_like(means)
    rows = others.sum(1) / (count - 2)
    found: Floats = means - rows[:, None] - rows + others.sum() / ((count - 1) * (count - 2))
    return found


@dataclass(frozen=True)
class PairEstimate(GroupEstimate):
    """A mean over pairs of groups, or the difference of two.

    Attributes:
        interplay: of its groups.
        of_pairs: V2, below which the variance never is.
        at_value: the variance if the true one were the value.
        slope: by how much the variance grows with the true one; 0 of a difference.
        known_zero: whether the true one is 0, since both samples are of one distribution.
    """

    interplay: Interplay = field(kw_only=True, repr=False, compare=False)
    of_pairs: float = field(kw_only=True, repr=False)
    at_value: float = field(kw_only=True, repr=False)
    slope: float = field(kw_only=True, repr=False)
    known_zero: bool = field(default=False, kw_only=True, repr=False)

    def minus(self, other: GroupEstimate) -> GroupEstimate:
        """The difference of two means over pairs, paired in the groups that both have.

        Less one that is known to be 0, a squared distance is one still, and skewed as such.
        """
        less = super().minus(other)
        if not isinstance(other, PairEstimate):
            return less
        found = _over_pairs(less.value, less.samples, self.interplay.minus(other.interplay))
        if not other.known_zero:
            return found
        at_value = max(found.of_pairs + self.slope * found.value, found.at_value)
        return replace(found, at_value=at_value, slope=self.slope)

    def _end(self, alpha: float, side: int) -> float | None:
        if self.groups < self.needs or not math.isfinite(self.se) or self.alike:
            return None
        from scipy import special  # see intervals

        t, slope = float(special.stdtrit(self.df, 1 - alpha)), side * self.slope
        least = t * math.sqrt(self.of_pairs)
        if self.at_value + slope * least <= self.of_pairs:
            return self.value + side * least
        half = t**2 * slope / 2
        return self.value + side * (half + math.sqrt(half**2 + t**2 * self.at_value))


def squared_distance(
    value: float, samples: tuple[LeftOut, ...], interplay: Interplay, with_noise: float
) -> PairEstimate:
    """The estimate of a squared distance that is a mean over pairs of groups.

    Args:
        value: of all groups.
        samples: the mean without each group.
        interplay: of the groups of all samples.
        with_noise: the mean over all pairs, also those within a group.
    """
    found = _over_pairs(value, samples, interplay)
    slope = jackknife(value, *samples).se ** 2 / with_noise if with_noise > 0 else 0.0
    return replace(found, at_value=found.of_pairs + slope * value, slope=slope)


def _over_pairs(value: float, samples: tuple[LeftOut, ...], interplay: Interplay) -> PairEstimate:
    """With a variance that is the same for all true values."""
    first, second = jackknife(value, *samples), interplay.second_order()
    alone = max(first.se**2 - second.overcounted - second.variance, 0.0)
    variance = alone + second.variance
    with np.errstate(invalid="ignore"):
        df = np.float64(variance) ** 2 / (alone**2 / np.float64(first.df) + second.variance**2 / np.float64(second.df))
    return PairEstimate(
        value,
        math.sqrt(variance),
        float(df),
        first.groups,
        samples=samples,
        needs=MIN_GROUPS_OF_PAIRS,
        interplay=interplay,
        of_pairs=second.variance,
        at_value=variance,
        slope=0.0,
    )
