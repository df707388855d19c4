"""Bootstrap intervals of an AUROC and of means: resampling of whole groups.

Patches cut from one place resemble each other, so the unit that is drawn is the group a sample belongs to, not
the sample; groups are drawn within each label, so that every draw holds both (Davison and Hinkley 1997, ch. 3).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
DRAWS = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """The ends of a 95 % interval."""

    low: float
    high: float


def weighted_auroc(labels: Integers, scores: Floats, weights: Floats) -> float:
    """P(anomalous score > normal score) + P(equal) / 2 with samples counted `weights` times; all [N]."""
    return _auroc_of_ranks(labels, ranks_of(scores), weights)


def ranks_of(scores: Floats) -> Integers:
    """0 for the lowest score, 1 for the next higher one, equal scores alike: [N]."""
    ranks: Integers = np.unique(scores, return_inverse=True)[1]
    return ranks


def _auroc_of_ranks(labels: Integers, ranks: Integers, weights: Floats) -> float:
    levels = len(ranks)
    normal = np.bincount(ranks, weights * (labels == 0), minlength=levels)
    anomalous = np.bincount(ranks, weights * (labels == 1), minlength=levels)
    below_or_half = np.cumsum(normal) - normal / 2
    return float((anomalous * below_or_half).sum() / (normal.sum() * anomalous.sum()))


def groups_per_label(labels: Integers, groups: Integers) -> tuple[int, int]:
    """How many groups hold normal and how many hold anomalous samples."""
    normal, anomalous = (len(np.unique(groups[labels == label])) for label in (0, 1))
    return normal, anomalous


def draw_weights(labels: Integers, groups: Integers, generator: np.random.Generator) -> Floats:
    """How often each sample counts in one draw: as often as its group was drawn among its label's groups. [N]."""
    weights = np.zeros(len(labels))
    for label in (0, 1):
        mine = labels == label
        names, group_of = np.unique(groups[mine], return_inverse=True)
        drawn = generator.integers(len(names), size=len(names))
        weights[mine] = np.bincount(drawn, minlength=len(names))[group_of]
    return weights


def bootstrap_auroc(
    labels: Integers, groups: Integers, scores: Mapping[str, Floats], seed: int, draws: int = DRAWS
) -> dict[str, Floats]:
    """The AUROC of each named score [N] in each of `draws` draws, the same draws for all: [draws] each.

    Args:
        labels: int64 [N], 1 for anomalous samples.
        groups: int64 [N], the independent group of each sample, which is drawn whole.
        scores: [N] by name.
        seed: of the draws.
        draws: how many times groups are drawn.
    """
    generator = np.random.default_rng(seed)
    ranks = {name: ranks_of(values) for name, values in scores.items()}
    result = {name: np.empty(draws) for name in scores}
    for draw in range(draws):
        weights = draw_weights(labels, groups, generator)
        for name in scores:
            result[name][draw] = _auroc_of_ranks(labels, ranks[name], weights)
    return result


def bootstrap_means(groups: Integers, values: Mapping[str, Floats], seed: int, draws: int = DRAWS) -> dict[str, Floats]:
    """The mean of each named value [N] in each of `draws` draws of whole groups, the same for all: [draws] each.

    Args:
        groups: int64 [N], the independent group of each sample, which is drawn whole.
        values: [N] by name.
        seed: of the draws.
        draws: how many times groups are drawn.
    """
    generator = np.random.default_rng(seed)
    names, group_of = np.unique(groups, return_inverse=True)
    counts = np.bincount(group_of)
    sums = {name: np.bincount(group_of, weights=found) for name, found in values.items()}
    drawn = generator.integers(len(names), size=(draws, len(names)))
    return {name: sums[name][drawn].sum(1) / counts[drawn].sum(1) for name in values}


def percentile_interval(drawn: Floats) -> Interval:
    """The middle 95 % of drawn numbers."""
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def auroc_interval(drawn: Floats, labels: Integers, groups: Integers) -> Interval:
    """The middle 95 % of drawn AUROCs; [0, 1], which says nothing, where a label has a single group."""
    return _interval(drawn, labels, groups, Interval(0.0, 1.0))


def difference_interval(first: Floats, second: Floats, labels: Integers, groups: Integers) -> Interval:
    """The middle 95 % of AUROC differences, draw by draw; [-1, 1], which says nothing, where a label has one group.

    Args:
        first: AUROCs, one a draw.
        second: AUROCs of the same draws.
        labels: int64 [N], 1 for anomalous samples.
        groups: int64 [N], the independent group of each sample, which is drawn whole.
    """
    return _interval(first - second, labels, groups, Interval(-1.0, 1.0))


def _interval(drawn: Floats, labels: Integers, groups: Integers, vacuous: Interval) -> Interval:
    if min(groups_per_label(labels, groups)) < 2:
        return vacuous
    return percentile_interval(drawn)
