"""Spatial statistics of maps over points, with intervals.

Shapes: P points, C channels, G groups (blocks of points), B bootstrap draws, k neighbours.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

from vaeforge.evaluation.bootstrap import DRAWS, Interval, bootstrap_means, percentile_interval
from vaeforge.evaluation.comparison import MODEL, ComparisonRow

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
NEIGHBOURS = 8
INTERPOLATED_FROM = 5
EVERYTHING = Interval(-1.0, 1.0)


def neighbours_of(coordinates: NDArray[Any], count: int = NEIGHBOURS) -> Integers:
    """The nearest other points of each of points [P, 3], P >= 2: [P, min(count, P - 1)]."""
    kept = min(count, len(coordinates) - 1)
    # without argument, kneighbors leaves each point out of its own list
    found: Integers = NearestNeighbors(n_neighbors=kept).fit(coordinates).kneighbors(return_distance=False)
    return found


def morans_i(values: NDArray[Any], neighbours: Integers) -> Floats:
    """Moran's I of each channel (Moran 1950): values [P, C] to [C]; 0 where a channel is constant.

    I = sum_i (x_i - m) sum_j w_ij (x_j - m) / sum_i (x_i - m)^2 with w_ij = 1 / k for the k nearest neighbours. Near 1
    for smooth maps, -1 / (P - 1) expected for noise.
    """
    centred = values - values.mean(0, dtype=np.float64)
    around = sum((centred[column] for column in neighbours.T), np.zeros_like(centred)) / neighbours.shape[1]
    return _ratio((centred * around).sum(0), (centred**2).sum(0))


def relative_error(truth: NDArray[Any], found: NDArray[Any]) -> Floats:
    """sum |found - truth| / sum |truth| of each channel: [P, C] twice to [C].

    The mean of |found - truth| / |truth| would be ruled by the points at which a channel passes through 0.
    """
    return _ratio(np.abs(found - truth).sum(0, dtype=np.float64), np.abs(truth).sum(0, dtype=np.float64))


def relative_error_interval(truth: NDArray[Any], found: NDArray[Any], groups: Integers, seed: int) -> Interval:
    """The 95 % interval over groups of `relative_error`'s mean over channels; [0, inf) with a single group.

    Args:
        truth: [P, C].
        found: [P, C].
        groups: int64 [P], independent groups.
        seed: of the draws.
    """
    if len(np.unique(groups)) < 2:
        return Interval(0.0, np.inf)
    errors, sizes = np.abs(found - truth).astype(np.float64), np.abs(truth).astype(np.float64)
    drawn = [
        bootstrap_means(groups, {"error": errors[:, channel], "size": sizes[:, channel]}, seed)
        for channel in range(truth.shape[1])
    ]
    return percentile_interval(np.mean([_ratio(one["error"], one["size"]) for one in drawn], axis=0))


def outside(found: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> Floats:
    """The share of the values [P, C] of each channel outside [low, high], both [C]: [C]."""
    share: Floats = ((found < low) | (found > high)).mean(0)
    return share


def _ratio(above: Floats, below: Floats) -> Floats:
    known = below > 0
    ratio: Floats = np.where(known, above / np.where(known, below, 1.0), 0.0)
    return ratio


def pearson(truth: NDArray[Any], found: NDArray[Any]) -> Floats:
    """Pearson's correlation of each channel, [P, C] twice to [C]; 0 where either is constant, which tells nothing."""
    return _correlation(_moments(truth, found).sum(0))


def pearson_draws(truth: NDArray[Any], found: NDArray[Any], groups: Integers, seed: int, draws: int = DRAWS) -> Floats:
    """`pearson` in each of `draws` draws of whole groups, the same draws for the same seed: [B, C].

    Args:
        truth: [P, C].
        found: [P, C].
        groups: int64 [P], independent groups.
        seed: of the draws.
        draws: how many times groups are drawn.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    moments = _moments(truth, found)
    sums = np.zeros((len(names), *moments.shape[1:]))
    np.add.at(sums, group_of, moments)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), draws)
    return _correlation(np.tensordot(drawn.astype(np.float64), sums, axes=1))


def _moments(truth: NDArray[Any], found: NDArray[Any]) -> Floats:
    """1, x, y, xx, yy, xy of each value, both less their means so that differences of sums stay exact: [P, C, 6]."""
    x, y = (values - values.mean(0, dtype=np.float64) for values in (truth, found))
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)


def _correlation(sums: Floats) -> Floats:
    """Pearson's correlation from sums [..., 6]."""
    count, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread_x, spread_y = xx - x * x / count, yy - y * y / count
    # what rounding leaves of the spread of a constant is no spread
    known = (spread_x > 1e-12 * xx) & (spread_y > 1e-12 * yy) & (spread_x * spread_y > 0)
    root = np.sqrt(np.where(known, spread_x * spread_y, 1.0))
    correlation: Floats = np.where(known, (xy - x * y / count) / root, 0.0)
    return correlation.clip(-1.0, 1.0)


def interval_of(drawn: Floats, groups: Integers) -> Interval:
    """The middle 95 % of drawn correlations; [-1, 1], which says nothing, where there is a single group."""
    return percentile_interval(drawn) if len(np.unique(groups)) > 1 else EVERYTHING


def compare_pearson(
    metric: str, truth: NDArray[Any], found: Mapping[str, NDArray[Any]], groups: Integers, seed: int
) -> list[ComparisonRow]:
    """Pearson's correlation, mean over channels, of each of the named values [P, C] against the one named `model`.

    Args:
        metric: what is compared, for titles.
        truth: [P, C].
        found: [P, C] by the method's name.
        groups: int64 [P], independent groups.
        seed: of the draws.
    """
    value = {name: float(pearson(truth, values).mean()) for name, values in found.items()}
    drawn = {name: pearson_draws(truth, values, groups, seed).mean(1) for name, values in found.items()}
    rows = []
    for name in found:
        low, high = interval_of(drawn[name], groups)
        less = interval_of(drawn[MODEL] - drawn[name], groups)
        difference = value[MODEL] - value[name]
        rows.append(ComparisonRow(metric, "higher", name, value[name], low, high, difference, less.low, less.high))
    return rows


def interpolate(known: NDArray[Any], values: NDArray[Any], wanted: NDArray[Any]) -> Floats:
    """Values [P, C] at points [P, 3] carried to other points [Q, 3]: [Q, C].

    The mean of the five nearest known points, weighted by 1 / distance.
    """
    count = min(INTERPOLATED_FROM, len(known))
    fitted = KNeighborsRegressor(count, weights="distance").fit(known, values)
    found: Floats = fitted.predict(wanted).reshape(len(wanted), -1)
    return found
