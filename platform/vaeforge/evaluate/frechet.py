"""How far generated samples lie from real ones as distributions of features.

Shapes: N samples, D features, G groups, B draws. All sums are taken in float64.

- Fréchet distance (Heusel et al. 2017) |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). It is biased upwards at small N.
- KID (Bińkowski et al. 2018), the unbiased squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3.
- Inception-style score (Salimans et al. 2016) exp(mean KL(p(y|x) || p(y))).

None of them means anything without its feature network: each carries the extractor's name and its weights' SHA-256.
Two rows compare only at the same N, and only beside real samples against real ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError
from vaeforge.evaluate.bootstrap import LEVEL, Interval
from vaeforge.evaluate.extractor import Features
from vaeforge.seeds import derive

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
DRAWS = 500
MIN_GROUPS = 8  # with fewer, the percentiles of a bootstrap say nothing
FRECHET_FROM = 2560  # twice the 1280 features: below, the covariances are too poor to compare
REAL = "real against real"
CHUNK = 1024


def frechet_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The Fréchet distance of Gaussians fitted to features [N, D] and [M, D], in squared feature units.

    With C = R^T R, tr (C1 C2)^(1/2) is the sum of the singular values of R1 R2^T. That needs no root of a matrix, and
    singular covariances (N <= D) lose nothing.

    Raises:
        DataError: if the numbers of features differ or a set has fewer than two samples.
    """
    _require_alike(first, second)
    (mean_1, root_1), (mean_2, root_2) = _moments(first), _moments(second)
    shared = np.linalg.svd(root_1 @ root_2.T, compute_uv=False).sum()
    distance = ((mean_1 - mean_2) ** 2).sum() + (root_1**2).sum() + (root_2**2).sum() - 2 * shared
    return max(float(distance), 0.0)  # rounding of equal sets may end at -1e-12


