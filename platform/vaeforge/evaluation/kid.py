"""Kernel inception distance (KID): how far one set of features lies from another, over independent groups.

KID (Bińkowski et al. 2018) is the squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3. There is one
estimate of it here, the unbiased one over all pairs of samples that are independent of each other:

    mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j),  i and j in different groups of the same set

Two samples of one group resemble each other more than the distribution's own do, so that pairs within groups would push
the distance up, the more the fewer groups there are. Where each sample is its own group this is what torchmetrics'
`poly_mmd` computes. All samples are used at once, not the mean over subsets, which is the same number with more noise.
It may be negative, has no dimension, and has no bias at any N and M.

Intervals and differences leave out groups of every set in turn, and take off what the jackknife counts twice near zero,
where the statistic is degenerate (`pair_means`); groups of the same name in two sets are one.

Shapes: N samples, D features, G groups. All sums are taken in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError
from vaeforge.evaluation.extractor import Features
from vaeforge.evaluation.intervals import LeftOut
from vaeforge.evaluation.pair_means import Interplay, PairEstimate, squared_distance

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
CHUNK = 1024
MOST_GROUPS = 256  # of a set, in what pairs of groups add together: more are joined, so that K x K numbers stay few


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


@dataclass(frozen=True, eq=False)
class GroupedSet:
    """A set of samples, sorted by group.

    Attributes:
        values: [N, D].
        names: of the groups [G].
        starts: the first sample of each group [G]; `sizes` how many it has.
    """

    values: Floats
    names: Integers
    starts: Integers
    sizes: Floats


Sums = Callable[[GroupedSet, GroupedSet], Floats]


def grouped(features: Features) -> GroupedSet:
    """`features` sorted by group."""
    order = np.argsort(features.groups, kind="stable")
    names, starts, sizes = np.unique(features.groups[order], return_index=True, return_counts=True)
    return GroupedSet(features.values[order].astype(np.float64), names, starts, sizes.astype(np.float64))


def kid_over_groups(
    real: GroupedSet, other: GroupedSet, more: GroupedSet | None = None, sums: Sums | None = None
) -> PairEstimate | None:
    """The KID of `other` and `real`; None where a set has a single group, and so no independent pair.

    Args:
        real: the reference.
        other: samples that share no group with it.
        more: further real samples of other groups, which join the reference.
        sums: of the kernel over the pairs of each two groups of two sets [Gx, Gy], where there is a faster way to them.

    Raises:
        DataError: if the numbers of features differ or a set has fewer than two samples.
    """
    require_alike(real.values, other.values)
    reference = real if more is None else _joined(real, more)
    if min(len(reference.names), len(other.names)) < 2:
        return None
    add_up = sums or group_sums
    pairs = PairSums(add_up(reference, reference), add_up(other, other), add_up(reference, other))
    within = [_mean_within(*of_set) for of_set in ((pairs.reference, reference.sizes), (pairs.other, other.sizes))]
    across = _mean_across(pairs.across, reference.sizes, other.sizes)
    value = within[0][0] + within[1][0] - 2 * across[0]
    without_real = within[0][1] + within[1][0] - 2 * across[1]
    without_other = within[0][0] + within[1][1] - 2 * across[2]
    shares = reference.sizes / reference.sizes.sum()
    halves = [half for half in np.split(np.arange(len(shares)), [len(real.names)]) if len(half)]
    left_out = [
        LeftOut(reference.names[half], reference.sizes[half], _of_half(value, without_real[half], shares[half]))
        for half in halves
    ]
    interplay = _interplay(pairs, reference, other, np.repeat(np.arange(len(halves)), [len(half) for half in halves]))
    samples = (*left_out, LeftOut(other.names, other.sizes, without_other))
    return squared_distance(value, samples, interplay, pairs.mean(reference.sizes, other.sizes))


@dataclass(frozen=True, eq=False)
class PairSums:
    """The kernel summed over the pairs of each two groups: of the reference, of the other set, of both."""

    reference: Floats
    other: Floats
    across: Floats

    def mean(self, x: Floats, y: Floats) -> float:
        """The distance over all pairs, those within groups too, of sets with groups of sizes x [Gx] and y [Gy]."""
        n, m = x.sum(), y.sum()
        return float(self.reference.sum() / n**2 + self.other.sum() / m**2 - 2 * self.across.sum() / (n * m))

    def joined(self, x: Floats, y: Floats) -> Floats:
        """The same of joined groups, those of the reference first, by what belongs to each [Bx, Gx] and [By, Gy]."""
        across = x @ self.across @ y.T
        return np.block([[x @ self.reference @ x.T, across], [across.T, y @ self.other @ y.T]])


def _of_half(value: float, without: Floats, shares: Floats) -> Floats:
    """The KID without each group of a half of the reference, the rest of that half weighing more instead: [G].

    To first order: with its share w of both halves, a group moves the mean over both by w / (1 - w) when it is left
    out, and with the share v of its half by w / (1 - v).

    Args:
        value: of all groups.
        without: without each group, the rest of both halves weighing more [G].
        shares: of the samples of both halves that each group has [G].
    """
    if len(shares) == 1:  # nothing of the half is left, and no interval is made of it
        return without
    moved: Floats = value + (without - value) * (1 - shares) / (1 - shares / shares.sum())
    return moved


class JoinedGroups(NamedTuple):
    """Groups of a set [B], some of which are several groups [G] of one sample: those where `belongs` [B, G] is 1."""

    names: Integers
    samples: Integers
    sizes: Floats
    belongs: Floats


def _at_most(groups: GroupedSet, samples: Integers) -> JoinedGroups:
    """`MOST_GROUPS` of each sample, whose number every group has in `samples` [G]."""
    place = np.concatenate([np.arange(count) % MOST_GROUPS for count in np.unique(samples, return_counts=True)[1]])
    _, first, block = np.unique(samples * MOST_GROUPS + place, return_index=True, return_inverse=True)
    belongs = (np.arange(len(first))[:, None] == block).astype(np.float64)
    return JoinedGroups(groups.names[first], samples[first], belongs @ groups.sizes, belongs)


def _interplay(sums: PairSums, reference: GroupedSet, other: GroupedSet, halves: Integers) -> Interplay:
    """What each two groups add together; `halves` [G] numbers the part of the reference that each group is in."""
    x, y = _at_most(reference, halves), _at_most(other, np.full(len(other.names), halves.max() + 1))
    within = [2 * np.outer(n, n) / (n.sum() ** 2 - np.square(n).sum()) for n in (x.sizes, y.sizes)]
    across = -2 * np.outer(x.sizes, y.sizes) / (x.sizes.sum() * y.sizes.sum())
    names, samples, sizes = (np.concatenate(both) for both in zip(x[:3], y[:3], strict=True))
    return Interplay.of_kernel(
        names,
        samples,
        sizes,
        sums.joined(x.belongs, y.belongs) / np.outer(sizes, sizes),
        weights=np.block([[within[0], across], [across.T, within[1]]]),
    )


def _joined(first: GroupedSet, second: GroupedSet) -> GroupedSet:
    return GroupedSet(
        np.concatenate([first.values, second.values]),
        np.concatenate([first.names, second.names]),
        np.concatenate([first.starts, second.starts + len(first.values)]),
        np.concatenate([first.sizes, second.sizes]),
    )


def _mean_within(sums: Floats, sizes: Floats) -> tuple[float, Floats]:
    """The mean kernel of pairs of different groups, and that without each group, NaN where one is left: [G].

    Args:
        sums: the kernel summed over the pairs of each two groups [G, G].
        sizes: of the groups [G].
    """
    between = sums - np.diag(np.diag(sums))
    total, pairs = between.sum(), sizes.sum() ** 2 - (sizes**2).sum()
    rest = pairs - 2 * sizes * (sizes.sum() - sizes)
    without = np.where(rest > 0, (total - 2 * between.sum(1)) / np.maximum(rest, 1.0), np.nan)
    return float(total / pairs), without


def _mean_across(sums: Floats, x: Floats, y: Floats) -> tuple[float, Floats, Floats]:
    """The mean kernel of pairs of both sets, that without each group of the first, and without each of the second.

    Args:
        sums: the kernel summed over the pairs of each two groups [Gx, Gy].
        x: sizes of the groups [Gx]; `y` of the others [Gy].
    """
    n, m, total = x.sum(), y.sum(), sums.sum()
    return float(total / (n * m)), (total - sums.sum(1)) / ((n - x) * m), (total - sums.sum(0)) / (n * (m - y))


def group_sums(x: GroupedSet, y: GroupedSet) -> Floats:
    """The kernel summed over the pairs of each two groups: [Gx, Gy]."""
    rows = [_kernel(x.values[start : start + CHUNK], y.values) for start in range(0, len(x.values), CHUNK)]
    by_group = np.concatenate([np.add.reduceat(part, y.starts, axis=1) for part in rows])
    sums: Floats = np.add.reduceat(by_group, x.starts, axis=0)
    return sums


def _kernel(x: Floats, y: Floats) -> Floats:
    base: Floats = x @ y.T / x.shape[1] + 1
    return base * base * base  # numpy's power is ten times as slow
