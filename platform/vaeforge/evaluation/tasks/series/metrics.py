"""Metrics of reconstructed or generated voxel series beside real ones.

Shapes: N time points, V voxels, G groups (blocks of time, or subjects), P = K (K - 1) / 2 pairs of K voxels. Values are
z-scored with the statistics of the training data, so that every voxel counts alike. Missing values (NaN) are in no sum:
reconstructions are judged where the truth is observed, and two voxels correlate over the time points at which both are.

Pearson's r, R^2 = 1 - SSE / SST and correlation patterns are no means over time points, and smaller the fewer different
groups they are of, so that the percentiles of a bootstrap lie beside the estimate. Their intervals are the jackknife's
(`intervals`), which leaves out one group at a time.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, kurtosis, skew

from vaeforge.data.missing import mean_of
from vaeforge.evaluation.intervals import ANY, CORRELATION, NEVER, GroupEstimate, LeftOut, Range, jackknife

BUNDLES = 64
PATTERN_VOXELS = 500
COMPARED_VALUES = 1_000_000
BINS = 100
ROUNDING = 1e-12  # what rounding leaves of the spread of a constant, relative to its mean square
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def varying(truth: Floats) -> NDArray[np.bool_]:
    """Which voxels of [N, V] are not constant, and so have a correlation: [V]."""
    kept: NDArray[np.bool_] = np.fmax.reduce(truth) > np.fmin.reduce(truth)
    return kept


def error_metrics(truth: Floats, found: Floats) -> dict[str, float]:
    """Errors over all values of [N, V] twice: `mse`, `rmse`, `mae`, and from them

    nrmse = rmse / (max - min of the truth), psnr = -20 log10 nrmse dB, snr = 10 log10(sum x^2 / sum (x - x^)^2) dB.
    """
    missing = np.isnan(truth)
    if missing.any():
        truth, found = truth[~missing], found[~missing]
    error = found - truth
    mse = max(float(np.square(error).mean()), np.finfo(np.float64).tiny)
    spread, rmse = float(np.ptp(truth)), math.sqrt(mse)
    return {
        "mse": mse,
        "rmse": rmse,
        "mae": float(np.abs(error).mean()),
        "nrmse": rmse / spread,
        "snr": 10 * math.log10(float(np.square(truth).mean()) / mse),
        "psnr": -20 * math.log10(rmse / spread),
    }


def pearson(x: Floats, y: Floats) -> Floats:
    """Pearson's correlation along the last axis, [..., n] twice to [...]; 0 where either is constant."""
    missing = np.isnan(x) | np.isnan(y)
    if missing.any():
        x, y = (_centred_where(~missing, values) for values in (x, y))
    else:
        x, y = (values - values.mean(-1, keepdims=True) for values in (x, y))
    return _ratio((x * y).sum(-1), np.sqrt(np.square(x).sum(-1) * np.square(y).sum(-1)))


def _centred_where(observed: NDArray[np.bool_], values: Floats) -> Floats:
    """Values [..., n] less the mean of those observed along the last axis, 0 for others."""
    count = np.maximum(observed.sum(-1, keepdims=True), 1)
    centred: Floats = np.where(observed, values - np.where(observed, values, 0.0).sum(-1, keepdims=True) / count, 0.0)
    return centred


def _ratio(above: Floats, below: Floats) -> Floats:
    known = below > 0
    ratio: Floats = np.where(known, above / np.where(known, below, 1.0), 0.0)
    return ratio


def moments(values: Floats) -> dict[str, float]:
    """Mean, standard deviation, skewness and excess kurtosis (0 for a Gaussian) over all values."""
    flat = thinned(values)
    return {
        "mean": float(flat.mean()),
        "sd": float(flat.std()),
        "skewness": float(skew(flat)),
        "kurtosis": float(kurtosis(flat)),
    }


def distances(truth: Floats, found: Floats) -> dict[str, float]:
    """Between the distributions of all values: `ks`, the Kolmogorov-Smirnov statistic, and `js`.

    `js` is the Jensen-Shannon divergence of histograms over 100 common bins in nats, from 0 to log 2.
    """
    x, y = thinned(truth), thinned(found)
    edges = np.histogram_bin_edges(np.concatenate([x, y]), BINS)
    counts = [np.histogram(values, edges)[0] for values in (x, y)]
    ks = ks_2samp(x, y, method="asymp").statistic
    return {"ks": float(ks), "js": float(jensenshannon(*counts) ** 2)}


def observed_of(values: Floats) -> Floats:
    """The values that are not missing, in their order: [n]."""
    flat = values.reshape(-1)
    missing = np.isnan(flat)
    return flat[~missing] if missing.any() else flat


def thinned(values: Floats) -> Floats:
    """At most a million of the observed values, evenly spaced in their order: [n]."""
    flat = observed_of(values)
    return flat[np.linspace(0, flat.size - 1, min(flat.size, COMPARED_VALUES)).round().astype(np.int64)]