def _moments(values: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """The mean [D] and R [min(N, D), D] with R^T R = covariance, divided by N - 1."""
    mean = values.mean(0, dtype=np.float64)
    root: Floats = np.linalg.qr(values - mean, mode="r") / np.sqrt(len(values) - 1)
    return mean, root


def kid(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The unbiased KID of features [N, D] and [M, D], all pairs; it may be negative. Dimensionless.

    Raises:
        DataError: if the numbers of features differ or a set has fewer than two samples.
    """
    _require_alike(first, second)
    x, y = first.astype(np.float64), second.astype(np.float64)
    within = [(_all_pairs(z, z) - _kernel_diagonal(z).sum()) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(sum(within) - 2 * _all_pairs(x, y) / (len(x) * len(y)))


def _require_alike(first: NDArray[np.floating], second: NDArray[np.floating]) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise DataError(
            f"feature sets: got {first.shape} and {second.shape}, must be [N >= 2, D] and [M >= 2, D]; "
            "extract both with the same network"
        )


def _kernel(x: Floats, y: Floats) -> Floats:
    base: Floats = x @ y.T / x.shape[1] + 1
    return base * base * base  # numpy's power is ten times as slow


def _kernel_diagonal(x: Floats) -> Floats:
    diagonal: Floats = ((x * x).sum(1) / x.shape[1] + 1) ** 3
    return diagonal


def _all_pairs(x: Floats, y: Floats) -> float:
    return float(sum(_kernel(x[start : start + CHUNK], y).sum() for start in range(0, len(x), CHUNK)))


class KidEstimate(NamedTuple):
    """KID of all samples, and its middle 95 % over draws of groups, None where a set has fewer than 8 groups."""

    value: float
    interval: Interval | None


def bootstrap_kid(real: Features, row: Features, real_seed: int, row_seed: int, draws: int = DRAWS) -> KidEstimate:
    """KID with its interval: the groups of both sets are drawn with replacement, whole.

    Copies of one group are never paired with each other: such pairs would be the sample against itself, and would push
    each draw up. Rows that share `real_seed` are compared with the same draws of the real set. Near zero, where the
    statistic is degenerate, the interval is too wide rather than too narrow. Memory: three N x N matrices.

    Raises:
        DataError: if the numbers of features differ.
    """
    _require_alike(real.values, row.values)
    x, y = _by_group(real), _by_group(row)
    drawn = _draw(x, real_seed, draws), _draw(y, row_seed, draws)
    within_x, within_y, between = _within_sums(x), _within_sums(y), _group_sums(_kernel(x.values, y.values), x, y)

    def values(w: Floats, v: Floats) -> Floats:
        cross = ((w @ between) * v).sum(1) / ((w @ x.sizes) * (v @ y.sizes))
        result: Floats = _mean_within(w, within_x, x.sizes) + _mean_within(v, within_y, y.sizes) - 2 * cross
        return result

    once = float(values(np.ones((1, len(x.sizes))), np.ones((1, len(y.sizes))))[0])
    if min(len(x.sizes), len(y.sizes)) < MIN_GROUPS:
        return KidEstimate(once, None)
    low, high = np.quantile(values(*drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return KidEstimate(once, Interval(float(low), float(high)))


class _Sorted(NamedTuple):
    """Samples [N, D] sorted by group, the first sample of each group [G], and the groups' sizes [G]."""

    values: Floats
    starts: Integers
    sizes: Floats


def _by_group(features: Features) -> _Sorted:
    order = np.argsort(features.groups, kind="stable")
    _, starts, sizes = np.unique(features.groups[order], return_index=True, return_counts=True)
    return _Sorted(features.values[order].astype(np.float64), starts, sizes.astype(np.float64))


def _draw(samples: _Sorted, seed: int, draws: int) -> Floats:
    """How often each group was drawn: [B, G]."""
    count = len(samples.sizes)
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)


def _group_sums(kernel: Floats, x: _Sorted, y: _Sorted) -> Floats:
    """The kernel [N, M] summed over the pairs of each two groups: [Gx, Gy]."""
    sums: Floats = np.add.reduceat(np.add.reduceat(kernel, x.starts, axis=0), y.starts, axis=1)
    return sums


def _within_sums(x: _Sorted) -> Floats:
    kernel = _kernel(x.values, x.values)
    np.fill_diagonal(kernel, 0.0)
    return _group_sums(kernel, x, x)


def _mean_within(weights: Floats, sums: Floats, sizes: Floats) -> Floats:
    """The mean kernel of pairs within one set, per draw: [B].

    Two groups count w_g w_h times, the pairs inside one group w_g times.
    """
    own, extra = np.diag(sums), weights - weights**2
    total = ((weights @ sums) * weights).sum(1) + extra @ own
    pairs = (weights @ sizes) ** 2 - weights**2 @ sizes**2 + weights @ (sizes * (sizes - 1))
    result: Floats = total / np.maximum(pairs, 1.0)  # no pair where each draw took the same lone sample
    return result


@dataclass(frozen=True)
class Row:
    """One set of samples against the real ones; `kid_low` and `kid_high` are None where groups are too few."""

    name: str
    frechet: float
    kid: float
    kid_low: float | None
    kid_high: float | None


@dataclass(frozen=True)
class DistributionTable:
    """Sets of samples, each against the same real ones.

    Attributes:
        rows: the first is real against real, what a perfect generator would show.
        n: samples on either side of every Fréchet distance; `kid_n` of every KID.
        headline: which of the two columns to quote, with its extractor.
        extractor: its name; `weights` the SHA-256 of its weights.
    """

    rows: tuple[Row, ...]
    n: int
    kid_n: int
    headline: str
    extractor: str
    weights: str


def distribution_table(
    real_a: Features, real_b: Features, rows: Mapping[str, Features], seed: int
) -> DistributionTable:
    """Every row and `real_b` against `real_a`, all cut at random to the size of the smallest set.

    `real_a` and `real_b` must share no group, else real against real comes out too small. The headline is KID below
    2560 samples and the Fréchet distance from there on; KID uses at most 2560 samples, the first of the same cut.

    Raises:
        DataError: if the sets come from different extractors, or a row takes the name of the real one.
    """
    if REAL in rows:
        raise DataError(f"distribution table: row {REAL!r} is the table's own; give yours another name")
    named = {REAL: real_b, **rows}
    for name, row in named.items():
        _require_same_extractor(real_a, name, row)
    n = min(len(one.values) for one in (real_a, *named.values()))
    real = real_a.cut(n, derive(seed, "reference", "cut"))
    made = tuple(_row(name, real, row.cut(n, derive(seed, name, "cut")), seed) for name, row in named.items())
    headline = f"{'KID' if n < FRECHET_FROM else 'Fréchet distance'} ({real_a.extractor})"
    return DistributionTable(made, n, min(n, FRECHET_FROM), headline, real_a.extractor, real_a.weights)


def _row(name: str, real: Features, row: Features, seed: int) -> Row:
    short = [replace(one, values=one.values[:FRECHET_FROM], groups=one.groups[:FRECHET_FROM]) for one in (real, row)]
    estimate = bootstrap_kid(short[0], short[1], derive(seed, "reference", "draws"), derive(seed, name, "draws"))
    low, high = estimate.interval or (None, None)
    return Row(name, frechet_distance(real.values, row.values), estimate.value, low, high)


def _require_same_extractor(real: Features, name: str, row: Features) -> None:
    for what, expected, got in (
        ("extractor", real.extractor, row.extractor),
        ("weights", real.weights, row.weights),
        ("features", real.values.shape[1], row.values.shape[1]),
    ):
        if expected != got:
            raise DataError(f"distribution table, row {name!r}: {what}: got {got}, must be {expected}; extract it anew")


class Score(NamedTuple):
    """Mean and standard deviation over splits."""

    mean: float
    deviation: float


def inception_style_score(probabilities: NDArray[np.floating], splits: int = 10) -> Score:
    """exp(mean KL(p(y|x) || p(y))) of class probabilities [N, K] in each of `splits` parts: from 1 to K.

    It falls with the number of samples in a part and knows nothing of the real data; quote N and the classifier's name.

    Raises:
        DataError: if there are fewer samples than splits, or rows are no probabilities.
    """
    p = probabilities.astype(np.float64)
    if p.ndim != 2 or not 1 <= splits <= len(p):
        raise DataError(f"inception-style score: got {p.shape} in {splits} splits, must be [N >= splits, K]")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-4)):
        raise DataError("inception-style score: rows must be probabilities that sum to 1; pass a softmax")
    parts = [np.exp(_divergence(part).mean()) for part in np.array_split(p, splits)]
    return Score(float(np.mean(parts)), float(np.std(parts)))


def _divergence(p: Floats) -> Floats:
    """KL of each row [N, K] from the mean row, in nats: [N]."""
    positive = np.where(p > 0, p, 1.0)  # 0 log 0 = 0
    mean = np.where(p.mean(0) > 0, p.mean(0), 1.0)
    divergence: Floats = (p * (np.log(positive) - np.log(mean))).sum(1)
    return divergence
