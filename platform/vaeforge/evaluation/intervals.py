"""Estimates over independent groups, with standard errors and confidence intervals.

Patches cut from one place resemble each other, so the unit is the group that a sample belongs to, not the sample. The
standard error is that of the delete-one-group jackknife (Efron and Tibshirani 1993, ch. 11), of each independent sample
on its own where a statistic compares two:

    se^2 = sum over samples of (G - 1) / G sum_g (s_g - mean s)^2,  s_g the statistic without group g

Ends are Student's t, on a scale that has no ends itself: the logarithm of the distance from a single end, the logit of
what lies between two (which is Fisher's z of a correlation). Degrees of freedom are G - 1 for groups of one size, and
fewer where sizes differ (`degrees_of_freedom`); those of several samples are joined by Welch and Satterthwaite.

Where all groups say the same, the jackknife's standard error is 0, and no interval of width 0 is given: a bounded
statistic has an exact one for as many trials as there are groups, any other has none.
Shapes: N samples, G groups.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LEVEL = 0.95
# From three groups on intervals hold what they say (`benchmarks/coverage.py`). Those of two would, too, but are 12.7
# standard errors wide to either side, and without one of two groups KID has no independent pair.
MIN_GROUPS = 3
NEVER = sys.maxsize  # groups that no data have: what a statistic needs that has no interval
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
        if math.isfinite(self.high):
            return self.high - (self.high - value) * math.exp(min(-by / (self.high - value), 700.0))
        return value + by


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


ANY, POSITIVE, SHARE, CORRELATION = Range(), Range(0.0), Range(0.0, 1.0), Range(-1.0, 1.0)


@dataclass(frozen=True, eq=False)
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

    @property
    def added(self) -> Floats:
        """What each group adds to the estimate, whose squares add up to the jackknife's variance: [G]."""
        count = len(self.names)
        deviations: Floats = math.sqrt((count - 1) / count) * (self.values - self.values.mean())
        return deviations

    def minus(self, other: "LeftOut") -> "LeftOut":
        """The difference of two statistics of the same sample."""
        return replace(self, values=self.values - other.values)

    def negated(self) -> "LeftOut":
        """For the statistic with its sign turned."""
        return replace(self, values=-self.values)


@dataclass(frozen=True)
class GroupEstimate:
    """A statistic of samples in independent groups.

    Attributes:
        value: of all samples.
        se: its standard error; NaN with a single group in a sample, or where the statistic is undefined without one.
        df: degrees of freedom of the standard error; NaN likewise.
        groups: independent groups, of the sample that has the fewest.
        within: what the statistic can be.
        samples: what the standard error was made of, for differences.
        needs: groups, of the sample that has the fewest, from which on there is an interval.
    """

    value: float
    se: float
    df: float
    groups: int
    within: Range = field(default=ANY, repr=False)
    samples: tuple[LeftOut, ...] = field(default=(), repr=False, compare=False)
    needs: int = field(default=MIN_GROUPS, repr=False)

    def minus(self, other: "GroupEstimate") -> "GroupEstimate":
        """The difference of two statistics of the same kind, paired in the samples that both have, by their order."""
        samples: list[LeftOut] = []
        for mine, theirs in zip_longest(self.samples, other.samples):
            if mine is not None and theirs is not None and np.array_equal(mine.names, theirs.names):
                samples.append(mine.minus(theirs))
            else:
                samples += [one for one in (mine, theirs and theirs.negated()) if one is not None]
        found = jackknife(self.value - other.value, *samples, within=self.within.of_differences())
        return replace(found, needs=max(self.needs, other.needs))

    def without_bias(self) -> "GroupEstimate":
        """The same, with the jackknife's estimate of the bias taken off (Efron and Tibshirani 1993, ch. 10.5).

        bias = sum over samples of (G - 1) (mean of s_g - s): what an average over pairs or a ratio is off by is of
        order 1 / G, and so is what leaving out a group adds to it. Stays within what the statistic can be.
        """
        if not math.isfinite(self.se):
            return self
        bias = sum((len(one.names) - 1) * (float(one.values.mean()) - self.value) for one in self.samples)
        return replace(self, value=min(max(self.value - bias, self.within.low), self.within.high))

    def named(self, name: str) -> dict[str, float]:
        """The value as `name` and, where they are known, the ends of its interval as `name_low` and `name_high`."""
        return {key: value for key, value in self.line(name).items() if value is not None}

    def line(self, name: str) -> dict[str, float | None]:
        """The same for a table, in which ends that are not known are None."""
        low, high = self.interval() or (None, None)
        return {name: self.value, f"{name}_low": low, f"{name}_high": high}

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

    @property
    def alike(self) -> bool:
        """Whether no group differs from another: the standard error is 0 but for rounding."""
        return self.se <= ROUNDING * abs(self.value)

    def _end(self, alpha: float, side: int) -> float | None:
        if self.groups < self.needs or not math.isfinite(self.se):
            return None
        if self.alike or self.value in (self.within.low, self.within.high):
            return self._end_where_all_agree(alpha, side)
        return self.within.moved(self.value, side * float(stats.t.isf(alpha, self.df)) * self.se)

    def _end_where_all_agree(self, alpha: float, side: int) -> float | None:
        """Of a bounded statistic that is the same for all G groups, as of shares that are all 0 or all 1.

        P(a group shows this value)^G >= alpha leaves that probability down to alpha^(1 / G) (for shares the end of
        Clopper and Pearson 1934); groups that do not show it may lie at the end of the range.
        """
        if not self.within.bounded:
            return None
        end = self.within.low if side < 0 else self.within.high
        return float(self.value + (end - self.value) * (1 - alpha ** (1 / self.groups)))


