"""Simulated samples in groups, and what is estimated of them: a case for every statistic that prints an interval.

A group has 8 samples, or a log-normal number about that; its samples resemble each other: each is sqrt(c) u +
sqrt(1 - c) e with u of the group, e of the sample, and the intra-class correlation c. Truths are the population's that
groups are drawn from, in closed form or by integration.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
from coverage_percentile import Statistic, auprc_of, auroc_of, kid_of, mean_of, pearson_of
from numpy.typing import NDArray
from scipy import stats

from vaeforge.evaluation.auroc import auroc_difference, auroc_over_groups
from vaeforge.evaluation.extractor import Features
from vaeforge.evaluation.intervals import ANY, CORRELATION, POSITIVE, SHARE, GroupEstimate, Range, mean_over_groups
from vaeforge.evaluation.kid import GroupedSet, grouped, kid_over_groups
from vaeforge.evaluation.pair_means import PairEstimate
from vaeforge.evaluation.tasks.anomaly.detection import auprc_over_groups, threshold_estimates
from vaeforge.evaluation.tasks.maps.spatial import pearson_over_groups, relative_error_over_groups
from vaeforge.evaluation.tasks.series.metrics import (
    folds_of,
    over_folds,
    pattern_of,
    pattern_over_folds,
    pattern_similarity,
    voxel_fit,
)
from vaeforge.evaluation.tasks.texture.evaluation import Grain, spectral_distance

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Generator = np.random.Generator
SIZE, SPREAD = 8, 0.75  # samples of a group, and the standard deviation of their logarithm where sizes differ
SIGMA = 0.8  # of the logarithm of skewed values: skewness 3.7
PAIRED = 0.7  # correlation of the two methods of a comparison
CORRELATED = 0.8  # truth and reconstruction
THRESHOLD, SHIFT = float(stats.norm.ppf(0.95)), 2.0  # calls 5 % of normal and 64 % of anomalous samples


@dataclass(frozen=True)
class Layout:
    """Groups of each label or set, the correlation of the samples of one, and whether their sizes differ."""

    groups: int
    alike: float
    unequal: bool


@dataclass(frozen=True, eq=False)
class Trial:
    """One simulated test set.

    Attributes:
        estimate: of the library.
        groups: [N]; `strata` the label or set within which the bootstrap draws them.
        statistic: the bootstrap's; none where intervals were no bootstrap's.
    """

    estimate: GroupEstimate
    groups: Integers
    strata: Integers
    statistic: Statistic | None


@dataclass(frozen=True)
class Case:
    """A statistic, its true value, and how a test set is simulated; differences have the truth 0 and are paired."""

    name: str
    truth: float
    simulate: Callable[[Generator, Layout], Trial]
    difference: bool = False


@dataclass(frozen=True, eq=False)
class Sampled:
    """Samples in groups: groups [N] and strata [N]."""

    groups: Integers
    strata: Integers
    alike: float

    def normal(self, rng: Generator, width: int = 1) -> Floats:
        """Standard normal values [N, width] that are alike within groups."""
        own = rng.normal(size=(int(self.groups.max()) + 1, width))[self.groups]
        found: Floats = math.sqrt(self.alike) * own + math.sqrt(1 - self.alike) * rng.normal(size=own.shape)
        return found

    def one(self, rng: Generator) -> Floats:
        """The same for a single value: [N]."""
        return self.normal(rng)[:, 0]

    def paired(self, rng: Generator, with_: Floats, correlation: float = PAIRED) -> Floats:
        """Values of the same kind with that correlation to others."""
        width = with_.shape[1] if with_.ndim == 2 else 1
        fresh = self.normal(rng, width).reshape(with_.shape)
        found: Floats = correlation * with_ + math.sqrt(1 - correlation**2) * fresh
        return found


def sampled(rng: Generator, layout: Layout, strata: int = 1) -> Sampled:
    """Groups of each stratum, numbered apart."""
    count = layout.groups * strata
    sizes = np.full(count, SIZE)
    if layout.unequal:
        sizes = np.maximum(1, np.rint(SIZE * np.exp(rng.normal(0, SPREAD, count)))).astype(np.int64)
    groups = np.repeat(np.arange(count), sizes)
    return Sampled(groups, groups // layout.groups, layout.alike)


def of_means(transform: Callable[[Floats], Floats], within: Range) -> Callable[[Generator, Layout], Trial]:
    """The mean of transformed standard normal values."""

    def simulate(rng: Generator, layout: Layout) -> Trial:
        s = sampled(rng, layout)
        values = transform(s.one(rng))
        return Trial(mean_over_groups(values, s.groups, within), s.groups, s.strata, mean_of(values))

    return simulate


def of_mean_differences(transform: Callable[[Floats], Floats], within: Range) -> Callable[[Generator, Layout], Trial]:
    """The difference of the means of two methods that are equally good."""

    def simulate(rng: Generator, layout: Layout) -> Trial:
        s = sampled(rng, layout)
        first = s.one(rng)
        one, other = transform(first), transform(s.paired(rng, first))
        both = [mean_over_groups(values, s.groups, within) for values in (one, other)]
        return Trial(both[0].minus(both[1]), s.groups, s.strata, mean_of(one - other))

    return simulate


def labelled(rng: Generator, layout: Layout, shift: float) -> tuple[Sampled, Floats]:
    """Samples with labels for strata and scores [N], those of anomalous ones `shift` higher."""
    s = sampled(rng, layout, 2)
    return s, s.one(rng) + shift * s.strata


def apart(area: float) -> float:
    """How far two standard normal distributions are apart that have this AUROC."""
    return math.sqrt(2) * float(stats.norm.ppf(area))


def of_auroc(area: float) -> Callable[[Generator, Layout], Trial]:
    def simulate(rng: Generator, layout: Layout) -> Trial:
        s, scores = labelled(rng, layout, apart(area))
        return Trial(auroc_over_groups(s.strata, scores, s.groups), s.groups, s.strata, auroc_of(s.strata, scores))

    return simulate


def auroc_differences(rng: Generator, layout: Layout) -> Trial:
    s, one = labelled(rng, layout, 0.0)
    moved = apart(0.8) * s.strata
    other = s.paired(rng, one) + moved
    one = one + moved
    statistics = auroc_of(s.strata, one), auroc_of(s.strata, other)
    found = auroc_difference(s.strata, one, other, s.groups)
    return Trial(found, s.groups, s.strata, lambda weights: statistics[0](weights) - statistics[1](weights))


def auprc(rng: Generator, layout: Layout) -> Trial:
    s, scores = labelled(rng, layout, apart(0.8))
    return Trial(auprc_over_groups(s.strata, scores, s.groups), s.groups, s.strata, auprc_of(s.strata, scores))


def true_auprc(shift: float) -> float:
    """Of as many anomalous as normal samples: the mean precision at the scores of anomalous ones."""
    t = np.linspace(-8, 8 + shift, 20001)
    hits, false = stats.norm.sf(t - shift), stats.norm.sf(t)
    return float(np.trapezoid(stats.norm.pdf(t - shift) * hits / (hits + false), t))


def at_threshold(name: str) -> Callable[[Generator, Layout], Trial]:
    """F1, accuracy, precision or recall."""

    def simulate(rng: Generator, layout: Layout) -> Trial:
        s, scores = labelled(rng, layout, SHIFT)
        called, anomalous = scores > THRESHOLD, s.strata == 1
        kinds = np.stack([called & anomalous, called & ~anomalous, ~called & anomalous, ~called & ~anomalous], axis=1)

        def rates(weights: Floats) -> Floats:
            hit, false, missed, right = (weights @ kinds).T
            found: dict[str, Floats] = {
                "f1": 2 * hit / np.maximum(2 * hit + false + missed, 1),
                "accuracy": (hit + right) / weights.sum(1),
                "precision": hit / np.maximum(hit + false, 1),
                "recall": hit / (hit + missed),
            }
            return found[name]

        return Trial(threshold_estimates(s.strata, s.groups, scores, THRESHOLD)[name], s.groups, s.strata, rates)

    return simulate


def rates_at_threshold() -> dict[str, float]:
    """What `at_threshold` estimates, for as many anomalous as normal samples."""
    hit, false = float(stats.norm.sf(THRESHOLD - SHIFT)), float(stats.norm.sf(THRESHOLD))
    return {
        "f1": 2 * hit / (hit + false + 1),
        "accuracy": (hit + 1 - false) / 2,
        "precision": hit / (hit + false),
        "recall": hit,
    }


def maps(rng: Generator, layout: Layout) -> Trial:
    s = sampled(rng, layout)
    truth = s.normal(rng, 3)
    found = s.paired(rng, truth, CORRELATED)
    return Trial(pearson_over_groups(truth, found, s.groups), s.groups, s.strata, pearson_of(truth, found))


def map_differences(rng: Generator, layout: Layout) -> Trial:
    s = sampled(rng, layout)
    truth, noise = s.normal(rng, 3), s.normal(rng, 3)
    both = [CORRELATED * truth + math.sqrt(1 - CORRELATED**2) * one for one in (noise, s.paired(rng, noise))]
    one, other = (pearson_over_groups(truth, found, s.groups) for found in both)
    statistics = [pearson_of(truth, found) for found in both]
    return Trial(one.minus(other), s.groups, s.strata, lambda weights: statistics[0](weights) - statistics[1](weights))


def relative_errors(rng: Generator, layout: Layout) -> Trial:
    s = sampled(rng, layout)
    truth, error = s.normal(rng, 3), 0.3 * s.normal(rng, 3)
    estimate = relative_error_over_groups(truth, truth + error, s.groups)

    def ratio(weights: Floats) -> Floats:
        found: Floats = ((weights @ np.abs(error)) / (weights @ np.abs(truth))).mean(1)
        return found

    return Trial(estimate, s.groups, s.strata, ratio)


def spectra(rng: Generator, layout: Layout, paired: bool) -> Trial:
    """Spectra that lie 3 dB apart at each of 12 frequencies: of two sets, or of images and their reconstructions."""
    s = sampled(rng, layout, 1 if paired else 2)
    common = s.normal(rng) / 2
    power = np.exp(common + s.normal(rng, 12) / 2)
    first = s.strata == 0
    mine = power[first] * 10**0.3
    theirs = power[first] * np.exp(s.normal(rng, 12) / 5 - 1 / 50) if paired else power[~first]
    grains = [
        Grain(np.ones(len(one)), np.ones(len(one)), one, groups)
        for one, groups in ((mine, s.groups[first]), (theirs, s.groups[first] if paired else s.groups[~first]))
    ]
    found = spectral_distance(*grains)
    assert found is not None

    def distance(weights: Floats) -> Floats:
        w = weights[:, first], weights[:, first] if paired else weights[:, ~first]
        sums = [one @ values / one.sum(1, keepdims=True) for one, values in zip(w, (mine, theirs), strict=True)]
        decibels: Floats = np.sqrt(((10 * np.log10(sums[0] / sums[1])) ** 2).mean(1))
        return decibels

    return Trial(found, s.groups, s.strata, distance)


WIDTH, MOVED = 4, 0.5  # features, and how far the generated ones lie from the real ones


# The kernel (x.y / D + 1)^3 is the product of these monomials of x and of y, each with its multinomial coefficient, so
# that sums over pairs are products of sums: for few features a hundred times as fast as all pairs.
MONOMIALS = list(combinations_with_replacement(range(WIDTH + 1), 3))
WEIGHTS = np.sqrt([6 / math.prod(math.factorial(n) for n in Counter(one).values()) for one in MONOMIALS])


def sums_of_products(x: GroupedSet, y: GroupedSet) -> Floats:
    """The kernel summed over the pairs of each two groups: [Gx, Gy]."""
    first, second = (np.add.reduceat(_monomials(one.values), one.starts, axis=0) for one in (x, y))
    found: Floats = first @ second.T
    return found


def _monomials(values: Floats) -> Floats:
    padded = np.column_stack([values / math.sqrt(WIDTH), np.ones(len(values))])
    found: Floats = WEIGHTS * padded[:, MONOMIALS].prod(-1)
    return found


def kid(values: Floats, s: Sampled, first: int, second: int, more: int | None = None) -> PairEstimate:
    def of(stratum: int) -> GroupedSet:
        mine = s.strata == stratum
        return grouped(Features(values[mine], s.groups[mine], "", ""))

    found = kid_over_groups(of(first), of(second), None if more is None else of(more), sums_of_products)
    assert found is not None
    return found


def of_kid(shift: float) -> Callable[[Generator, Layout], Trial]:
    def simulate(rng: Generator, layout: Layout) -> Trial:
        s = sampled(rng, layout, 2)
        values = s.normal(rng, WIDTH) + shift * s.strata[:, None]
        return Trial(kid(values, s, 0, 1), s.groups, s.strata, kid_of(values, s.strata, s.groups))

    return simulate


def kid_differences(rng: Generator, layout: Layout) -> Trial:
    s = sampled(rng, layout, 3)
    values = s.normal(rng, WIDTH) + MOVED * (s.strata > 0)[:, None]
    statistics = [kid_of(values, np.where(s.strata == one, 1, 2 * s.strata), s.groups) for one in (1, 2)]
    found = kid(values, s, 0, 1).minus(kid(values, s, 0, 2))
    return Trial(found, s.groups, s.strata, lambda weights: statistics[0](weights) - statistics[1](weights))


def kid_less_real(rng: Generator, layout: Layout) -> Trial:
    """KID against two halves of the real samples, less that of the halves."""
    s = sampled(rng, layout, 3)
    values = s.normal(rng, WIDTH) + MOVED * (s.strata == 2)[:, None]
    real = replace(kid(values, s, 0, 1), known_zero=True)
    return Trial(kid(values, s, 0, 2, 1).minus(real), s.groups, s.strata, None)


def true_kid(shift: float) -> float:
    """E k(x, x') + E k(y, y') - 2 E k(x, y) of standard normal x and of y = x + shift: moments of x.y by hand."""

    def mean(a: float, b: float) -> float:
        m, spread = WIDTH * a * b, WIDTH * (a**2 + b**2 + 1)
        third = m**3 + 3 * m * spread + 6 * m
        return third / WIDTH**3 + 3 * (m**2 + spread) / WIDTH**2 + 3 * m / WIDTH + 1

    return mean(0, 0) + mean(shift, shift) - 2 * mean(0, shift)


def series(which: str, within: Range) -> Callable[[Generator, Layout], Trial]:
    """Mean over 6 voxels of Pearson's r or of R^2 of time courses."""

    def simulate(rng: Generator, layout: Layout) -> Trial:
        s = sampled(rng, layout)
        truth = s.normal(rng, 6)
        folds = folds_of(s.groups)
        fit = voxel_fit(truth, s.paired(rng, truth, CORRELATED), folds)
        return Trial(over_folds((getattr(fit, which), folds), within=within), s.groups, s.strata, None)

    return simulate


