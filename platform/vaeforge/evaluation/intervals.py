"""Estimates over independent groups, with standard errors and confidence intervals.

Patches cut from one place resemble each other, so the unit is the group that a sample belongs to, not the sample. The
standard error is that of the delete-one-group jackknife (Efron and Tibshirani 1993, ch. 11), of each independent sample
on its own where a statistic compares two:

    se^2 = sum over samples of (G - 1) / G sum_g (s_g - mean s)^2,  s_g the statistic without group g

Ends are Student's t, on a scale h that has no ends itself: the logarithm of the distance from a single end, the logit
of what lies between two (which is Fisher's z of a correlation). Standard error and centre are the jackknife's on that
scale (Miller 1974; Cressie 1981), from h(s_g) in place of s_g. The centre is h(s) less the jackknife's bias, for groups
of different sizes that of Busing, Meijer and van der Leeden (1999), w_g the share of a sample that is in group g:

    centre = h(s) - sum over samples of sum_g (1 - w_g) (h(s_g) - h(s))

Degrees of freedom are G - 1 for groups of one size, and fewer where sizes differ (`degrees_of_freedom`); those of
several samples are joined by Welch and Satterthwaite. A statistic with a single end is skewed, so that a few groups may
make up most of its variance: it has no more degrees than the groups' parts of it tell (`freedom_of_parts`).

Where all groups say the same, the jackknife's standard error is 0, and no interval of width 0 is given: a bounded
statistic has an exact one for as many trials as there are groups, any other has none.
Shapes: N samples, G groups.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LEVEL = 0.95
# From three groups on intervals hold what they say (`benchmarks/coverage.py`). Those of two would, too, but are 12.7
# standard errors wide to either side, and without one of two groups KID has no independent pair. Shares and areas of
# three or four groups hold more than they say, because groups show few different shares, and leave out next to nothing.
MIN_GROUPS, MIN_GROUPS_OF_SHARES = 3, 5
# Up to these groups intervals are conservative: they hold the true value in at least 95 of 100 test sets, and cannot be
# made to hold it in just 95. A share or an area takes few values where few groups show the rarer outcome, and where the
# end on the far side cannot be missed, equal tails hold 97.5 %; the variance of groups of different sizes is too large
# rather than too small (Efron and Stein 1981).
FEW_GROUPS_OF_SHARES, FEW_UNEQUAL_GROUPS = 20, 10
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

    @property
    def one_ended(self) -> bool:
        """Whether one end is finite and the other is not."""
        return math.isfinite(self.low) != math.isfinite(self.high)

    @np.errstate(divide="ignore", invalid="ignore")
    def scaled(self, values: Floats) -> Floats:
        """Values on the scale without ends, infinite at an end, NaN where rounding put them beyond: the same shape."""
        if self.bounded:
            found: Floats = np.log(values - self.low) - np.log(self.high - values)
        elif math.isfinite(self.low):
            found = np.log(values - self.low)
        else:
            found = -np.log(self.high - values) if math.isfinite(self.high) else values
        return found

    def slope(self, value: float) -> float:
        """By how much the scale grows with a value inside the range."""
        below, above = 1 / (value - self.low), 1 / (self.high - value)  # 0 where there is no end
        return below + above if math.isfinite(self.low) or math.isfinite(self.high) else 1.0

    def unscaled(self, place: float) -> float:
        """The value that is at a place of the scale."""
        if self.bounded:
            return self.low + (self.high - self.low) * (1 / (1 + math.exp(-place)) if place > -700 else 0.0)
        if math.isfinite(self.low):
            return self.low + math.exp(min(place, 700.0))
        return self.high - math.exp(min(-place, 700.0)) if math.isfinite(self.high) else place


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

    def bias_of(self, value: float) -> float:
        """What the statistic, `value` of all groups, is too large by (Busing, Meijer and van der Leeden 1999)."""
        return float(((1 - self.sizes / self.sizes.sum()) * (self.values - value)).sum())

    def less(self, value: float) -> "LeftOut":
        """The difference from a statistic of other samples, which is `value`."""
        return replace(self, values=self.values - value)

    def taken_from(self, value: float) -> "LeftOut":
        """The difference of a statistic of other samples, which is `value`, from this one."""
        return replace(self, values=value - self.values)


class Scaled(NamedTuple):
    """An estimate on the scale without ends: the middle of its intervals, standard error and degrees of freedom."""

    centre: float
    se: float
    df: float


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
        corrected: whether intervals are about the value less its bias.
    """

    value: float
    se: float
    df: float
    groups: int
    within: Range = field(default=ANY, repr=False)
    samples: tuple[LeftOut, ...] = field(default=(), repr=False, compare=False)
    needs: int = field(default=MIN_GROUPS, repr=False)
    corrected: bool = field(default=True, repr=False)

    def minus(self, other: "GroupEstimate") -> "GroupEstimate":
        """The difference of two statistics of the same kind, paired in the samples that both have, by their order."""
        samples: list[LeftOut] = []
        for mine, theirs in zip_longest(self.samples, other.samples):
            if mine is not None and theirs is not None and np.array_equal(mine.names, theirs.names):
                samples.append(mine.minus(theirs))
            else:
                samples += [] if mine is None else [mine.less(other.value)]
                samples += [] if theirs is None else [theirs.taken_from(self.value)]
        found = jackknife(self.value - other.value, *samples, within=self.within.of_differences())
        return replace(found, needs=max(self.needs, other.needs), corrected=self.corrected and other.corrected)

    def without_bias(self) -> "GroupEstimate":
        """The same, with the jackknife's estimate of the bias taken off (Efron and Tibshirani 1993, ch. 10.5).

        What an average over pairs or a ratio is off by is of order 1 / G, and so is what leaving out a group adds to
        it. Stays within what the statistic can be.
        """
        if not math.isfinite(self.se):
            return self
        bias = sum(one.bias_of(self.value) for one in self.samples)
        value = min(max(self.value - bias, self.within.low), self.within.high)
        return replace(self, value=value, corrected=False)

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
    def conservative(self) -> bool:
        """Whether intervals are said to hold 95 % or more, rather than 95 %: by kind and groups, not by the values."""
        if self.within.bounded and self.needs == MIN_GROUPS_OF_SHARES:
            return self.groups <= FEW_GROUPS_OF_SHARES
        unequal = any(len(np.unique(one.sizes)) > 1 for one in self.samples)
        return unequal and self.groups <= FEW_UNEQUAL_GROUPS

    @property
    def alike(self) -> bool:
        """Whether no group differs from another: the standard error is 0 but for rounding."""
        return self.se <= ROUNDING * abs(self.value)

    def _end(self, alpha: float, side: int) -> float | None:
        if self.groups < self.needs or not math.isfinite(self.se):
            return None
        from scipy import special  # takes long to import, and readers of results do without it

        if self.alike or self.value in (self.within.low, self.within.high):
            return self._end_where_all_agree(alpha, side)
        centre, se, df = self.scaled
        end = self.within.unscaled(centre + side * float(special.stdtrit(df, 1 - alpha)) * se)
        return side * max(side * end, side * self.value)  # a centre that lies far off leaves the value inside

    @cached_property
    def scaled(self) -> Scaled:
        """What intervals are made of; `value` and `se` to first order where without a group it is at an end."""
        place = float(self.within.scaled(np.array(self.value)))
        moved = tuple(replace(one, values=self.within.scaled(one.values)) for one in self.samples)
        if not (moved and all(np.isfinite(one.values).all() for one in moved)):
            return Scaled(place, self.se * self.within.slope(self.value), self.df)
        bias = sum(one.bias_of(place) for one in moved) if self.corrected else 0.0
        return Scaled(place - bias, *_spread(moved, self.within))

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
    needs = MIN_GROUPS_OF_SHARES if within == SHARE else MIN_GROUPS
    if fewest < 2:
        return GroupEstimate(value, math.nan, math.nan, fewest, within, samples, needs=needs)
    return GroupEstimate(value, *_spread(samples, within), fewest, within, samples, needs)