@dataclass(frozen=True)
class Folds:
    """Which time points are left out together.

    Attributes:
        names: [G], of the groups. More than 64 of them are bundled, neighbours together, under the name of the first.
        group_of: [N], the place of each time point's group.
        weights: [1 + G, G], whether a group counts: all in the first row, all but the g-th in the row after g others.
    """

    names: Integers
    group_of: Integers
    weights: Floats


def folds_of(groups: Integers) -> Folds:
    """The folds of N time points by the names [N] of their groups."""
    names, group_of = np.unique(groups, return_inverse=True)
    count = min(len(names), BUNDLES)
    bundle = np.arange(len(names)) * count // len(names)
    left_out = 1 - np.eye(count) if count > 1 else np.empty((0, 1))
    weights = np.concatenate([np.ones((1, count)), left_out])
    return Folds(names[np.unique(bundle, return_index=True)[1]], bundle[group_of], weights)


def over_folds(*folded: tuple[Floats, Folds], within: Range = ANY) -> GroupEstimate:
    """The estimate of a statistic from its value, then that with each group left out, [1 + G], and the folds.

    Given twice, each time with the groups of another independent sample left out.
    """
    left_out = [LeftOut(folds.names, _group_counts(folds), values[1:]) for values, folds in folded]
    return jackknife(float(folded[0][0][0]), *left_out, within=within)


def _group_sums(values: Floats, folds: Folds) -> Floats:
    """Values [N, ...] added up within each group: [G, ...]."""
    sums = np.zeros((folds.weights.shape[1], *values.shape[1:]))
    np.add.at(sums, folds.group_of, values)
    return sums


def _group_counts(folds: Folds) -> Floats:
    """Time points of each group: [G]."""
    return np.bincount(folds.group_of, minlength=folds.weights.shape[1]).astype(np.float64)


@dataclass(frozen=True)
class VoxelFit:
    """Pearson's r and R^2 of each voxel [V], and their means over voxels in each fold [1 + G]."""

    pearson: Floats
    r2: Floats
    mean_pearson: Floats
    mean_r2: Floats


def voxel_fit(truth: Floats, found: Floats, folds: Folds) -> VoxelFit:
    """Correlation and explained variance of each voxel over observed times, [N, V] twice; no voxel of truth constant.

    A voxel whose reconstruction alone is constant has r = 0: it follows nothing. A voxel that is constant in a fold is
    left out of that fold's mean.
    """
    x, y = (values - mean_of(truth) for values in (truth, found))
    missing = np.isnan(x)
    if missing.any():
        x, y = (np.where(missing, 0.0, values) for values in (x, y))
        counts = np.maximum(folds.weights @ _group_sums(np.where(missing, 0.0, 1.0), folds), 1.0)
    else:
        counts = (folds.weights @ _group_counts(folds))[:, None]
    sums = [_group_sums(values, folds) for values in (x, y, x * x, y * y, x * y)]
    r, r2, varies = _fit_of([folds.weights @ some for some in sums], counts)
    return VoxelFit(r[0], r2[0], _mean_over(r, varies), _mean_over(r2, varies))


def _fit_of(sums: list[Floats], count: Floats) -> tuple[Floats, Floats, Floats]:
    """r, R^2 and whether the truth varies, all [f, V], from sums of x, y, xx, yy, xy [f, V] over counts [f, 1 or V]."""
    x, y, xx, yy, xy = sums
    spread_x, spread_y = (_spread(square, one, count) for square, one in ((xx, x), (yy, y)))
    correlation = _ratio(xy - x * y / count, np.sqrt(spread_x * spread_y)).clip(-1.0, 1.0)
    return correlation, 1 - _ratio(xx - 2 * xy + yy, spread_x), (spread_x > 0).astype(np.float64)


def _spread(square: Floats, value: Floats, count: Floats | float) -> Floats:
    """Sum of squares about the mean, exactly 0 for constants."""
    spread = square - value * value / count
    result: Floats = np.where(spread > ROUNDING * square, spread, 0.0)
    return result


def _mean_over(values: Floats, kept: Floats) -> Floats:
    mean: Floats = (values * kept).sum(1) / np.maximum(kept.sum(1), 1.0)
    return mean


def pattern_voxels(count: int) -> Integers:
    """At most 500 of `count` voxels, evenly spaced: the pairs of more would not fit into memory group by group."""
    return np.linspace(0, count - 1, min(count, PATTERN_VOXELS)).round().astype(np.int64)


@dataclass(frozen=True)
class Pattern(ABC):
    """The voxel by voxel correlations of one set of time points, group by group, in `folds` of its groups."""

    folds: Folds

    @abstractmethod
    def correlations(self, weights: Floats) -> Floats:
        """The upper triangle of the correlation matrix of the groups with weights [G]: [P]; 0 with a constant voxel."""