def jackknife(value: float, *samples: LeftOut, within: Range = ANY) -> GroupEstimate:
    """The estimate of a statistic that is `value` for all groups, from what it is with each of them left out."""
    fewest = min(len(sample.names) for sample in samples)
    if fewest < 2:
        return GroupEstimate(value, math.nan, math.nan, fewest, within, samples)
    names, place = np.unique(np.concatenate([sample.names for sample in samples]), return_inverse=True)
    added = np.bincount(place, np.concatenate([sample.added for sample in samples]))
    joined = _welch_satterthwaite(samples)
    se, df = math.sqrt(float(np.square(added).sum())), min(joined, len(names) - 1.0)
    return GroupEstimate(value, se, df, fewest, within, samples)


def _welch_satterthwaite(samples: tuple[LeftOut, ...]) -> float:
    variances = np.array([float(np.square(sample.added).sum()) for sample in samples])
    freedom = np.array([degrees_of_freedom(sample.sizes) for sample in samples])
    total = variances.sum()
    return float(1 / ((variances / total) ** 2 / freedom).sum() if total > 0 else freedom.min())


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


@dataclass(frozen=True, eq=False)
class GroupSums:
    """Values of one independent sample, added up within each group.

    Attributes:
        names: of the groups [G]; `sizes` their samples [G].
        sums: [G, ...].
    """

    names: Integers
    sizes: Floats
    sums: Floats


def sums_over_groups(values: Floats, groups: Integers) -> GroupSums:
    """Values [N, ...] added up within groups [N]."""
    names, place = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, place, values)
    return GroupSums(names, np.bincount(place).astype(np.float64), sums)


def of_sums(statistic: Callable[[Floats], Floats], *samples: GroupSums, within: Range = ANY) -> GroupEstimate:
    """The estimate of a statistic that depends on samples by the sum of their values alone.

    Args:
        statistic: of sums [n, ...] over all samples, n of them at once: [n].
        samples: independent ones.
        within: what the statistic can be.
    """
    total = sum((sample.sums.sum(0) for sample in samples), np.zeros(samples[0].sums.shape[1:]))
    left_out = [
        LeftOut(one.names, one.sizes, statistic(total - one.sums) if len(one.names) > 1 else np.full(1, np.nan))
        for one in samples
    ]
    return jackknife(float(statistic(total[None])[0]), *left_out, within=within)


def mean_over_groups(values: Floats, groups: Integers, within: Range = ANY) -> GroupEstimate:
    """The mean of values [N] in groups [N]; of the differences of two methods, their paired comparison.

    Args:
        values: [N], one a sample.
        groups: int64 [N], the independent group of each sample.
        within: what the mean can be.
    """
    mean = float(values.mean())
    sums = sums_over_groups(np.stack([values - mean, np.ones(len(values))], axis=1), groups)
    return of_sums(lambda found: mean + found[:, 0] / found[:, 1], sums, within=within)


def unused_groups(count: int, *taken: Integers) -> Integers:
    """Names of `count` groups that none of `taken` has: [count]."""
    return np.arange(count) + 1 + max(int(one.max()) for one in taken)