def _spread(samples: tuple[LeftOut, ...], within: Range) -> tuple[float, float]:
    """The standard error and its degrees of freedom."""
    parts = [sample.added for sample in samples]
    names, place = np.unique(np.concatenate([sample.names for sample in samples]), return_inverse=True)
    added = np.bincount(place, np.concatenate(parts)).astype(np.float64)
    df = min(_welch_satterthwaite(samples, parts), len(names) - 1.0)
    if within.one_ended:
        df = min(df, freedom_of_parts(added))
    return math.sqrt(float(np.square(added).sum())), df


def _welch_satterthwaite(samples: tuple[LeftOut, ...], added: list[Floats]) -> float:
    freedom = np.array([degrees_of_freedom(sample.sizes) for sample in samples])
    if len(samples) == 1:
        return float(freedom[0])
    variances = np.array([float(np.square(one).sum()) for one in added])
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


def freedom_of_parts(added: Floats) -> float:
    """Degrees of freedom, at least 1, of the variance V = sum_g a_g^2 of what groups add [G].

    Satterthwaite's V^2 / sum_g a_g^4, in which both are replaced by what they are expected to be for Gaussian a_g with
    one degree of freedom each, 3 V^2 / sum_g a_g^4 - 2 (von Davier 2024, after Johnson and Rust 1992): about G where
    groups add alike, few where few of them make up the variance.
    """
    square = np.square(added)
    return max(3 * float(square.sum()) ** 2 / float(np.square(square).sum()) - 2, 1.0) if square.any() else math.inf


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
