"""Spatial statistics of maps over points, with intervals.

Shapes: P points, C channels, G groups (blocks of points), k neighbours. Of two maps that are compared, points at which
the truth is missing (NaN) count in nothing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

from vaeforge.data.missing import mean_of
from vaeforge.evaluation.comparison import ComparisonRow, compare
from vaeforge.evaluation.intervals import CORRELATION, POSITIVE, GroupEstimate, of_sums, sums_over_groups

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
NEIGHBOURS = 8
INTERPOLATED_FROM = 5


def neighbours_of(coordinates: NDArray[Any], count: int = NEIGHBOURS) -> Integers:
    """The nearest other points of each of points [P, 3], P >= 2: [P, min(count, P - 1)]."""
    kept = min(count, len(coordinates) - 1)
    # without argument, kneighbors leaves each point out of its own list
    found: Integers = NearestNeighbors(n_neighbors=kept).fit(coordinates).kneighbors(return_distance=False)
    return found


def morans_i(values: NDArray[Any], neighbours: Integers) -> Floats:
    """Moran's I of each channel (Moran 1950): values [P, C] to [C]; 0 where a channel is constant.

    I = sum_i (x_i - m) sum_j w_ij (x_j - m) / sum_i (x_i - m)^2 with w_ij = 1 / k for the k nearest neighbours. Near 1
    for smooth maps, -1 / (P - 1) expected for noise. Over pairs of observed points alone, I with the weights left:
    (P / W) sum_i (x_i - m) sum_j w_ij (x_j - m) / sum_i (x_i - m)^2, W the sum of the weights.
    """
    observed = ~np.isnan(values)
    centred = np.where(observed, values - mean_of(values), 0.0)
    around = _over_neighbours(centred, neighbours)
    weight = (observed * _over_neighbours(observed.astype(np.float64), neighbours)).sum(0)
    return _ratio((centred * around).sum(0) * observed.sum(0), (centred**2).sum(0) * weight)


def _over_neighbours(values: Floats, neighbours: Integers) -> Floats:
    """The mean of each point's neighbours: [P, C]."""
    around: Floats = sum((values[column] for column in neighbours.T), np.zeros_like(values)) / neighbours.shape[1]
    return around


def relative_error(truth: NDArray[Any], found: NDArray[Any]) -> Floats:
    """sum |found - truth| / sum |truth| of each channel: [P, C] twice to [C].

    The mean of |found - truth| / |truth| would be ruled by the points at which a channel passes through 0.
    """
    return _ratio(
        np.nansum(np.abs(found - truth), axis=0, dtype=np.float64), np.nansum(np.abs(truth), axis=0, dtype=np.float64)
    )


def relative_error_over_groups(truth: NDArray[Any], found: NDArray[Any], groups: Integers) -> GroupEstimate:
    """`relative_error`'s mean over channels, of values [P, C] twice in groups [P]."""
    parts = np.nan_to_num(np.stack([np.abs(found - truth), np.abs(truth)], axis=-1).astype(np.float64))
    sums = sums_over_groups(parts, groups)
    return of_sums(lambda some: _ratio(some[..., 0], some[..., 1]).mean(-1), sums, within=POSITIVE)


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


def pearson_over_groups(truth: NDArray[Any], found: NDArray[Any], groups: Integers) -> GroupEstimate:
    """`pearson`'s mean over channels, of values [P, C] twice in groups [P]."""
    sums = sums_over_groups(_moments(truth, found), groups)
    return of_sums(lambda some: _correlation(some).mean(-1), sums, within=CORRELATION)


def _moments(truth: NDArray[Any], found: NDArray[Any]) -> Floats:
    """1, x, y, xx, yy, xy of each value, both less their means so that differences of sums stay exact: [P, C, 6].

    All are 0 where the truth is missing.
    """
    observed = ~np.isnan(truth)
    x, y = (np.where(observed, values - mean_of(values), 0.0) for values in (truth, found))
    return np.stack([observed.astype(np.float64), x, y, x * x, y * y, x * y], axis=-1)


def _correlation(sums: Floats) -> Floats:
    """Pearson's correlation from sums [..., 6]."""
    count, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    count = np.maximum(count, 1)  # where nothing is observed all sums are 0
    spread_x, spread_y = xx - x * x / count, yy - y * y / count
    # what rounding leaves of the spread of a constant is no spread
    known = (spread_x > 1e-12 * xx) & (spread_y > 1e-12 * yy) & (spread_x * spread_y > 0)
    root = np.sqrt(np.where(known, spread_x * spread_y, 1.0))
    correlation: Floats = np.where(known, (xy - x * y / count) / root, 0.0)
    return correlation.clip(-1.0, 1.0)


def compare_pearson(
    metric: str, truth: NDArray[Any], found: Mapping[str, NDArray[Any]], groups: Integers
) -> list[ComparisonRow]:
    """Pearson's correlation, mean over channels, of each of the named values [P, C] against the one named `model`.

    Args:
        metric: what is compared, for titles.
        truth: [P, C].
        found: [P, C] by the method's name.
        groups: int64 [P], independent groups.
    """
    alike = {name: pearson_over_groups(truth, values, groups) for name, values in found.items()}
    return compare(metric, "higher", alike)


def interpolate(known: NDArray[Any], values: NDArray[Any], wanted: NDArray[Any]) -> Floats:
    """Values [P, C] at points [P, 3] carried to other points [Q, 3]: [Q, C].

    The mean of the five nearest known points, weighted by 1 / distance; of each channel those at which it is observed.
    """
    observed = ~np.isnan(values)
    if observed.all():
        return _interpolated(known, values, wanted)
    columns = [_interpolated(known[own], column[own], wanted) for own, column in zip(observed.T, values.T, strict=True)]
    return np.concatenate(columns, axis=1)


def _interpolated(known: NDArray[Any], values: NDArray[Any], wanted: NDArray[Any]) -> Floats:
    count = min(INTERPOLATED_FROM, len(known))
    fitted = KNeighborsRegressor(count, weights="distance").fit(known, values)
    found: Floats = fitted.predict(wanted).reshape(len(wanted), -1)
    return found
