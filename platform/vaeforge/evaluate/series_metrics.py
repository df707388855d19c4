"""How near reconstructed or generated voxel series come to real ones.

Shapes: N time points, V voxels, G groups (blocks of time, or subjects), B draws, P = K (K - 1) / 2 pairs of K voxels.
Values are z-scored with the statistics of the training data, so that every voxel counts alike.

Pearson's r, R^2 = 1 - SSE / SST and correlation patterns are no means over time points: they are drawn again from sums
per group, each group counted as often as it was drawn.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, kurtosis, skew

from vaeforge.evaluate.bootstrap import Interval, middle
from vaeforge.evaluate.comparison import MODEL, Row

DRAWS = 500
CHUNK = 25  # draws at once: 25 x 124750 pairs are 25 MB
BUNDLES = 64
PATTERN_VOXELS = 500
COMPARED_VALUES = 1_000_000
BINS = 100
ROUNDING = 1e-12  # what rounding leaves of the spread of a constant, relative to its mean square
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def varying(truth: Floats) -> NDArray[np.bool_]:
    """Which voxels of [N, V] are not constant, and so have a correlation: [V]."""
    kept: NDArray[np.bool_] = truth.max(0) > truth.min(0)
    return kept


def error_metrics(truth: Floats, found: Floats) -> dict[str, float]:
    """Errors over all values of [N, V] twice: `mse`, `rmse`, `mae`, and from them

    nrmse = rmse / (max - min of the truth), psnr = -20 log10 nrmse dB, snr = 10 log10(sum x^2 / sum (x - x^)^2) dB.
    """
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
    x, y = (values - values.mean(-1, keepdims=True) for values in (x, y))
    return _ratio((x * y).sum(-1), np.sqrt(np.square(x).sum(-1) * np.square(y).sum(-1)))


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


def thinned(values: Floats) -> Floats:
    """At most a million of the values, evenly spaced in their order: [n]."""
    flat = values.reshape(-1)
    return flat[np.linspace(0, flat.size - 1, min(flat.size, COMPARED_VALUES)).round().astype(np.int64)]


@dataclass(frozen=True)
class Draws:
    """How groups are drawn with replacement, the same draws for whatever is compared.

    Attributes:
        group_of: [N], the place of each time point's group. More than 64 groups are bundled, neighbours together.
        weights: how often each group counts, [1 + B, G]; the first row counts each once.
        known: whether there are two groups or more; of the spread of one, nothing is known.
    """

    group_of: Integers
    weights: Floats
    known: bool

    def interval(self, drawn: Floats) -> Interval:
        """The middle 95 % of statistics [1 + B] of the draws."""
        return middle(drawn[1:]) if self.known else Interval(-np.inf, np.inf)


def draw_groups(groups: Integers, seed: int, draws: int = DRAWS) -> Draws:
    """Draws of the groups of N time points, which are sorted by name."""
    names, group_of = np.unique(groups, return_inverse=True)
    if len(names) > BUNDLES:
        group_of = group_of * BUNDLES // len(names)
    count = min(len(names), BUNDLES)
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws)
    return Draws(group_of, np.concatenate([np.ones((1, count)), times]), count > 1)


def _group_sums(values: Floats, draws: Draws) -> Floats:
    """Values [N, ...] added up within each group: [G, ...]."""
    sums = np.zeros((draws.weights.shape[1], *values.shape[1:]))
    np.add.at(sums, draws.group_of, values)
    return sums


@dataclass(frozen=True)
class VoxelFit:
    """Pearson's r and R^2 of each voxel [V], and their means over voxels in each draw [1 + B]."""

    pearson: Floats
    r2: Floats
    drawn_pearson: Floats
    drawn_r2: Floats