LOADINGS = np.random.default_rng(0).normal(size=(2, 8))
KEPT = np.linspace(0.4, 1.0, 8)  # correlation of each voxel with its reconstruction


def patterns(rng: Generator, layout: Layout) -> Trial:
    s = sampled(rng, layout)
    scale = np.sqrt((LOADINGS**2).sum(0) + 1)
    truth = (s.normal(rng, 2) @ LOADINGS + s.normal(rng, 8)) / scale
    found = KEPT * truth + np.sqrt(1 - KEPT**2) * s.normal(rng, 8)
    folds = folds_of(s.groups)
    values = pattern_similarity(pattern_of(truth, folds), pattern_of(found, folds))
    return Trial(pattern_over_folds((values, folds)), s.groups, s.strata, None)


def true_pattern() -> float:
    scale = np.sqrt((LOADINGS**2).sum(0) + 1)
    matrix = (LOADINGS.T @ LOADINGS) / np.outer(scale, scale)
    upper = np.triu_indices(8, 1)
    return float(np.corrcoef(matrix[upper], (matrix * np.outer(KEPT, KEPT))[upper])[0, 1])


def below(share: float) -> Callable[[Floats], Floats]:
    limit = float(stats.norm.ppf(share))
    return lambda z: (z < limit).astype(np.float64)


