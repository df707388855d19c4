"""Estimates over independent groups, with standard errors and confidence intervals.

Patches cut from one place resemble each other, so the unit is the group that a sample belongs to, not the sample. The
standard error is that of the delete-one-group jackknife (Efron and Tibshirani 1993, ch. 11), of each independent sample
on its own where a statistic compares two:

    se^2 = sum over samples of (G - 1) / G sum_g (s_g - mean s)^2,  s_g the statistic without group g

Ends are Student's t, on a scale that has no ends itself: the logarithm of what is positive, the logit of what lies
between two numbers (which is Fisher's z of a correlation). Degrees of freedom are G - 1 for groups of one size, and
fewer where sizes differ (`degrees_of_freedom`); those of several samples are joined by Welch and Satterthwaite.

Where all groups say the same, the jackknife's standard error is 0, and no interval of width 0 is given: a bounded
statistic has the interval of Clopper and Pearson (1934) for as many trials as there are groups, any other has none.
Shapes: N samples, G groups.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LEVEL = 0.95
MIN_GROUPS = 3
ROUNDING = 1e-12  # a standard error below, relative to the value, is what rounding leaves of 0


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Range:
    """What a statistic can be, its ends included: decides the scale on which an interval is symmetric."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def bounded(self) -> bool:
        """Whether both ends are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def of_differences(self) -> "Range":
        """What the difference of two such statistics can be."""
        return Range(self.low - self.high, self.high - self.low) if self.bounded else ANY

    def moved(self, value: float, by: float) -> float:
        """`value`, inside the range, moved by `by` in its own units to first order, along the scale without ends."""
        if self.bounded:
            share = (value - self.low) / (self.high - self.low)
            step = by / ((self.high - self.low) * share * (1 - share))
            return self.low + (self.high - self.low) * float(_logistic(math.log(share / (1 - share)) + step))
        if math.isfinite(self.low):
            return self.low + (value - self.low) * math.exp(min(by / (value - self.low), 700.0))
        return value + by


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


ANY, POSITIVE, SHARE, CORRELATION = Range(), Range(0.0), Range(0.0, 1.0), Range(-1.0, 1.0)


@dataclass(frozen=True)
class GroupEstimate:
    """A statistic of samples in independent groups.

    Attributes:
        value: of all samples.
        se: its standard error; NaN with a single group in a sample.
        df: degrees of freedom of the standard error; NaN likewise.
        groups: independent groups, of the sample that has the fewest.
        within: what the statistic can be.
    """

    value: float
    se: float
    df: float
    groups: int
    within: Range = field(default=ANY, repr=False)

    def interval(self, level: float = LEVEL) -> Interval | None:
        """The two-sided interval of that confidence level; None where the groups cannot carry one."""
        low, high = self.lower((1 - level) / 2), self.upper((1 - level) / 2)
        return None if low is None or high is None else Interval(low, high)

    def lower(self, alpha: float) -> float | None:
        """The number that the true value lies below with probability `alpha`; None where groups cannot carry one."""
        return self._end(alpha, -1)

    def upper(self, alpha: float) -> float | None:
        """The number that the true value lies above with probability `alpha`; None where groups cannot carry one."""
        return self._end(alpha, 1)

    def _end(self, alpha: float, side: int) -> float | None:
        if self.groups < MIN_GROUPS:
            return None
        if self.se <= ROUNDING * abs(self.value):
            return self._exact_end(alpha, side) if self.within.bounded else None
        return self.within.moved(self.value, side * float(stats.t.isf(alpha, self.df)) * self.se)

    def _exact_end(self, alpha: float, side: int) -> float:
        """Clopper and Pearson's end for G trials, of which the share that `value` is of its range succeeded.

        The mean of any variable within [0, 1] varies no more than that of a Bernoulli variable, so this holds whatever
        the groups are made of.
        """
        width = self.within.high - self.within.low
        hits = self.groups * min(max((self.value - self.within.low) / width, 0.0), 1.0)
        misses = self.groups - hits
        if side < 0:
            share = float(stats.beta.ppf(alpha, hits, misses + 1)) if hits > 0 else 0.0
        else:
            share = float(stats.beta.isf(alpha, hits + 1, misses)) if misses > 0 else 1.0
        return self.within.low + width * share


@dataclass(frozen=True)
class LeftOut:
    """One independent sample: a statistic with each of its groups left out.

    Attributes:
        names: of the groups [G]; a group that several samples have is one group.
        sizes: samples of each group [G].
        values: the statistic without each of them [G]; not looked at where there is a single group.
    """

    names: Integers
    sizes: Floats
    values: Floats


def jackknife(value: float, *samples: LeftOut, within: Range = ANY) -> GroupEstimate:
    """The estimate of a statistic that is `value` for all groups, from what it is with each of them left out."""
    fewest = min(len(sample.names) for sample in samples)
    if fewest < 2:
        return GroupEstimate(value, math.nan, math.nan, fewest, within)
    deviations = [_deviations(sample.values) for sample in samples]
    names, place = np.unique(np.concatenate([sample.names for sample in samples]), return_inverse=True)
    variance = float(np.square(np.bincount(place, np.concatenate(deviations))).sum())
    own = [float(np.square(one).sum()) for one in deviations]
    freedom = [degrees_of_freedom(sample.sizes) for sample in samples]
    joined = _welch_satterthwaite(own, freedom)
    return GroupEstimate(value, math.sqrt(variance), min(joined, len(names) - 1.0), fewest, within)


def _deviations(left_out: Floats) -> Floats:
    """What each group adds to the estimate, whose squares add up to the variance: [G]."""
    count = len(left_out)
    deviations: Floats = math.sqrt((count - 1) / count) * (left_out - left_out.mean())
    return deviations


def _welch_satterthwaite(variances: list[float], freedom: list[float]) -> float:
    total = sum(variances)
    if not total > 0:
        return min(freedom)
    return 1 / sum((variance / total) ** 2 / df for variance, df in zip(variances, freedom, strict=True))


def degrees_of_freedom(sizes: Floats) -> float:
    """Of the jackknife's variance of a mean over groups of these sizes [G]: G - 1 where all are equal, else fewer.

    Satterthwaite's 2 E(V)^2 / Var(V) for independent Gaussian values, as Bell and McCaffrey (2002) reckon it:
    V = sum_g c_g e_g^2 with c_g = (1 - w_g)^-2, w = n / N, and e_g the residual sum of group g over N, whose covariance
    is diag(t) - w t' - t w' + w w' sum(t) with t = w / N.
    """
    if len(sizes) < 2:
        return math.nan
    if (sizes == sizes[0]).all():
        return len(sizes) - 1.0
    w = sizes / sizes.sum()
    t = w / sizes.sum()
    c, total = (1 - w) ** -2, t.sum()
    ww, wt, tt = ((c * a * b).sum() for a, b in ((w, w), (w, t), (t, t)))
    rest = w**2 * total - 2 * w * t  # the covariance's diagonal without t
    squares = 2 * ww * tt + 2 * wt**2 + total**2 * ww**2 - 4 * total * ww * wt
    squares += (c**2 * ((t + rest) ** 2 - rest**2)).sum()
    return float((c * (t + rest)).sum() ** 2 / squares)


@dataclass(frozen=True)
class GroupSums:
    """Values added up within each group.

    Attributes:
        names: of the groups [G]; `sizes` their samples [G].
        sums: [G, ...].
    """

    names: Integers
    sizes: Floats
    sums: Floats

    @property
    def left_out(self) -> Floats:
        """The sums over all groups but one: [G, ...]."""
        rest: Floats = self.sums.sum(0) - self.sums
        return rest


def sums_over_groups(values: Floats, groups: Integers) -> GroupSums:
    """Values [N, ...] added up within groups [N]."""
    names, place = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, place, values)
    return GroupSums(names, np.bincount(place).astype(np.float64), sums)


def mean_over_groups(values: Floats, groups: Integers, within: Range = ANY) -> GroupEstimate:
    """The mean of values [N] in groups [N]; of the differences of two methods, their paired comparison.

    Args:
        values: [N], one a sample.
        groups: int64 [N], the independent group of each sample.
        within: what the mean can be.
    """
    mean = float(values.mean())
    found = sums_over_groups(values - mean, groups)
    if len(found.names) < 2:
        return jackknife(mean, LeftOut(found.names, found.sizes, found.sums), within=within)
    left_out = found.left_out / (found.sizes.sum() - found.sizes)
    return jackknife(mean, LeftOut(found.names, found.sizes, left_out), within=within)