@dataclass(frozen=True)
class CompletePattern(Pattern):
    """That of complete time points: `sums` and `squares` of each voxel [G, K], `products` of each pair [G, P]."""

    sums: Floats
    squares: Floats
    products: Floats

    def correlations(self, weights: Floats) -> Floats:
        count, sums = weights @ _group_counts(self.folds), weights @ self.sums
        first, second = np.triu_indices(len(sums), 1)
        spread = np.sqrt(_spread(weights @ self.squares, sums, count))
        above = weights @ self.products - sums[first] * sums[second] / count
        return _ratio(above, spread[first] * spread[second])


@dataclass(frozen=True)
class PairwisePattern(Pattern):
    """That of time points with missing values, each pair of voxels over the time points at which both are observed.

    Attributes:
        sums: [6, G, P], over these time points of each pair: their count, the one voxel, the other, their squares, and
            the product.
    """

    sums: Floats

    def correlations(self, weights: Floats) -> Floats:
        count, one, other, squares, others, products = (weights @ some for some in self.sums)
        count = np.maximum(count, 1.0)
        spread = np.sqrt(_spread(squares, one, count) * _spread(others, other, count))
        return _ratio(products - one * other / count, spread).clip(-1.0, 1.0)


def pattern_of(values: Floats, folds: Folds) -> Pattern:
    """The pattern of time points [N, V] over evenly spaced voxels."""
    some = values[:, pattern_voxels(values.shape[1])]
    some = some - mean_of(some)
    upper = np.triu_indices(some.shape[1], 1)
    parts = [some[folds.group_of == place] for place in range(folds.weights.shape[1])]
    if np.isnan(some).any():
        return PairwisePattern(folds, np.stack([_pair_sums(part, upper) for part in parts], axis=1))
    products = np.stack([(part.T @ part)[upper] for part in parts])
    return CompletePattern(folds, _group_sums(some, folds), _group_sums(some * some, folds), products)


def _pair_sums(values: Floats, upper: tuple[Integers, ...]) -> Floats:
    """`PairwisePattern.sums` of the time points [n, K] of a group, pairs as in `upper`: [6, P]."""
    there = np.where(np.isnan(values), 0.0, 1.0)
    x = np.where(np.isnan(values), 0.0, values)
    sums, squares = x.T @ there, (x * x).T @ there  # [i, j]: of i where j is observed, too
    return np.stack([some[upper] for some in (there.T @ there, sums, sums.T, squares, squares.T, x.T @ x)])


def pattern_similarity(truth: Pattern, found: Pattern) -> Floats:
    """Pearson's correlation of two patterns over pairs of voxels: of all, then without each group of both. [1 + G]"""
    return _similarity(truth, truth.folds.weights, found, found.folds.weights)


def independent_similarity(truth: Pattern, found: Pattern) -> tuple[Floats, Floats]:
    """The same where the two are of different time points: without each group of the one, and of the other."""
    return (
        _similarity(
            truth, truth.folds.weights, found, np.ones((len(truth.folds.weights), found.folds.weights.shape[1]))
        ),
        _similarity(
            truth, np.ones((len(found.folds.weights), truth.folds.weights.shape[1])), found, found.folds.weights
        ),
    )


def pattern_over_folds(*folded: tuple[Floats, Folds]) -> GroupEstimate:
    """The estimate of the similarity of two patterns, as `over_folds`: its bias taken off, and no interval.

    Noise makes patterns of few groups less alike. The jackknife takes off the bias but for what is of order 1 / G^2,
    which is too much still: intervals held the truth in 83 to 89 of 100 samples of 20 to 50 clustered groups
    (`benchmarks/README.md`).
    """
    return replace(over_folds(*folded, within=CORRELATION).without_bias(), needs=NEVER)


def _similarity(truth: Pattern, weights: Floats, found: Pattern, others: Floats) -> Floats:
    pairs = zip(weights, others, strict=True)
    return np.array([pearson(truth.correlations(one), found.correlations(other)) for one, other in pairs])


def correlation_matrix(values: Floats) -> Floats:
    """Voxel by voxel correlations of time points [N, V] over evenly spaced voxels: [K, K]; 0 with a constant voxel."""
    some = values[:, pattern_voxels(values.shape[1])]
    if np.isnan(some).any():
        return _pairwise_matrix(some)
    centred = some - some.mean(0)
    spread = np.sqrt(_spread(np.square(some).sum(0), some.sum(0), len(some)))
    return _ratio(centred.T @ centred, spread[:, None] * spread)


def _pairwise_matrix(values: Floats) -> Floats:
    """The same where values [N, K] are missing."""
    matrix = np.diag(varying(values).astype(np.float64))
    first, second = np.triu_indices(len(matrix), 1)
    pattern = pattern_of(values, folds_of(np.zeros(len(values), dtype=np.int64)))
    matrix[first, second] = matrix[second, first] = pattern.correlations(np.ones(1))
    return matrix