def voxel_fit(truth: Floats, found: Floats, draws: Draws) -> VoxelFit:
    """Correlation and explained variance over time of each voxel, [N, V] twice, no voxel of the truth constant.

    A voxel whose reconstruction alone is constant has r = 0: it follows nothing. A voxel that is constant in a draw is
    left out of that draw's mean.
    """
    x, y = (values - truth.mean(0) for values in (truth, found))
    sums = [_group_sums(values, draws) for values in (x, y, x * x, y * y, x * y)]
    counts = np.bincount(draws.group_of, minlength=draws.weights.shape[1])
    size = max(1, CHUNK * PATTERN_VOXELS**2 // (2 * truth.shape[1]))
    parts = [
        [weights @ some for some in sums] + [(weights @ counts)[:, None]] for weights in _chunks(draws.weights, size)
    ]
    fits = [_fit_of(*part) for part in parts]
    means = [np.concatenate([_mean_over(values, kept) for *both, kept in fits for values in [both[n]]]) for n in (0, 1)]
    return VoxelFit(fits[0][0][0], fits[0][1][0], means[0], means[1])


def _chunks(weights: Floats, size: int) -> list[Floats]:
    return [weights[start : start + size] for start in range(0, len(weights), size)]


def _fit_of(x: Floats, y: Floats, xx: Floats, yy: Floats, xy: Floats, count: Floats) -> tuple[Floats, Floats, Floats]:
    """r, R^2 and whether the truth varies, all [b, V], from sums [b, V] and counts [b, 1]."""
    spread_x, spread_y = (_spread(square, one, count) for square, one in ((xx, x), (yy, y)))
    correlation = _ratio(xy - x * y / count, np.sqrt(spread_x * spread_y)).clip(-1.0, 1.0)
    return correlation, 1 - _ratio(xx - 2 * xy + yy, spread_x), (spread_x > 0).astype(np.float64)


def _spread(square: Floats, value: Floats, count: Floats) -> Floats:
    """Sum of squares about the mean, exactly 0 for constants."""
    spread = square - value * value / count
    result: Floats = np.where(spread > ROUNDING * square, spread, 0.0)
    return result


def _mean_over(values: Floats, kept: Floats) -> Floats:
    mean: Floats = (values * kept).sum(1) / np.maximum(kept.sum(1), 1.0)
    return mean


def pattern_voxels(count: int) -> Integers:
    """At most 500 of `count` voxels, evenly spaced: the pairs of more would not fit into memory draw by draw."""
    return np.linspace(0, count - 1, min(count, PATTERN_VOXELS)).round().astype(np.int64)


@dataclass(frozen=True)
class Pattern:
    """The voxel by voxel correlations of one set of time points, to be drawn again.

    Attributes:
        draws: of its groups.
        counts: [G]; `sums` and `squares` of each voxel [G, K], `products` of each pair [G, P].
    """

    draws: Draws
    counts: Integers
    sums: Floats
    squares: Floats
    products: Floats

    def correlations(self, weights: Floats) -> Floats:
        """The upper triangles of the correlation matrices under weights [b, G]: [b, P]; 0 with a constant voxel."""
        count = (weights @ self.counts)[:, None]
        first, second = np.triu_indices(self.sums.shape[1], 1)
        sums = weights @ self.sums
        spread = np.sqrt(_spread(weights @ self.squares, sums, count))
        above = weights @ self.products - sums[:, first] * sums[:, second] / count
        return _ratio(above, spread[:, first] * spread[:, second])


def pattern_of(values: Floats, draws: Draws) -> Pattern:
    """The pattern of time points [N, V] over evenly spaced voxels."""
    some = values[:, pattern_voxels(values.shape[1])]
    some = some - some.mean(0)
    first, second = np.triu_indices(some.shape[1], 1)
    places = range(draws.weights.shape[1])
    products = [(part.T @ part)[first, second] for place in places for part in [some[draws.group_of == place]]]
    counts = np.bincount(draws.group_of, minlength=len(places))
    return Pattern(draws, counts, _group_sums(some, draws), _group_sums(some * some, draws), np.stack(products))


def pattern_similarity(truth: Pattern, found: Pattern) -> Floats:
    """Pearson's correlation of two patterns over the pairs of voxels, in each draw of both: [1 + B]."""
    pairs = zip(_chunks(truth.draws.weights, CHUNK), _chunks(found.draws.weights, CHUNK), strict=True)
    return np.concatenate([pearson(truth.correlations(one), found.correlations(other)) for one, other in pairs])


def correlation_matrix(values: Floats) -> Floats:
    """Voxel by voxel correlations of time points [N, V] over evenly spaced voxels: [K, K]; 0 with a constant voxel."""
    some = values[:, pattern_voxels(values.shape[1])]
    centred = some - some.mean(0)
    spread = np.sqrt(_spread(np.square(some).sum(0), some.sum(0), np.float64(len(some)) * np.ones(1)))
    return _ratio(centred.T @ centred, spread[:, None] * spread)


def compare_draws(metric: str, drawn: Mapping[str, Floats], draws: Draws) -> list[Row]:
    """Statistics [1 + B] of each way of doing it, higher for better, against those of the one named `model`."""
    rows = []
    for name, values in drawn.items():
        less = drawn[MODEL] - values
        own, spread = draws.interval(values), draws.interval(less)
        beats = name != MODEL and spread.low > 0
        rows.append(Row(metric, "higher", name, float(values[0]), *own, float(less[0]), *spread, beats))
    return rows