def skewed(z: Floats) -> Floats:
    found: Floats = np.exp(SIGMA * z)
    return found


def cases() -> list[Case]:
    """Every statistic that prints an interval."""
    rates, same = rates_at_threshold(), lambda z: z
    return [
        Case("mean", 0.0, of_means(same, ANY)),
        Case("mean, skewed", math.exp(SIGMA**2 / 2), of_means(skewed, POSITIVE)),
        Case("share 0.80", 0.8, of_means(below(0.8), SHARE)),
        Case("share 0.97", 0.97, of_means(below(0.97), SHARE)),
        Case("difference of means", 0.0, of_mean_differences(same, ANY), True),
        Case("difference of means, skewed", 0.0, of_mean_differences(skewed, POSITIVE), True),
        Case("difference of shares", 0.0, of_mean_differences(below(0.8), SHARE), True),
        Case("AUROC 0.80", 0.8, of_auroc(0.8)),
        Case("AUROC 0.97", 0.97, of_auroc(0.97)),
        Case("difference of AUROCs", 0.0, auroc_differences, True),
        Case("AUPRC", true_auprc(apart(0.8)), auprc),
        *(Case(f"{name} at a threshold", value, at_threshold(name)) for name, value in rates.items()),
        Case("Pearson of maps", CORRELATED, maps),
        Case("difference of Pearson", 0.0, map_differences, True),
        Case("relative error", 0.3, relative_errors),
        Case("log-spectral distance", 3.0, lambda rng, layout: spectra(rng, layout, False)),
        Case("log-spectral distance, paired", 3.0, lambda rng, layout: spectra(rng, layout, True)),
        Case("KID", true_kid(MOVED), of_kid(MOVED)),
        Case("KID, real against real", 0.0, of_kid(0.0)),
        Case("difference of KIDs", 0.0, kid_differences, True),
        Case("KID less that of real samples", true_kid(MOVED), kid_less_real),
        Case("Pearson per voxel", CORRELATED, series("mean_pearson", CORRELATION)),
        Case("R2", 2 * CORRELATED - 1, series("mean_r2", Range(high=1.0))),
        Case("correlation pattern", true_pattern(), patterns),
    ]
