"""Kernel inception distance (KID): how far one set of features lies from another, with intervals over groups.

KID (Bińkowski et al. 2018) is the squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3. There is one
estimate of it here, the unbiased one over all pairs, which torchmetrics' `poly_mmd` computes, too:

    sum_{i != j} k(x_i, x_j) / (N (N - 1)) + sum_{i != j} k(y_i, y_j) / (M (M - 1)) - 2 sum_{ij} k(x_i, y_j) / (N M)

All samples are used at once, not the mean over subsets, which is the same number with more noise. It may be negative,
has no dimension, and has no bias at any N and M. Groups do not enter the estimate, only its interval: a bootstrap draws
the groups of each set with replacement, whole, and weighs the pairs. Copies of one group are never paired with each
other, which would be a sample against itself and would push each draw up. Near zero, where the statistic is degenerate,
the interval is too wide rather than too narrow.

Shapes: N samples, D features, G groups, B draws. All sums are taken in float64.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError
from vaeforge.evaluation.bootstrap import Interval, percentile_interval
from vaeforge.evaluation.extractor import Features

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
DRAWS = 500
MIN_GROUPS = 8  # with fewer, the percentiles of a bootstrap say nothing
CHUNK = 1024


def kid(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The KID of features [N, D] and [M, D].

    Raises:
        DataError: if the numbers of features differ or a set has fewer than two samples.
    """
    require_alike(first, second)
    x, y = first.astype(np.float64), second.astype(np.float64)
    within = [(_all_pairs(z, z) - _kernel_diagonal(z).sum()) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(sum(within) - 2 * _all_pairs(x, y) / (len(x) * len(y)))


def require_alike(first: NDArray[np.floating], second: NDArray[np.floating]) -> None:
    """Refuse sets that cannot be compared.

    Raises:
        DataError: if the numbers of features differ or a set has fewer than two samples.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise DataError(
            f"feature sets: got {first.shape} and {second.shape}, must be [N >= 2, D] and [M >= 2, D]; "
            "extract both with the same network"
        )


@dataclass(frozen=True)
class Resampled:
    """A set of samples and draws of its groups.

    Attributes:
        values: [N, D], sorted by group.
        starts: [G], the first sample of each group; `sizes` [G] how many it has.
        times: [1 + B, G], how often each group counts: once in the first row, then as often as it was drawn.
        fewest: the number of groups, the smallest one where sets were joined.
    """

    values: Floats
    starts: Integers
    sizes: Floats
    times: Floats
    fewest: int

    def joined(self, other: "Resampled") -> "Resampled":
        """The samples of both, with the draws of both; their groups are different ones."""
        return Resampled(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.starts, other.starts + len(self.values)]),
            np.concatenate([self.sizes, other.sizes]),
            np.concatenate([self.times, other.times], axis=1),
            min(self.fewest, other.fewest),
        )


def resampled(features: Features, seed: int, draws: int = DRAWS) -> Resampled:
    """`features` with `draws` draws of their groups, with replacement; the same seed draws the same."""
    order = np.argsort(features.groups, kind="stable")
    _, starts, sizes = np.unique(features.groups[order], return_index=True, return_counts=True)
    count = len(sizes)
    times = np.concatenate([np.ones((1, count)), _draw(count, seed, draws)])
    return Resampled(features.values[order].astype(np.float64), starts, sizes.astype(np.float64), times, count)


def _draw(count: int, seed: int, draws: int) -> Floats:
    """How often each of `count` groups was drawn: [B, G]."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)


def kid_draws(x: Resampled, y: Resampled) -> Floats:
    """KID of `x` and `y`, and in each draw of their groups: [1 + B]. Memory: three N x N matrices.

    The difference of two such arrays against the same `x` is the difference of two KIDs, draw by draw.

    Raises:
        DataError: if the numbers of features differ or a set has fewer than two samples.
    """
    require_alike(x.values, y.values)
    across = _group_sums(_kernel(x.values, y.values), x, y)
    cross = ((x.times @ across) * y.times).sum(1) / ((x.times @ x.sizes) * (y.times @ y.sizes))
    result: Floats = _mean_within(x) + _mean_within(y) - 2 * cross
    return result


class KidEstimate(NamedTuple):
    """KID, or a difference of two, and its middle 95 % over draws; None where a set has fewer than 8 groups."""

    value: float
    interval: Interval | None


def kid_estimate(drawn: Floats, *sets: Resampled) -> KidEstimate:
    """The estimate and its interval from `drawn` [1 + B], which were computed from `sets`."""
    few = min(one.fewest for one in sets) < MIN_GROUPS
    return KidEstimate(float(drawn[0]), None if few else percentile_interval(drawn[1:]))


def _kernel(x: Floats, y: Floats) -> Floats:
    base: Floats = x @ y.T / x.shape[1] + 1
    return base * base * base  # numpy's power is ten times as slow


def _kernel_diagonal(x: Floats) -> Floats:
    diagonal: Floats = ((x * x).sum(1) / x.shape[1] + 1) ** 3
    return diagonal


def _all_pairs(x: Floats, y: Floats) -> float:
    return float(sum(_kernel(x[start : start + CHUNK], y).sum() for start in range(0, len(x), CHUNK)))


def _group_sums(kernel: Floats, x: Resampled, y: Resampled) -> Floats:
    """The kernel [N, M] summed over the pairs of each two groups: [Gx, Gy]."""
    sums: Floats = np.add.reduceat(np.add.reduceat(kernel, x.starts, axis=0), y.starts, axis=1)
    return sums


def _mean_within(x: Resampled) -> Floats:
    """The mean kernel of pairs within one set, per draw: [1 + B].

    Two groups count w_g w_h times, the pairs inside one group w_g times.
    """
    kernel = _kernel(x.values, x.values)
    np.fill_diagonal(kernel, 0.0)
    sums, weights, sizes = _group_sums(kernel, x, x), x.times, x.sizes
    total = ((weights @ sums) * weights).sum(1) + (weights - weights**2) @ np.diag(sums)
    pairs = (weights @ sizes) ** 2 - weights**2 @ sizes**2 + weights @ (sizes * (sizes - 1))
    result: Floats = total / np.maximum(pairs, 1.0)  # no pair where each draw took the same lone sample
    return result
